"""fcclf: fully-connected networks in TensorFlow's graph mode, with exact resume.

system        files, memory, signals
settings      what is asked for
data          samples into arrays
network       arrays into logits
views         numbers into pictures
learning      logits into weights: the compiled loop
runs          what is kept on disk
serving       other programs' face
estimator     scikit-learn's face
cli           the command line's face
"""

import importlib

__version__ = "0.1.0"
HOMES = {
    **dict.fromkeys(("FCClassifier", "FCRegressor"), "fcclf.estimator"),
    "load": "fcclf.data.loading",
    "train": "fcclf.runs.training",
    "open_run": "fcclf.runs.trained",
    "export_run": "fcclf.serving.export",
    **dict.fromkeys(("Config", "Training", "Session"), "fcclf.settings.config"),
    **dict.fromkeys(("Model", "Stack"), "fcclf.settings.model"),
    **dict.fromkeys(("Moons", "Circles", "Blobs", "Spirals", "Images", "Table", "Packed"), "fcclf.settings.sources"),
}
__all__ = ["__version__", *HOMES]


def __getattr__(name):
    """The public names bring TensorFlow with them, which the command line must not wait for: imported when used."""
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *HOMES])
