"""Samples into arrays.

facts        what a run notes of its data
schema       what columns and classes are called
dataset      the parts of a data set
split        how many samples each part gets
shapes       points in the plane
idx          image files
tables       tables of rows and columns, from files and DataFrames
sparse       samples with few features that are not 0
packed       data that need not fit into the memory
packing      data of any kind into packed data
loading      from a source to a data set
order        the order of an epoch
rows         rows of arrays that need not be in memory
"""
