"""Data sets: their parts as arrays, what is known about them, and their statistics."""

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
FAR_APART = 100  # ratio of a column's largest deviation to the smallest, or to 1 if that is less
LOOKED_AT = 1_000_000  # numbers, about, that tell how far apart the columns' deviations are
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
        """The arrays of the part; `SparseRows` have two."""
        X = self.X if self.is_sparse else [self.X]
        return [each for each in (*X, self.y, self.weights) if each is not None]

    def as_fed(self) -> "Part":
        """The part with its arrays in aligned memory, copied if need be: others a session would copy in every call."""
        X = SparseRows(*map(in_aligned_memory, self.X)) if self.is_sparse else in_aligned_memory(self.X)
        return Part(X, *(None if each is None else in_aligned_memory(each) for each in self[1:]))

    def at(self, rows) -> "Part":
        """Some of the samples, given by number or as a slice. The part must not be sparse."""
        return Part(*(None if each is None else each[rows] for each in self))


class Dataset(NamedTuple):
    """The arrays of a run.

    validation: held out of the training part for early stopping, else empty. n_classes: number of classes, seen in
    training or not. schema: the names of columns and classes. In regression, y is float32 [samples, 1], n_classes is 1,
    and y * label_stddev + label_mean are the labels: y has mean 0 and standard deviation 1 in the training part, unless
    logarithms are predicted. categories, missing: as in `DataShape`. digest: the fingerprint of all arrays, if it is
    known.
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
        """Whether numbers are predicted, not classes."""
        return self.test.y.ndim == 2

    def numbers(self, y, logarithms=False) -> np.ndarray:
        """y, or a network's outputs, [samples, 1], in the unit of the labels: float64 [samples]. logarithms: as in
        `fcclf.data.dataset.numbers`."""
        return numbers(y, self, logarithms)

    @property
    def classes(self) -> list[str]:
        """The name of each class."""
        return self.schema.class_names(self.n_classes)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.train.X.shape[1]

    @property
    def facts(self) -> Facts:
        """What a run records about these data."""
        digest = self.digest or fingerprint(self.arrays)
        return Facts(digest, *self.shape[:2], self.label_mean, self.label_stddev, self.categories, self.missing)

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays that are fingerprinted, in order."""
        parts = self.train, self.validation, self.test
        weights = [part.weights for part in parts if part.weights is not None]
        return [*(array for part in parts for array in part[:2]), *weights]

    def sample(self, most: int) -> "Dataset":
        """A data set with at most `most` samples of each part, the same ones every time."""
        if max(len(part.y) for part in (self.train, self.validation, self.test)) <= most:
            return self
        return self._replace(**{name: _some(getattr(self, name), most) for name in PARTS})

    @property
    def shape(self) -> DataShape:
        """The shape of the data, which a network must fit."""
        return DataShape(self.n_features, self.n_classes, self.categories, self.missing)

    @property
    def axes(self) -> int:
        """Number of axes that a picture of the samples needs, one for each feature; 0 if some features are categories
        or missing."""
        return 0 if self.categories or self.missing else self.n_features


def _some(part, most):
    if len(part.y) <= most:
        return part
    rows = np.sort(np.random.Generator(np.random.PCG64(most)).choice(len(part.y), most, replace=False))
    return part.at(rows)


def split(X, y, validation_size: int, test_size: int, n_classes: int) -> Dataset:
    """A data set: the last samples are the test part, those before the validation part, the rest the training part."""
    tested = len(y) - test_size
    parts = slice(0, tested - validation_size), slice(tested - validation_size, tested), slice(tested, None)
    return Dataset(*(Part(X[part], y[part]) for part in parts), n_classes)


def numbers(answers, data: Dataset | Facts, logarithms=False) -> np.ndarray:
    """A network's outputs, [samples, outputs], in the unit of the labels: float64 [samples, outputs], or [samples] if
    there is one output. logarithms: the outputs are logarithms of labels."""
    values = (answers[:, 0] if answers.shape[1] == 1 else answers).astype(np.float64)
    if logarithms:
        values = np.exp(np.minimum(values, LARGEST_LOGARITHM))
    return values * data.label_stddev + data.label_mean


