"""Other programs' face: what a run answers, for files, as files and over HTTP.

answers       predictions for the samples of a file, as CSV or JSON lines
model         what answers, whoever trained it
graph         its answers as tensors
savedmodel    as a TensorFlow SavedModel
converted     as ONNX and TFLite
versions      numbered folders that are whole or not there
export        all of these, tested before they are shown
server        answers over HTTP: TensorFlow Serving's protocol, and a page for people
"""
