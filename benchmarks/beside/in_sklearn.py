"""scikit-learn: `MLPClassifier`, with ReLU, because it has no ELU."""

import itertools
import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from beside.answering import answer, seconds, timed

GRID = {"learning_rate_init": [0.001, 0.003, 0.01, 0.03, 0.1], "alpha": [0, 1e-4, 1e-3, 1e-2]}
EPOCHS, FOLDS = 20, 5  # of the grid: 20 candidates


def estimator(workload, kind=MLPClassifier, **settings):
    """An estimator for a workload that never stops before its last epoch."""
    common = {"batch_size": workload.batch_size, "learning_rate_init": workload.learning_rate, "random_state": 0}
    endless = {"tol": 0, "n_iter_no_change": 10**9}
    return kind(workload.hidden, **common | endless | {"alpha": 0.0} | settings)


def fit(workload, kind=MLPClassifier, least=1, **settings):
    """Measures seconds a step of fits of `least` epochs or more."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = workload.samples()
    return timed(lambda n: estimator(workload, kind, max_iter=n, **settings).fit(X, y), workload.n_batches, least)


def row(workload, kind=MLPClassifier, **settings):
    """Measures seconds of predicting one row."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = workload.samples()
    fitted = estimator(workload, kind, max_iter=5, **settings).fit(X, y)
    return timed(lambda n: [fitted.predict(X[:1]) for _ in itertools.repeat(None, n)])


def grid(workload, kind=MLPClassifier, **settings):
    """Measures seconds of a grid search of 100 fits and the last one, compilation included."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = workload.samples()
    made = estimator(workload, kind, max_iter=EPOCHS, **settings)
    return lambda: seconds(GridSearchCV(made, GRID, cv=FOLDS).fit, X, y)


if __name__ == "__main__":
    answer({"fit": lambda workload: fit(workload, alpha=workload.l2), "row": row, "grid": grid})
