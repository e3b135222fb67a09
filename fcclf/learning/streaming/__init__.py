"""Training on samples that are read bit by bit, to the same bits as on samples in memory.

rows     the samples of a part that one call of the graph needs, gathered ahead
loop     the body of the loop, in pieces: some batches, some of an evaluation, the end of an epoch
program  a program that is trained and measured piece by piece
"""
