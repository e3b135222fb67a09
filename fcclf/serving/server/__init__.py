"""Answers over HTTP: `fcclf serve`.

statuses    how a request can end, other than well
signatures  what a SavedModel takes and gives, by its own word
rest        predict's JSON into arrays, and arrays into JSON
examples    classify's and regress's JSON into tf.Example, and their results into JSON
model       one version of a model in a session
versions    the folder of versions: a new one is taken up, an old one let go
batching    requests that are computed together
metrics     what Prometheus reads
app         the addresses, and the limits
pictures    the boundary between classes, and samples that are images
page        the page for people
process     the socket, the signals, the end
"""
