"""One grid search on one process, on joblib's processes and over a Dask cluster: python benchmarks/searches.py

Each way searches twice, because its workers start, import TensorFlow and compile in the first search. Ratios count; the
seconds are those of one machine. Needs fcclf[search].
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning")  # of the workers: 200 epochs are few

import contextlib
import time
import warnings

import joblib
import numpy as np
from dask.distributed import Client, LocalCluster
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid

from fcclf import FCClassifier
from fcclf.learning.program import kept_plans

WORKERS = 2
GRID = {"learning_rate_init": [0.001, 0.003, 0.01, 0.03, 0.1], "alpha": [0.0001, 1]}
FOLDS = 5
SETTINGS = {"hidden_layer_sizes": (16, 8), "batch_size": 64, "max_iter": 200, "tol": 0, "n_iter_no_change": np.inf}


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = make_moons(2000, noise=0.3, random_state=42)
    print(f"{len(ParameterGrid(GRID))} candidates x {FOLDS} folds, {WORKERS} workers")
    first, _ = searched_twice("one process", X, y, lambda: [len(kept_plans())])
    for name, workers in (
        ("joblib's processes", processes()),
        ("Dask, 1 thread a worker", cluster(threads=1)),
        ("Dask, 2 threads a worker", cluster(threads=2)),
    ):
        with workers as programs:
            same = all(same_result(each, first) for each in searched_twice(name, X, y, programs))
            print(f"    the same mean_test_score and best_params_ as on one process: {same}", flush=True)


@contextlib.contextmanager
def processes():
    """joblib's own processes. Yields a function that returns the number of programs in each."""
    with joblib.parallel_config("loky", n_jobs=WORKERS):
        yield lambda: dict(joblib.Parallel()(joblib.delayed(counted)() for _ in range(20 * WORKERS))).values()


def counted():
    return os.getpid(), len(kept_plans())


@contextlib.contextmanager
def cluster(threads):
    """A Dask cluster on this machine. Yields a function that returns the number of programs in each worker."""
    settings = {"n_workers": WORKERS, "threads_per_worker": threads, "dashboard_address": None}
    with LocalCluster(**settings) as workers, Client(workers) as client, joblib.parallel_config("dask"):
        yield lambda: client.run(lambda: len(kept_plans())).values()


def searched_twice(name, X, y, programs):
    """Runs the search twice and returns both; prints how fast they were, and how many programs were compiled."""
    found, speeds = [], []
    for _ in range(2):
        started = time.perf_counter()
        found.append(GridSearchCV(FCClassifier(**SETTINGS, random_state=0), GRID, cv=FOLDS, refit=False).fit(X, y))
        speeds.append(len(found[-1].cv_results_["params"]) * FOLDS / (time.perf_counter() - started))
    counts = ", ".join(map(str, sorted(programs())))
    print(f"{name}: {speeds[0]:.1f} fits a second, then {speeds[1]:.1f}; programs in each worker: {counts}", flush=True)
    return found


def same_result(one, other):
    equal = np.array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])
    return equal and one.best_params_ == other.best_params_


if __name__ == "__main__":
    main()
