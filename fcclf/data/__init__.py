"""Samples into arrays.

facts        what a run notes of its data
schema       what columns and classes are called
dataset      the parts of a data set
split        how many samples each part gets
shapes       points in the plane
idx          image files
csv_file     CSV files, row by row
table        tables with a label for each row
sparse       samples with few features that are not 0
loading      from a source to a data set
new_samples  what is to be predicted, in the order of the columns
order        the order of an epoch
"""
