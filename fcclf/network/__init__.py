"""Networks: from arrays to logits.

sums        sums of many numbers, fast once compiled
layers      the operations of the building blocks, one function for each
network     a network and its variables
blockwise   inference in blocks of rows
"""
