"""Arrays only: the data sets, their split into a training and a test part, and the order of an epoch.

Everything here is a function of the settings. The order of epoch e depends on (seed, e) alone, so there is no generator
whose state a checkpoint would have to hold, and an epoch can be entered again at any batch.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from sklearn import datasets

from fcclf.config import Config


class Dataset(NamedTuple):
    """The arrays of a run.

    X_train, X_test: float32 [samples, features]; y_train, y_test: int32 [samples], class numbers from 0.
    n_classes: how many classes there are, seen in the training part or not.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int

    @property
    def n_features(self):
        return self.X_train.shape[1]


def load(config: Config) -> Dataset:
    """The data that `config.data` describes."""
    moons = config.data
    X, y = datasets.make_moons(moons.samples, noise=moons.noise, random_state=moons.data_seed)
    return split(X.astype(np.float32), y.astype(np.int32), moons.test_size, n_classes=2)


def split(X, y, test_size, n_classes) -> Dataset:
    """The last `test_size` samples are the test part, the others the training part."""
    return Dataset(X[:-test_size], y[:-test_size], X[-test_size:], y[-test_size:], n_classes)


def fingerprint(dataset: Dataset) -> str:
    """sha256 over every array's bytes, shape and type: equal for equal data only."""
    digest = hashlib.sha256()
    for array in dataset[:4]:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def epoch_order(seed: int, epoch: int, size: int, sampling: str) -> np.ndarray:
    """The sample numbers of epoch `epoch` (from 0) in the order they are trained on: int32 [size].

    `sampling` is "shuffle" (each sample once) or "bootstrap" (drawn with replacement).
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))  # named, so that numpy's default may change
    if sampling == "bootstrap":
        return generator.integers(size, size=size, dtype=np.int32)
    return generator.permutation(size).astype(np.int32)
