"""Early stopping by any scorer of scikit-learn, which is called after every epoch.

The rule of `fcclf.learning.rules` is applied outside the graph, which cannot call scorers. So such a fit runs epoch by
epoch and cannot be kept as a run.
"""

import copy
import math

import numpy as np
from sklearn.metrics import check_scoring

from fcclf.data.dataset import Part
from fcclf.learning.rules import Rule


class Scoring:
    """The scores of a fit's epochs on its validation part, and the weights of the best one.

    best: the best score so far. values: {variable: value} of its epoch, {} before there is one. stopped: patience is
    exhausted.
    """

    def __init__(self, estimator, validation: Part, labels, patience: int):
        """labels: of the validation part, as the user has them. A fit that continues one starts with its best score."""
        self.estimator, self.validation, self.labels, self.patience = estimator, validation, labels, patience
        self.scorer = check_scoring(estimator, estimator.scoring)
        self.rule = Rule("score", rising=True, lenient=True)
        self.best, self.values, self.wait, self.stopped = -math.inf, {}, 0, False
        if estimator.best_validation_score_ is not None:
            self.best, self.values = estimator.best_validation_score_, estimator._current_values()

    def note(self, values: dict[str, np.ndarray]) -> float:
        """Records an epoch that has ended, and returns its score. values: {variable: value} of all variables."""
        score = self._score(values)
        improved, renewed = self.rule.compare(score, self.best, self.estimator.tol)
        if improved:
            self.best, self.values = score, values
        self.wait = 0 if renewed else self.wait + 1
        self.stopped = self.wait >= self.patience
        return score

    def _score(self, values):
        model = copy.copy(self.estimator)
        model._set_fitted_weights(values)
        model.__dict__.pop("feature_names_in_", None)  # the part has no names
        if not all(np.isfinite(kernel).all() for kernel in model.coefs_):
            return math.nan
        weights = {} if (self.validation.weights == 1).all() else {"sample_weight": self.validation.weights}
        try:
            return float(self.scorer(model, self.validation.X, self.labels, **weights))
        except TypeError as error:
            if not weights:
                raise
            needed = "which sample_weight and class_weight need: choose one that does"
            raise ValueError(f"scoring={self.estimator.scoring!r} takes no weights, {needed}.") from error


def check(estimator):
    """Raises ValueError for parameters that cannot be combined with a scorer."""
    if not estimator.early_stopping:
        raise ValueError("scoring decides early stopping: set early_stopping=True, or scoring=None.")
    if estimator.logdir is not None:
        raise ValueError("scoring is asked outside the graph, whose state a run keeps: set logdir=None.")
    if estimator.solver == "sgd" and estimator.learning_rate == "adaptive":
        raise ValueError(
            "scoring ends a fit, it does not lower its rate: choose another learning_rate than 'adaptive'."
        )
