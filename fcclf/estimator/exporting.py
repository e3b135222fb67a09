"""A fitted estimator as files for other programs."""

import functools
import warnings
from pathlib import Path

import numpy as np

from fcclf.estimator import parameters
from fcclf.estimator.samples import schema
from fcclf.learning.predictor import Predictor
from fcclf.runs import run_directory
from fcclf.serving.export import Exported, export_model, given
from fcclf.serving.model import ServedModel
from fcclf.settings.run_config import CPU


def export_estimator(estimator, directory, formats, X) -> Exported:
    """Exports a fitted estimator. X: checked samples to test on, or None. Raises RunError like `export_model`."""
    samples = None if X is None else given(X, "the samples given", estimator._dtype)
    trained = functools.partial(estimator._computed_of, Predictor.answers)
    return export_model(served(estimator), trained, Path(directory), formats, samples, warnings.warn)


def served(estimator) -> ServedModel:
    """The `ServedModel` of a fitted estimator."""
    values = estimator._current_values()
    names = [name for placed in estimator._placed() for name in (*placed.trained, *placed.statistics)]
    return ServedModel(
        tuple(estimator._layers),
        estimator.n_features_in_,
        {name: np.asarray(values[name]) for name in names},
        estimator._task,
        schema(estimator),
        estimator._dtype,
        parameters.THREADS,
        logarithms=estimator.out_activation_ == "exp",
        note=_note(estimator),
    )


def _note(estimator):
    """Where the exported model comes from, for JSON."""
    return {
        "source": str(estimator.logdir or type(estimator).__name__),
        "epoch": getattr(estimator, "n_iter_", None),
        "versions": run_directory.versions(parameters.THREADS, CPU),
    }
