"""Tables of rows and columns into arrays.

cells        what a cell holds: a number, a text, nothing
text_file    text files in whatever encoding, packed or not, line by line
csv_file     CSV files: what their columns are called, and their rows
columns      the values of columns, block by block
frame        the same of DataFrames, and of Parquet files
kept         where its rows are kept as it is read
contents     what a table holds, as arrays
npz          arrays in NPZ files
table        a table to train on
told         what is said of it before it is trained on
new_samples  what is to be predicted, in the order of the columns
"""