def with_numbers(dataset: Dataset, scaled: bool) -> Dataset:
    """A data set for regression, made of one whose y are float [samples]. scaled: y are scaled to mean 0 and standard
    deviation 1 in the training part."""
    y = dataset.train.y.astype(np.float64)
    mean, stddev = (float(y.mean()), float(y.std()) or 1.0) if scaled else (0.0, 1.0)
    parts = (
        part._replace(y=((part.y.astype(np.float64) - mean) / stddev).astype(np.float32)[:, None])
        for part in (dataset.train, dataset.validation, dataset.test)
    )
    return dataset._replace(**dict(zip(PARTS, parts, strict=True)), n_classes=1, label_mean=mean, label_stddev=stddev)


def aligned(shape: tuple[int, ...], dtype=np.float32) -> np.ndarray:
    """An uninitialised array that begins at a multiple of ALIGNMENT, so that a session need not copy it."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    spare = np.empty(size + ALIGNMENT, np.uint8)
    first = -spare.ctypes.data % ALIGNMENT
    return spare[first : first + size].view(dtype).reshape(shape)


def aligned_copy(array: np.ndarray, dtype=None) -> np.ndarray:
    """A copy of an array in aligned memory, by default of the same dtype."""
    copied = aligned(array.shape, dtype or array.dtype)
    copied[...] = array
    return copied


def in_aligned_memory(array: np.ndarray) -> np.ndarray:
    """`array` itself if it is in aligned memory, else a copy that is."""
    return aligned_copy(array) if array.ctypes.data % ALIGNMENT else array


def pixels(X) -> np.ndarray:
    """X, uint8, as float32 from 0 to 1."""
    return np.divide(X, np.float32(255), out=aligned(X.shape))


def statistics(X, each_feature: bool) -> dict[str, np.ndarray]:
    """{"mean", "stddev"} of X, float32 [samples, features]: of each feature, or of all together. A stddev of 0 becomes
    1. NaN, a missing number, is ignored."""
    axis = 0 if each_feature else None
    parts = [X[first : first + BLOCK] for first in range(0, len(X), BLOCK)]  # a float64 copy of all would be large
    count = np.maximum(1, sum((~np.isnan(part)).sum(axis) for part in parts))
    mean = sum(np.nansum(part, axis, dtype=np.float64) for part in parts) / count
    variance = sum(np.nansum(np.square(part - mean), axis) for part in parts) / count
    return {"mean": mean, "stddev": np.where(variance > 0, np.sqrt(variance), 1.0)}


def far_apart(X, categories=()) -> tuple[float, float] | None:
    """(smallest, largest) standard deviation of the features of X, float [samples, features], if they are so far apart
    that a network may learn nothing; else None. About LOOKED_AT numbers are measured. categories: as in `DataShape`;
    they are left out."""
    stddev = statistics(X[:: math.ceil(X.size / LOOKED_AT)], each_feature=True)["stddev"]
    numbers = [each for place, each in enumerate(stddev) if not (categories and categories[place])]
    low, high = (float(min(numbers)), float(max(numbers))) if numbers else (1.0, 1.0)
    return (low, high) if high > FAR_APART * min(low, 1) else None


def layer_statistics(layers: dict[str, Block], dataset: Dataset) -> dict[str, np.ndarray]:
    """{variable name: values} of the statistics of the training data, for the layers that need them."""
    needed = {name: block.over for name, block in layers.items() if block.over}
    return {
        f"{name}/{key}": values
        for name, over in needed.items()
        for key, values in _measured(dataset.train.X, over, dataset.categories).items()
    }


def _measured(X, over, categories):
    """{name: values} of the statistics that a block needs. Categories are not scaled; missing ones become -1."""
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
