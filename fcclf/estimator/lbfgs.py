"""A fit with the solver lbfgs: all samples in every step, until the gradient is small, as in scikit-learn."""

import warnings

import numpy as np
from sklearn.utils.optimize import _check_optimize_result

from fcclf.data.dataset import Part
from fcclf.estimator.fitting import DIVERGED
from fcclf.learning.full_batch import FullBatch, Minimum


def check(estimator, validation):
    """Raises ValueError for parameters that this solver does not support; warns of those without an effect. validation:
    fit's arguments for early stopping."""
    if estimator.logdir is not None:
        raise ValueError("solver='lbfgs' keeps no run: set logdir=None, or choose another solver.")
    if estimator.dropout or estimator.batch_norm:
        name = "dropout" if estimator.dropout else "batch_norm"
        raise ValueError(f"solver='lbfgs' has no batches, which {name} needs: leave it out, or choose 'adam'.")
    if estimator.early_stopping or estimator.scoring is not None or any(each is not None for each in validation):
        warnings.warn("solver='lbfgs' has no early stopping: validation data and scoring have no effect.", stacklevel=4)


def minimize(estimator, program: FullBatch, given: Part) -> Minimum:
    """Minimises the loss of a program that has begun and gets the resulting weights. Warns if it did not converge."""
    minimum = program.minimize(
        {"train": given}, estimator.max_iter, estimator.max_fun, estimator.tol, _print if estimator.verbose else _quiet
    )
    if not (np.isfinite(minimum.result.fun) and np.isfinite(minimum.result.x).all()):
        raise ValueError(DIVERGED)
    _check_optimize_result("lbfgs", minimum.result, estimator.max_iter)
    return minimum


def _print(number, loss):
    print(f"Iteration {number}, loss = {loss:.8f}")


def _quiet(number, loss):
    """Ignores an iteration: what a fit that is not verbose does with it."""
