"""What a run answers, for other programs: for the samples of a file, as exported models and over HTTP.

answers       predictions for the samples of a file, as CSV or JSON lines
model         a trained network and what its answers mean, whoever trained it
graph         its answers as tensors
savedmodel    as a TensorFlow SavedModel
converted     as ONNX and TFLite
versions      numbered folders that are complete or not there
export        all of these, tested before they can be seen
server        answers over HTTP: TensorFlow Serving's protocol, and a page for people
"""
