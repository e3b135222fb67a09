"""fcclf: fully-connected networks in TensorFlow's graph mode, with exact resume.

system        files, memory, signals
settings      the settings of runs, networks and data, and their rules
data          samples as arrays
network       layers: from arrays to logits
views         figures and reports
learning      training: the compiled loop
sharded       training with batches cut into shards
runs          run directories
cluster       training on several machines
serving       predictions for other programs: files, exports, HTTP
estimator     the scikit-learn interface
cli           the command-line interface
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
    """Imports a public name when it is used: many import TensorFlow, which the command line must not wait for."""
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *HOMES])
