"""Logits into weights: the one training core.

objective    what is minimised: loss, score, penalties
optimizers   the optimizers and the schedules of their learning rate
rules        when an epoch is the best, and when to stop
packing      many small tensors as one vector
state        what training changes
plan         what a program is compiled for, and what is fed to it
loop         the compiled loop over epochs and batches
predictor    a network in a session: logits in blocks of rows
program      a network that learns, in a session
full_batch   a network whose whole gradient an optimizer outside the graph asks for
stretches    the loop in Python: one Session.run a stretch
streaming    the same on samples that are read bit by bit
fed          the graph as tutorials teach it, one fed batch a step
"""
