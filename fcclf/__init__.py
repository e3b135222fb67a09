"""fcclf: fully-connected classifiers in TensorFlow's graph mode, with exact resume."""

import importlib

__version__ = "0.1.0"
__all__ = ["FCClassifier", "__version__"]


def __getattr__(name):
    """`FCClassifier` brings TensorFlow with it, which the command line must not wait for: it is imported when used."""
    if name == "FCClassifier":
        return importlib.import_module("fcclf.estimator").FCClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), "FCClassifier"])
