"""Training: everything between a network's logits and its new weights.

objective    what is minimised: loss, score, penalties
optimizers   the optimizers and the schedules of their learning rate
rules        when an epoch is the best, and when to stop
packing      many small tensors as one vector
state        what training changes
plan         what a program is compiled for, and what is fed to it
loop         the compiled loop over epochs and batches
predictor    a network in a session: logits in blocks of rows
program      a network that learns, in a session
full_batch   training by L-BFGS, an optimizer outside the graph, on the gradient of all samples
stretches    the loop in Python: one Session.run for each stretch
streaming    training on samples that are read piece by piece
fed          the graph as tutorials teach it: one fed batch for each step
"""
