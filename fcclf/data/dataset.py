"""Samples as arrays: the parts of a data set, what is known of it, and what is measured on it."""

import hashlib
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fcclf.data.facts import Facts
from fcclf.data.schema import Schema
from fcclf.data.sparse import SparseRows
from fcclf.settings.blocks import MISSING, Block
from fcclf.settings.run_config import DataShape

PARTS = ("train", "validation", "test")
LARGEST_LOGARITHM = 88.0  # of a float32
FAR_APART = 100  # times: the largest deviation of a column against the smallest, or against 1
LOOKED_AT = 10_000  # samples that tell how far apart columns are
ALIGNMENT = 64  # bytes
BLOCK = 8192  # samples whose statistics are taken at once


class Part(NamedTuple):
    """Some samples. X: float [samples, features], or `SparseRows` of them; y: [samples], int32 class numbers from 0, or
    [samples, outputs]; weights: float [samples], or None where every sample counts the same."""

    X: np.ndarray | SparseRows
    y: np.ndarray
    weights: np.ndarray | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether X are `SparseRows`."""
        return isinstance(self.X, SparseRows)

    @property
    def arrays(self) -> list[np.ndarray]:
        """Those arrays that are there."""
        X = self.X if self.is_sparse else [self.X]
        return [each for each in (*X, self.y, self.weights) if each is not None]

    def at(self, rows) -> "Part":
        """Some of the samples, by their numbers or as a slice, of a part that is not sparse."""
        return Part(*(None if each is None else each[rows] for each in self))


class Dataset(NamedTuple):
    """The arrays of a run.

    validation: held out of the training part for early stopping, else without samples. n_classes: how many there are,
    seen in training or not. schema: what columns and classes are called. Where numbers are to be predicted, y is
    float32 [samples, 1], of mean 0 and deviation 1 in the training part, n_classes is 1, and label_mean and
    label_stddev are what the labels had. categories, missing: as in `DataShape`. digest: the fingerprint of all arrays,
    where it is known.
    """

    train: Part
    validation: Part
    test: Part
    n_classes: int
    schema: Schema = Schema()
    label_mean: float = 0.0
    label_stddev: float = 1.0
    categories: tuple[int, ...] = ()
    missing: bool = False
    digest: str | None = None

    @property
    def is_regression(self) -> bool:
        """Whether numbers are to be predicted, not classes."""
        return self.test.y.ndim == 2

    def numbers(self, y, logarithms=False) -> np.ndarray:
        """The labels that stand behind y, or behind answers, [samples, 1]: float64 [samples]."""
        return numbers(y, self, logarithms)

    @property
    def classes(self) -> list[str]:
        """What to call each class."""
        return self.schema.class_names(self.n_classes)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.train.X.shape[1]

    @property
    def facts(self) -> Facts:
        """What a run notes of these data."""
        digest = self.digest or fingerprint(self.arrays)
        return Facts(digest, *self.shape[:2], self.label_mean, self.label_stddev, self.categories, self.missing)

    @property
    def arrays(self) -> list[np.ndarray]:
        """Those that are fingerprinted, in order."""
        parts = self.train, self.validation, self.test
        weights = [part.weights for part in parts if part.weights is not None]
        return [*(array for part in parts for array in part[:2]), *weights]

    def sample(self, most: int) -> "Dataset":
        """The same with at most so many samples in each part, in memory: the same ones every time."""
        if max(len(part.y) for part in (self.train, self.validation, self.test)) <= most:
            return self
        return self._replace(**{name: _some(getattr(self, name), most) for name in PARTS})

    @property
    def shape(self) -> DataShape:
        """What a network must fit."""
        return DataShape(self.n_features, self.n_classes, self.categories, self.missing)

    @property
    def axes(self) -> int:
        """Number of features, if each is a number that no sample lacks, so that a picture may have an axis for it; else
        0."""
        return 0 if self.categories or self.missing else self.n_features


def _some(part, most):
    if len(part.y) <= most:
        return part
    rows = np.sort(np.random.Generator(np.random.PCG64(most)).choice(len(part.y), most, replace=False))
    return part.at(rows)


def split(X, y, validation_size: int, test_size: int, n_classes: int) -> Dataset:
    """The last `test_size` samples are the test part, those before them the validation part, the rest for training."""
    tested = len(y) - test_size
    parts = slice(0, tested - validation_size), slice(tested - validation_size, tested), slice(tested, None)
    return Dataset(*(Part(X[part], y[part]) for part in parts), n_classes)


def numbers(answers, data: Dataset | Facts, logarithms=False) -> np.ndarray:
    """What a network's answers, [samples, outputs], say in the unit of the labels: float64 [samples, outputs], of one
    output [samples]. logarithms: the answers are such."""
    values = (answers[:, 0] if answers.shape[1] == 1 else answers).astype(np.float64)
    if logarithms:
        values = np.exp(np.minimum(values, LARGEST_LOGARITHM))
    return values * data.label_stddev + data.label_mean


def with_numbers(dataset: Dataset, scaled: bool) -> Dataset:
    """The data set of parts whose y are float [samples], to be predicted as numbers. scaled: bring those of the
    training part to mean 0 and deviation 1."""
    y = dataset.train.y.astype(np.float64)
    mean, stddev = (float(y.mean()), float(y.std()) or 1.0) if scaled else (0.0, 1.0)
    parts = (
        part._replace(y=((part.y.astype(np.float64) - mean) / stddev).astype(np.float32)[:, None])
        for part in (dataset.train, dataset.validation, dataset.test)
    )
    return dataset._replace(**dict(zip(PARTS, parts, strict=True)), n_classes=1, label_mean=mean, label_stddev=stddev)


def aligned(shape: tuple[int, ...], dtype=np.float32) -> np.ndarray:
    """An empty array that begins at a multiple of ALIGNMENT: a session takes it as it is, others it copies."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    spare = np.empty(size + ALIGNMENT, np.uint8)
    first = -spare.ctypes.data % ALIGNMENT
    return spare[first : first + size].view(dtype).reshape(shape)


