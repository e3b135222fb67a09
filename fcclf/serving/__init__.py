"""Other programs' face.

server     answers over HTTP: TensorFlow Serving's protocol, and a page for people
"""
