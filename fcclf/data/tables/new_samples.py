"""New samples to predict from: a DataFrame, an array or a file, with columns in the order that the network expects.

Named columns are found by their names, in any order; others by their positions. Files are CSV, also from a pipe,
Parquet, NPZ with an array X, NPY, and images in IDX. Samples are returned block by block; CSV and NPY files may be
larger than memory.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.data import idx
from fcclf.data.dataset import pixels
from fcclf.data.schema import Schema
from fcclf.data.tables import csv_file, npz, table
from fcclf.data.tables.cells import listed
from fcclf.data.tables.columns import AS_WRITTEN, NUMBER, TEXT, values
from fcclf.data.tables.csv_file import Heading
from fcclf.data.tables.frame import Frame, of_rows
from fcclf.errors import ConfigError, RunError
from fcclf.settings.fields import brief
from fcclf.settings.run_config import AS_IT_LOOKS, DataShape, Format
from fcclf.system import durable

BLOCK = 1 << 15  # samples of a file in one block
STANDARD_INPUT = "-"
LABEL, IDS = "label", "ids"  # keys of columns wanted besides features
UNKNOWN = "is missing, but the run was trained on data that lack nothing, so it does not know what to take instead"


class Samples(NamedTuple):
    """Successive samples. X: [samples, features]; labels, ids: a text for each sample, or None."""

    X: np.ndarray
    labels: list[str] | None = None
    ids: list[str] | None = None


class Expected(NamedTuple):
    """What a network expects of its samples: the names of columns, the shape, the dtype of numbers, and the format of
    files."""

    schema: Schema
    shape: DataShape
    dtype: str = "float32"
    form: Format = AS_IT_LOOKS

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.shape.n_features

    @property
    def texts(self) -> dict[int, dict[str, int]]:
        """{number of a feature: {text: its index}} of the categories."""
        columns = {number: column.categories for number, column in enumerate(self.schema.columns) if column.categories}
        return {number: {text: place for place, text in enumerate(texts)} for number, texts in columns.items()}


def features(samples, expected: Expected, warn) -> np.ndarray:
    """X, [samples, features], of a DataFrame, of an array, of rows of cells, or of the file at a path.

    In an array of numbers a category is given by its index. warn(sentence): called for columns that are left out.
    Raises RunError if the samples do not fit.
    """
    if isinstance(samples, str | Path):
        return _joined(read(Path(samples), expected, warn), expected)
    if hasattr(samples, "iloc"):
        return _of_table(Frame("X", samples), expected, warn)
    array = np.asarray(samples)
    if array.dtype.kind in "fiub" and array.size:
        return _of_array("X", array, expected)
    rows = [*map(list, array)]
    return _of_table(of_rows("X", rows), expected, warn) if rows else _joined([], expected)


def _of_array(name, array, expected, first=0):
    """X of an array of numbers. name: for messages, which count rows from `first`."""
    if array.ndim != 2 or array.shape[1] != expected.n_features or array.dtype.kind not in "fiub":
        raise RunError(
            f"{name}: an array of {array.dtype} {array.shape}, but the run needs numbers, {expected.n_features} a "
            "sample, [samples, features]."
        )
    X = npz.checked_features(name, array, first, expected.dtype)
    for begin in range(0, 0 if expected.shape.missing else len(X), BLOCK):
        missing = np.isnan(X[begin : begin + BLOCK])
        if missing.any():
            row, column = np.argwhere(missing)[0]
            raise RunError(f"{name}: X[{first + begin + row}, {column}] {UNKNOWN}.")
    return X


def _of_table(table, expected, warn):
    return _joined(_of_columns(table, expected, warn), expected)


def _joined(blocks, expected):
    """X of blocks of samples."""
    found = [block.X for block in blocks]
    return np.concatenate(found) if found else np.empty((0, expected.n_features), expected.dtype)


class Columns:
    """The positions of a table's columns. features: in the order that the network expects; label, ids: None without
    one; extra: the names of columns that are left out. wanted: the columns and what they must hold, as
    `columns.values` takes them, each feature by its number."""

    def __init__(self, heading: Heading, expected: Expected, label: str | None = None, ids: str | None = None):
        """label, ids: the name or number that the user gave. Raises ConfigError or RunError if a column is missing."""
        self.heading, schema = heading, expected.schema
        self.label = None if label is None else heading.place("label", label)
        self.ids = None if ids is None else heading.place("id", ids)
        by_name = bool(schema.columns) and heading.named == schema.named
        by_name = by_name and (heading.named or len(heading.columns) > expected.n_features)
        if by_name and self.label is None and schema.label in heading.columns:
            self.label = heading.columns.index(schema.label)
        self.features = self._by_name(schema.names) if by_name else self._by_place(expected.n_features)
        used = {self.label, self.ids, *self.features}
        self.wanted = self._wanted(expected)
        self.extra = [column for place, column in enumerate(heading.columns) if place not in used]

    def _wanted(self, expected):
        number = NUMBER if expected.shape.missing else NUMBER._replace(required=UNKNOWN)
        besides = {LABEL: self.label, IDS: self.ids}
        return {
            **{at: (place, TEXT if at in expected.texts else number) for at, place in enumerate(self.features)},
            **{name: (place, AS_WRITTEN) for name, place in besides.items() if place is not None},
        }

    def _by_name(self, names):
        path, columns, _ = self.heading
        counts, places = Counter(columns), {column: place for place, column in enumerate(columns)}
        lacking = [name for name in names if not counts[name]]
        if lacking:
            raise RunError(f"{path} lacks {listed(lacking)}: the run needs {listed(names)}.")
        doubled = [name for name in names if counts[name] > 1]
        if doubled:
            raise RunError(f"{path} has several columns of the name {brief(doubled[0])}: rename the others.")
        return [places[name] for name in names]

    def _by_place(self, n_features):
        places = [place for place, _ in enumerate(self.heading.columns) if place not in (self.label, self.ids)]
        if len(places) != n_features:
            besides = " besides label and id" if len(places) < len(self.heading.columns) else ""
            raise RunError(
                f"{self.heading.path} has {len(places)} columns{besides}, but the run needs {n_features}, which it "
                "knows by their places alone."
            )
        return places

    def tell(self, warn):
        """Warns of columns that are left out."""
        if self.extra:
            warn(f"{self.heading.path} has columns that the run does not know: {listed(self.extra)}")


def _matrix(found, expected):
    """X, made of the values of some rows. found: {number of a feature: values}."""
    X = np.empty((len(found[0]), expected.n_features), expected.dtype)
    for number, column in enumerate(X.T):
        known = expected.texts.get(number)
        column[:] = found[number] if known is None else [known.get(text, len(known)) for text in found[number]]
    return X


# ---- files -----------------------------------------------------------------------------------------------------------


def read(
    path: Path, expected: Expected, warn, label: str | None = None, ids: str | None = None, form: Format = AS_IT_LOOKS
) -> Iterator[Samples]:
    """The samples in a file, block by block; "-" is a CSV file from standard input.

    label, ids: names or numbers of columns; form: how a CSV file is written, with what is None as in training.
    warn(sentence): called for columns that are left out. Raises RunError, also after some blocks, if the samples do not
    fit; ConfigError for a column that is missing.
    """
    check(path)
    form = form.where_said(expected.form)
    if str(path) == STANDARD_INPUT:
        with csv_file.streamed("standard input", sys.stdin.buffer, form) as opened:
            yield from _of_columns(opened, expected, warn, label, ids)
        return
    arrays = _reader_of_arrays(path)
    with durable.explained("read", path, *durable.MALFORMED):
        if arrays:
            _refuse_columns(path, {"label": label, "id": ids})
            X, labels = arrays(path, expected)
            for first in range(0, len(X), BLOCK):
                part = slice(first, first + BLOCK)
                yield Samples(_of_array(path, X[part], expected, first), None if labels is None else labels[part])
            return
        with table.opened(path, form) as opened:
            yield from _of_columns(opened, expected, warn, label, ids)


def check(path: Path):
    """Raises RunError if there is no file at `path` that can be read."""
    if str(path) != STANDARD_INPUT:
        durable.check_file(path)


def _of_columns(table, expected, warn, label=None, ids=None):
    columns = Columns(table.heading, expected, label, ids)
    columns.tell(warn)
    for found in values(table, columns.wanted):
        yield Samples(_matrix(found, expected), found.get(LABEL), found.get(IDS))


def _refuse_columns(path, given):
    for setting, column in given.items():
        if column is not None:
            raise ConfigError(setting, f"is {brief(column)}, a column of a CSV file, but {path} is none: leave it out.")


def _reader_of_arrays(path):
    """The function that reads the arrays in a file, X and labels; None if the file is a table of columns."""
    if path.suffix in (".npz", ".npy"):
        return {".npz": _npz, ".npy": _npy}[path.suffix]
    return _idx if path.name.removesuffix(".gz").endswith("-ubyte") else None


def _npz(path, expected):
    X, labels = npz.samples(path)
    return X, None if labels is None else list(map(str, labels.tolist()))


def _npy(path, expected):
    return np.load(path, mmap_mode="r", allow_pickle=False), None


def _idx(path, expected):
    images = idx.read(path, 3)
    if expected.schema.image_shape not in (None, images.shape[1:]):
        height, width = expected.schema.image_shape
        raise RunError(f"{path} has images of {images.shape[1:]} pixels, but the run needs {height} x {width}.")
    return pixels(images.reshape(len(images), -1)), None
