"""Training on samples that are read piece by piece, bit-identical to training on samples in memory.

rows     the samples of a part that one call of the graph needs, read ahead
loop     the body of the loop, in pieces: some batches, some of an evaluation, the end of an epoch
program  a program that is trained and measured piece by piece
"""
