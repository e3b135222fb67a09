"""Run directories: what is kept on disk, and what is read back from it.

run_directory   one run's directory and its lock
checkpoint      its checkpoints
history         history.csv
events          its TensorBoard event files
record          both, kept in step with the checkpoints
dashboard       what TensorBoard shows besides the curves
figures         the figures of a run
recorder        what is recorded of a training, and when it is saved
training        `train`: settings in, a trained run out
trained         `open_run`: a run directory in, predictions out
verification    whether a run is sound
overview        runs at a glance
"""
