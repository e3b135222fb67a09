"""Other programs' face: what a run answers, in the forms that they read.

answers  predictions for the samples of a file, as CSV or JSON lines
"""
