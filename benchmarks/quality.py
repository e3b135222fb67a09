"""How well the estimators learn beside scikit-learn's, with the default settings of both: python benchmarks/quality.py

Ten random splits of each data set, the same for both, raw and scaled by StandardScaler. Prints a Markdown table of the
mean scores (accuracy, R2 for regressions), of the mean difference and of its standard error; a star marks data on which
fcclf's score is lower by more than that error.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import warnings

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_friedman1,
    make_moons,
)
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fcclf import FCClassifier, FCRegressor

SPLITS = 10


def main():
    warnings.simplefilter("ignore")
    print("| data | | scikit-learn | fcclf | difference | standard error | |\n|---|---|---|---|---|---|---|")
    for name, (X, y) in classifications().items():
        splits = StratifiedShuffleSplit(SPLITS, test_size=0.25, random_state=0)
        compare(name, X, y, splits, MLPClassifier, FCClassifier)
    for name, (X, y) in regressions().items():
        compare(name, X, y, ShuffleSplit(SPLITS, test_size=0.25, random_state=0), MLPRegressor, FCRegressor)


def classifications():
    return {
        "iris": load_iris(return_X_y=True),
        "wine": load_wine(return_X_y=True),
        "breast_cancer": load_breast_cancer(return_X_y=True),
        "digits": load_digits(return_X_y=True),
        "moons": make_moons(1000, noise=0.3, random_state=0),
        "circles": make_circles(1000, noise=0.2, factor=0.5, random_state=0),
    }


def regressions():
    return {
        "diabetes": load_diabetes(return_X_y=True),
        "houses": houses(),
        "friedman1": make_friedman1(1000, noise=1.0, random_state=0),
    }


def houses(samples=2000):
    """Artificial data like the California housing data: eight columns of very different scales, some with long tails,
    and a price that grows with the first one, falls with the distance from two places, and is cut off."""
    rng = np.random.default_rng(0)
    income, age = rng.gamma(4, 1, samples), rng.uniform(1, 52, samples)
    rooms, bedrooms = rng.lognormal(1.6, 0.3, samples), rng.lognormal(0.06, 0.1, samples)
    population, occupancy = rng.lognormal(7, 0.7, samples), rng.lognormal(1, 0.3, samples)
    latitude, longitude = rng.uniform(32, 42, samples), rng.uniform(-124, -114, samples)
    coast = np.minimum(np.hypot(latitude - 34, longitude + 118), np.hypot(latitude - 38, longitude + 122))
    price = 0.45 * income + 0.1 * rooms + 0.01 * age + 2 * np.exp(-coast) - 0.2 * occupancy
    price = np.clip(price + rng.normal(0, 0.4, samples), 0.15, 5)
    return np.column_stack([income, age, rooms, bedrooms, population, occupancy, latitude, longitude]), price


def compare(name, X, y, splits, theirs, ours):
    for scaling in ("raw", "scaled"):
        their, our = (
            np.array([score(kind, X, y, split, seed, scaling) for seed, split in enumerate(splits.split(X, y))])
            for kind in (theirs, ours)
        )
        difference = our - their
        error = difference.std(ddof=1) / np.sqrt(SPLITS)
        star = "*" if difference.mean() < -error else ""
        print(
            f"| {name} | {scaling} | {their.mean():.4f} | {our.mean():.4f} | {difference.mean():+.4f} | {error:.4f} "
            f"| {star} |",
            flush=True,
        )


def score(kind, X, y, split, seed, scaling):
    """The score of an estimator with that random_state on one split."""
    model = kind(random_state=seed)
    model = make_pipeline(StandardScaler(), model) if scaling == "scaled" else model
    return cross_val_score(model, X, y, cv=[split])[0]


if __name__ == "__main__":
    main()