def pixels(X) -> np.ndarray:
    """float32 from 0 to 1 of X, uint8."""
    return np.divide(X, np.float32(255), out=aligned(X.shape))


def statistics(X, each_feature: bool) -> dict[str, np.ndarray]:
    """mean and stddev of X, float32 [samples, features]: of each feature, or of all together; 1 where stddev is 0. A
    NaN, a number that is missing, does not count."""
    axis = 0 if each_feature else None
    parts = [X[first : first + BLOCK] for first in range(0, len(X), BLOCK)]  # float64 copies of all would take too much
    count = np.maximum(1, sum((~np.isnan(part)).sum(axis) for part in parts))
    mean = sum(np.nansum(part, axis, dtype=np.float64) for part in parts) / count
    variance = sum(np.nansum(np.square(part - mean), axis) for part in parts) / count
    return {"mean": mean, "stddev": np.where(variance > 0, np.sqrt(variance), 1.0)}


def far_apart(X, categories=()) -> tuple[float, float] | None:
    """(smallest, largest) of the deviations of X, float [samples, features], where they are so far apart that a network
    may learn nothing from such numbers; else None. Of many samples only some are looked at. categories: as in
    `DataShape`, which have none."""
    stddev = statistics(X[:: math.ceil(len(X) / LOOKED_AT)], each_feature=True)["stddev"]
    numbers = [each for place, each in enumerate(stddev) if not (categories and categories[place])]
    low, high = (float(min(numbers)), float(max(numbers))) if numbers else (1.0, 1.0)
    return (low, high) if high > FAR_APART * min(low, 1) else None


def layer_statistics(layers: dict[str, Block], dataset: Dataset) -> dict[str, np.ndarray]:
    """{variable name: values} for the layers that need the statistics of the training data."""
    needed = {name: block.over for name, block in layers.items() if block.over}
    return {
        f"{name}/{key}": values
        for name, over in needed.items()
        for key, values in _measured(dataset.train.X, over, dataset.categories).items()
    }


def _measured(X, over, categories):
    """{name: values} of the statistics that a block needs, which leave categories as they are."""
    found = statistics(X, over != "all")
    if over == MISSING:
        return {"fill": np.where(categories, -1.0, found["mean"]) if categories else found["mean"]}
    if not categories:
        return found
    return {"mean": np.where(categories, 0.0, found["mean"]), "stddev": np.where(categories, 1.0, found["stddev"])}


def fingerprint(arrays: Iterable[np.ndarray]) -> str:
    """sha256 over every array's bytes, shape and type: equal for equal data only."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        for first in range(0, len(array), BLOCK):
            digest.update(np.ascontiguousarray(array[first : first + BLOCK]).data)
    return digest.hexdigest()
