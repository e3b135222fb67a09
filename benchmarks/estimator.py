"""The estimators beside scikit-learn's, the two in turn in one run: python benchmarks/estimator.py

Ratios count; the seconds are those of one machine. Both learn the same: equal settings, equal numbers of epochs.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import resource
import statistics
import subprocess
import time
import warnings

import numpy as np
from sklearn.datasets import load_iris, make_classification, make_friedman1, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fcclf import FCClassifier, FCRegressor

ROUNDS = 3
MOONS = {"hidden_layer_sizes": (6, 4), "batch_size": 64, "random_state": 0, "tol": 0, "n_iter_no_change": np.inf}
RATES, ALPHAS, DROPOUTS = [0.001, 0.003, 0.01, 0.03], [0.0001, 0.01], [0.1, 0.2, 0.3]
FITS = 200


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    tiny_fit()
    predictions()  # early, because the system keeps the peak of the whole process
    many_fits()
    X, y = make_moons(2000, noise=0.2, random_state=0)
    long_fit("2000 x 2, hidden (6, 4), batch 64, 1000 epochs", X, y, FCClassifier, MLPClassifier)
    X, y = make_friedman1(2000, noise=1.0, random_state=0)
    long_fit("2000 x 10, a regression, the same settings", X, y, FCRegressor, MLPRegressor)
    lbfgs()
    types()
    grid()


def tiny_fit():
    X, y = load_iris(return_X_y=True)
    first = seconds(lambda: FCClassifier(random_state=0).fit(X, y))
    later = statistics.median(seconds(lambda: FCClassifier(random_state=0).fit(X, y)) for _ in range(5 * ROUNDS))
    print(f"iris, 200 epochs: {first:.2f} s the first time in a process, then {1000 * later:.0f} ms")


def long_fit(name, X, y, ours, theirs):
    first, again, its = [], [], []
    for size in range(2000, 2000 - ROUNDS, -1):  # a new shape is compiled again
        first.append(seconds(lambda: ours(**MOONS, max_iter=1000).fit(X[:size], y[:size])))  # noqa: B023
        again.append(seconds(lambda: ours(**MOONS, max_iter=1000).fit(X[:size], y[:size])))  # noqa: B023
        its.append(seconds(lambda: theirs(**MOONS, max_iter=1000).fit(X[:size], y[:size])))  # noqa: B023
    mine, later, its = map(statistics.median, (first, again, its))
    print(
        f"{name}: {theirs.__name__} {its:.2f} s; {ours.__name__} {mine:.2f} s "
        f"({its / mine:.1f} times faster), once compiled {later:.2f} s ({its / later:.1f} times faster)"
    )


def lbfgs():
    X, y = make_classification(2000, 20, n_informative=10, random_state=0)
    first = seconds(lambda: FCClassifier(solver="lbfgs", random_state=0).fit(X, y))
    taken = {FCClassifier: [], MLPClassifier: []}
    for seed in range(2 * ROUNDS):
        for kind, times in taken.items():
            times.append(seconds(lambda: kind(solver="lbfgs", random_state=seed).fit(X, y)))  # noqa: B023
    mine, its = map(statistics.median, taken.values())
    print(f"lbfgs, 2000 x 20: MLPClassifier {its:.2f} s; FCClassifier {first:.2f} s the first time, then {mine:.2f} s")


def types():
    X, y = make_classification(2000, 784, n_informative=50, n_classes=10, random_state=0)
    settings = {"hidden_layer_sizes": (512, 512), "max_iter": 5, "random_state": 0}
    taken = {"float64": [], "float32": []}
    for _ in range(ROUNDS):
        for dtype, times in taken.items():
            times.append(seconds(lambda: FCClassifier(**settings, dtype=dtype).fit(X, y)))  # noqa: B023
    wide, narrow = map(statistics.median, taken.values())
    print(f"2000 x 784, hidden (512, 512), 5 epochs: float64 {wide:.2f} s, float32 {narrow:.2f} s")


def grid():
    X, y = make_moons(2000, noise=0.2, random_state=0)
    ours = {"learning_rate_init": RATES, "alpha": ALPHAS, "dropout": DROPOUTS}
    theirs = {"learning_rate_init": RATES, "alpha": [*ALPHAS, 0, 0.001, 0.1, 1]}
    settings = MOONS | {"max_iter": 200}
    mine = seconds(lambda: GridSearchCV(FCClassifier(**settings), ours, cv=5).fit(X, y))
    its = seconds(lambda: GridSearchCV(MLPClassifier(**settings), theirs, cv=5).fit(X, y))
    print(
        f"grid of 24 candidates x 5 folds, 200 epochs: MLPClassifier, without dropout, {its:.1f} s; FCClassifier "
        f"{mine:.1f} s ({its / mine:.1f} times faster)"
    )


def predictions():
    X, y = make_moons(200, noise=0.2, random_state=0)
    fitted, many = FCClassifier(**MOONS, max_iter=5).fit(X, y), np.random.default_rng(0).normal(size=(1_000_000, 2))
    fitted.predict_proba(X)
    before = peak_megabytes()
    taken = seconds(lambda: fitted.predict_proba(many))
    print(f"predict_proba of 1,000,000 x 2: {taken:.2f} s, {peak_megabytes() - before:.0f} MB more at its peak")


def many_fits():
    X, y = load_iris(return_X_y=True)
    for number in range(FITS + 10):
        if number == 10:
            before = resident_megabytes()
        FCClassifier((10,), random_state=number, max_iter=50).fit(X, y).predict(X)
    print(f"{FITS} fits in one process: {resident_megabytes() - before:.0f} MB more resident")


def seconds(use):
    started = time.perf_counter()
    use()
    return time.perf_counter() - started


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_megabytes():
    printed = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], check=True, capture_output=True, text=True)
    return int(printed.stdout) / 1024


if __name__ == "__main__":
    main()
