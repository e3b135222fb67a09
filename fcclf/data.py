"""Arrays only: the data sets, their split into a training and a test part, and the order of an epoch.

Everything here is a function of the settings. The order of epoch e depends on (seed, e) alone, so there is no generator
whose state a checkpoint would have to hold, and an epoch can be entered again at any batch.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from sklearn import datasets

from fcclf.config import Config, Training

BLOCK = 8192  # samples whose statistics are taken at once


class Dataset(NamedTuple):
    """The arrays of a run.

    X_*: float32 [samples, features]; y_*: int32 [samples], class numbers from 0. The validation part is held out of the
    training part for early stopping, else it is empty. n_classes: how many there are, seen in training or not.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_validation: np.ndarray
    y_validation: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int

    @property
    def n_features(self):
        """Columns of X."""
        return self.X_train.shape[1]

    @property
    def arrays(self):
        """The six arrays."""
        return self[:-1]

    @property
    def sizes(self):
        """Numbers of training, validation and test samples."""
        return len(self.y_train), len(self.y_validation), len(self.y_test)


def load(config: Config) -> Dataset:
    """The data that `config.data` describes."""
    moons = config.data
    X, y = datasets.make_moons(moons.samples, noise=moons.noise, random_state=moons.data_seed)
    _, validation_size, test_size = config.part_sizes(len(y), moons.test_size)
    return split(X.astype(np.float32), y.astype(np.int32), validation_size, test_size, n_classes=2)


def split(X, y, validation_size, test_size, n_classes) -> Dataset:
    """The last `test_size` samples are the test part, those before them the validation part, the rest for training."""
    tested = len(y) - test_size
    parts = slice(0, tested - validation_size), slice(tested - validation_size, tested), slice(tested, None)
    return Dataset(*(array[part] for part in parts for array in (X, y)), n_classes)


def statistics(X, each_feature: bool) -> dict[str, np.ndarray]:
    """mean and stddev of X, float32 [samples, features]: of each feature, or of all together; 1 where stddev is 0."""
    axis = 0 if each_feature else None
    parts = [X[first : first + BLOCK] for first in range(0, len(X), BLOCK)]  # float64 copies of all would take too much
    count = X.size / (X.shape[1] if each_feature else 1)
    mean = sum(part.sum(axis, dtype=np.float64) for part in parts) / count
    variance = sum(np.square(part - mean).sum(axis) for part in parts) / count
    return {"mean": mean, "stddev": np.where(variance > 0, np.sqrt(variance), 1.0)}


def fingerprint(dataset: Dataset) -> str:
    """sha256 over every array's bytes, shape and type: equal for equal data only."""
    digest = hashlib.sha256()
    for array in dataset.arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def facts(dataset: Dataset) -> dict:
    """What a run notes of its data: fingerprint, n_features and n_classes."""
    return {"fingerprint": fingerprint(dataset), "n_features": dataset.n_features, "n_classes": dataset.n_classes}


def epoch_order(seed: int, epoch: int, size: int, sampling: str) -> np.ndarray:
    """The sample numbers of epoch `epoch` (from 0) in the order they are trained on: int32 [size].

    `sampling` is "shuffle" (each sample once) or "bootstrap" (drawn with replacement).
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))  # named, so that numpy's default may change
    if sampling == "bootstrap":
        return generator.integers(size, size=size, dtype=np.int32)
    return generator.permutation(size).astype(np.int32)


class EpochOrders:
    """The orders of the epochs of a run, made ahead in a thread while the session computes.

    size: samples in the training part; n_rows: the most epochs asked for at once.
    """

    def __init__(self, training: Training, size: int, n_rows: int):
        self.training, self.shape = training, (n_rows, size)
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.ahead = self.pool.submit(dict)

    def rows(self, first_epoch: int, last_epoch: int) -> np.ndarray:
        """int32 [n_rows, size]: a row for each epoch from first to last; the rows after them are zero."""
        made, orders = self.ahead.result(), np.zeros(self.shape, np.int32)
        for row, epoch in enumerate(range(first_epoch, last_epoch + 1)):
            orders[row] = made[epoch] if epoch in made else self._order(epoch)
        self.ahead = self.pool.submit(self._following, last_epoch, orders[row].copy(), row + 1)
        return orders

    def close(self):
        """Ends the thread."""
        self.pool.shutdown(cancel_futures=True)

    def _following(self, epoch, order, count):
        """{epoch: order} of an epoch, which may not be finished yet, and of `count` epochs after it."""
        return {epoch: order, **{later: self._order(later) for later in range(epoch + 1, epoch + 1 + count)}}

    def _order(self, epoch):
        return epoch_order(self.training.seed, epoch, self.shape[1], self.training.sampling)
