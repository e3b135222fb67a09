"""What is kept on disk: run directories, and what is read from them again.

run_directory   one run's directory and its lock
checkpoint      its checkpoints
history         history.csv
events          its TensorBoard event files
record          both, kept in step with the checkpoints
dashboard       what TensorBoard shows besides the curves
figures         the figures of a run
recorder        when a training is written down and saved
training        `train`: settings in, a trained run out
trained         `open_run`: a run directory in, predictions out
verification    whether a run is sound
overview        runs at a glance
"""
