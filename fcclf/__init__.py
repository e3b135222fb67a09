"""fcclf: fully-connected classifiers in TensorFlow's graph mode, with exact resume."""

__version__ = "0.1.0"
