"""Tables of rows and columns as arrays.

cells        what a cell holds: a number, a text, nothing
text_file    text files in any encoding, compressed or not, line by line
csv_file     CSV files: the names of their columns, and their rows
columns      the values of columns, block by block
frame        DataFrames and Parquet files as tables
kept         storage for the rows of a table as it is read
contents     what a table holds, as arrays
npz          arrays in NPZ files
table        a table to train on
told         the description of a table before training
new_samples  samples to predict from, in the order of the network's columns
"""
