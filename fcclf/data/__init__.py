"""Samples into arrays.

facts     what a run notes of its data
dataset   the parts of a data set
split     how many samples each part gets
shapes    points in the plane
idx       image files
table     tables of numbers
sparse    samples with few features that are not 0
loading   from a source to a data set
order     the order of an epoch
"""
