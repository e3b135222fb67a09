"""Samples as arrays.

facts        what a run records about its data
schema       the names of columns and classes
dataset      the parts of a data set
split        how many samples each part gets
shapes       points in the plane
idx          image files
tables       tables of rows and columns, from files and DataFrames
sparse       sparse samples
packed       packed data, which need not fit into memory
packing      converts data of any kind to packed data
loading      loads the data set of a run
order        the order of an epoch
rows         rows of arrays that need not be in memory
"""
