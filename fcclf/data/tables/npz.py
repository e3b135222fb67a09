"""Arrays in NPZ files, and the rules for arrays of features from any source."""

import functools
import warnings
import zipfile
from pathlib import Path

import numpy as np

from fcclf.data.rows import READ_AT_ONCE
from fcclf.data.tables.cells import LARGEST
from fcclf.data.tables.contents import Contents, numbered
from fcclf.errors import ConfigError, RunError
from fcclf.settings.fields import brief
from fcclf.settings.run_config import REGRESSION
from fcclf.settings.sources import Table
from fcclf.system import durable, memory


def read(path: Path, source: Table) -> Contents:
    """The table in an NPZ file. Raises RunError if it holds none, ConfigError for a setting that arrays do not have."""
    for setting in ("label", "drop", "columns", "categories", "delimiter", "encoding"):
        if getattr(source, setting):
            raise ConfigError(setting, f"is for the columns of a CSV file, but {path} has arrays: leave it out.")
    found = arrays(path, wanted(source))
    contents = of_arrays(path, source, *found)
    return contents._replace(X=contents.X.astype(np.float32, copy=False))


def wanted(source: Table) -> list[str]:
    """The names of the arrays that make a table."""
    return ["X", "y", *([] if source.weight_column is None else [source.weight_column])]


def of_arrays(path: Path, source: Table, X, labels, *weights) -> Contents:
    """The table in arrays, which are in the order of `wanted`; X keeps its dtype. Raises RunError if they do not form a
    table."""
    numbers, weight = source.task == REGRESSION, source.weight_column
    if X.ndim != 2 or not X.size or labels.shape != X.shape[:1] or X.dtype.kind not in "fiub" or labels.dtype.fields:
        raise RunError(
            f"{path} has X {X.shape} of {X.dtype} and y {labels.shape}, but X must be numbers [samples, features] and "
            "y a label for each sample."
        )
    check_features(path, X)
    empty = np.flatnonzero(~_filled(X))
    if len(empty):
        raise RunError(f"{path} has no value in X[:, {empty[0]}]: leave that column out.")
    weights = _weights(path, weight, *weights, labels) if weights else None
    columns = [f"X[:, {column}]" for column in range(X.shape[1])]
    if numbers:
        return Contents(X, _numbers(path, labels), (), columns, weights)
    texts, places = np.unique(labels, return_inverse=True)
    renumbered, classes = numbered(list(map(str, texts)), path)
    return Contents(X, renumbered[places], classes, columns, weights)


def checked_features(path: Path, X: np.ndarray, first: int = 0, dtype: str = "float32") -> np.ndarray:
    """X, numbers [samples, features], as `dtype`; NaN stands for a missing one. Raises RunError, which counts rows from
    `first`, if float32 cannot hold one."""
    check_features(path, X, first)
    return X.astype(dtype, copy=False)


def check_features(path: Path, X: np.ndarray, first: int = 0):
    """Raises RunError like `checked_features`. X is read block by block."""
    for begin in range(0, len(X), READ_AT_ONCE):
        some = X[begin : begin + READ_AT_ONCE]
        smallest, largest = np.fmin.reduce(some, axis=None), np.fmax.reduce(some, axis=None)
        if float(smallest) < -LARGEST or float(largest) > LARGEST:
            row, column = next((number, place) for number, row in enumerate(some) for place in _unfit(row))
            where = f"X[{first + begin + row}, {column}]"
            raise RunError(f"{path} has {some[row, column]} at {where}, which float32 cannot hold: correct it.")


def _filled(X):
    """Whether each column has a number that is not missing, [features]. X is read block by block."""
    blocks = (X[first : first + READ_AT_ONCE] for first in range(0, len(X), READ_AT_ONCE))
    return functools.reduce(np.logical_or, ((~np.isnan(each)).any(axis=0) for each in blocks))


def samples(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(X, y) of an NPZ file; y is None if there is none. Raises RunError if there is no X, or y does not fit it."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in ("X", "y") if f"{name}.npy" in archive.namelist() or name == "X"]
    X, *labels = arrays(path, names)
    if labels and labels[0].shape != X.shape[:1]:
        raise RunError(f"{path} has X {X.shape} and y {labels[0].shape}, but y must be a label for each sample.")
    return X, labels[0] if labels else None


def arrays(path: Path, names: list[str]) -> list[np.ndarray]:
    """The arrays of these names in an NPZ file. Raises RunError if one is missing, or too large for memory."""
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old or odd headers
            members = [archive.getinfo(f"{name}.npy") for name in names]
            size = sum(member.file_size for member in members)
            memory.require(memory.Needed(2 * size), f"reading {path}", "take fewer samples")
            return [_array(archive, member) for member in members]
    except RunError:
        raise
    except durable.MALFORMED as error:
        reason = durable.reason(error)
        raise RunError(f"{path} cannot be read ({reason}): it must be an NPZ file with the arrays X and y.") from error


def _numbers(path, labels):
    """The labels as float64 [samples]. Raises RunError if one is not a number that float32 can hold."""
    if labels.dtype.kind not in "fiub":
        raise RunError(f"{path} has y of {labels.dtype}, but labels to be predicted as numbers must be numbers.")
    if not (float(labels.min()) >= -LARGEST and float(labels.max()) <= LARGEST):
        row = next(row for row, _ in enumerate(labels) if not abs(float(labels[row])) <= LARGEST)
        raise RunError(f"{path} has {labels[row]} at y[{row}], which float32 cannot hold: correct it.")
    return labels.astype(np.float64)


def _weights(path, name, weights, labels):
    """The weights as float32 [samples]. Raises RunError if the array does not hold weights."""
    if weights.shape != labels.shape or weights.dtype.kind not in "fiub" or not _are_weights(weights):
        raise RunError(
            f"{path} has {brief(name)} {weights.shape} of {weights.dtype}, but weights must be a number of at least 0 "
            "for each sample."
        )
    return weights.astype(np.float32)


def _array(archive, member):
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _unfit(row):
    """The positions in a row of numbers that float32 cannot hold; NaN, a missing number, is not one of them."""
    return np.flatnonzero(np.abs(row.astype(float)) > LARGEST)


def _are_weights(weights):
    """Whether weights, [samples], are numbers of at least 0."""
    weights = np.float32(weights)
    return bool((np.isfinite(weights) & (weights >= 0)).all())
