"""Answers over HTTP: `fcclf serve`.

statuses    how a request can fail
signatures  the inputs and outputs that a SavedModel declares
rest        predict's JSON into arrays, and arrays into JSON
examples    classify's and regress's JSON into tf.Example, and their results into JSON
model       one version of a model in a session
versions    the folder of versions: a new one is loaded, an old one closed
batching    requests that are computed together
metrics     what Prometheus reads
app         the routes, and the limits
pictures    the boundary between classes, and samples that are images
page        the page for people
process     the socket, the signals, the shutdown
"""
