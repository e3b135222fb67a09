"""Samples that a network has not seen: from a DataFrame, an array or a file, in the order of its columns.

Columns with names are found by them, in whatever order they stand; others by their places. A file is read block by
block, so that it may be larger than the memory: CSV, also from a pipe, NPZ with an array X, NPY, and images in IDX.
"""

import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.data import csv_file, idx, table
from fcclf.data.csv_file import Heading, listed
from fcclf.data.dataset import pixels
from fcclf.data.schema import Schema
from fcclf.errors import ConfigError, RunError
from fcclf.settings.fields import brief
from fcclf.settings.run_config import DataShape
from fcclf.system import durable

BLOCK = 1 << 15  # samples of a file, read at once
LARGEST_WHOLE = 1e15  # of which a float64 holds every digit
STANDARD_INPUT = "-"
UNKNOWN = "is missing, but the run was trained on data that lack nothing, so it does not know what to take instead"


class Samples(NamedTuple):
    """Some samples in a row. X: [samples, features]; labels, ids: a text for each, None where there are
    none."""

    X: np.ndarray
    labels: list[str] | None = None
    ids: list[str] | None = None


class Expected(NamedTuple):
    """What a network expects of its samples: what their columns are called, what it must fit, the type of numbers."""

    schema: Schema
    shape: DataShape
    dtype: str = "float32"

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.shape.n_features

    @property
    def texts(self) -> dict[int, dict[str, int]]:
        """{number of a feature: {text: its place}} of the categories."""
        columns = {number: column.categories for number, column in enumerate(self.schema.columns) if column.categories}
        return {number: {text: place for place, text in enumerate(texts)} for number, texts in columns.items()}


def features(samples, expected: Expected, warn) -> np.ndarray:
    """X, [samples, features], of a DataFrame, of an array, of rows of cells, or of the file at a path.

    In an array of numbers a category is its place. warn(sentence): called for columns that are left out. Raises
    RunError if the samples do not fit.
    """
    if isinstance(samples, str | Path):
        blocks = [block.X for block in read(Path(samples), expected, warn)]
        return np.concatenate(blocks) if blocks else np.empty((0, expected.n_features), expected.dtype)
    if hasattr(samples, "iloc"):
        return _of_frame(samples, expected, warn)
    array = np.asarray(samples)
    if array.dtype.kind in "fiub" and array.size:
        return _of_array("X", array, expected)
    return _of_rows([*map(list, array)], expected)


def _of_array(name, array, expected, first=0):
    """X of an array of numbers. name: for messages, which count rows from `first`."""
    if array.ndim != 2 or array.shape[1] != expected.n_features or array.dtype.kind not in "fiub":
        raise RunError(
            f"{name}: an array of {array.dtype} {array.shape}, but the run needs numbers, {expected.n_features} a "
            "sample, [samples, features]."
        )
    X = table.checked_features(name, array, first, expected.dtype)
    if not expected.shape.missing and np.isnan(X).any():
        row, column = np.argwhere(np.isnan(X))[0]
        raise RunError(f"{name}: X[{first + row}, {column}] {UNKNOWN}.")
    return X


def _of_frame(frame, expected, warn):
    columns = [str(column) for column in frame.columns]
    named = not all(isinstance(column, int | np.integer) for column in frame.columns)
    found = Columns(Heading("X", columns, named), expected)
    found.tell(warn)
    cells = [frame.iloc[:, place].tolist() for place, _ in enumerate(columns)]
    return _of_cells(zip(*cells, strict=True), found)


def _of_rows(rows, expected):
    width = len(rows[0]) if rows else expected.n_features
    found = Columns(Heading("X", [f"column {place}" for place in range(1, width + 1)], False), expected)
    return _of_cells(rows, found)


def _of_cells(rows, columns):
    cells = [[_cell(cell) for cell in row] for row in rows]
    return _matrix(csv_file.Block(list(range(1, len(cells) + 1)), cells), columns)


def _cell(cell):
    """A cell as a file would have it: nothing where it is missing, and no point in a whole number."""
    if cell is None or cell != cell:
        return ""
    whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < LARGEST_WHOLE
    return str(int(cell)) if whole else str(cell)


class Columns:
    """Where the columns of a table are: features, in the order of the network's; label and ids, None where there are
    none; extra: the names of those that are left out. numbers: which features are such; texts: {number of a feature:
    {text: its place}} of the others. lacking: numbers may be missing. dtype: of what is made of them."""

    def __init__(self, heading: Heading, expected: Expected, label: str | None = None, ids: str | None = None):
        """label, ids: the name or number that a user has given. Raises ConfigError or RunError if a column is not
        there."""
        self.heading, schema, self.lacking = heading, expected.schema, expected.shape.missing
        self.texts, self.dtype = expected.texts, expected.dtype
        self.numbers = [number for number in range(expected.n_features) if number not in self.texts]
        self.label = None if label is None else heading.place("label", label)
        self.ids = None if ids is None else heading.place("id", ids)
        by_name = bool(schema.columns) and heading.named == schema.named
        by_name = by_name and (heading.named or len(heading.columns) > expected.n_features)
        if by_name and self.label is None and schema.label in heading.columns:
            self.label = heading.columns.index(schema.label)
        self.features = self._by_name(schema.names) if by_name else self._by_place(expected.n_features)
        used = {self.label, self.ids, *self.features}
        self.extra = [column for place, column in enumerate(heading.columns) if place not in used]

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


def _matrix(block, columns):
    """X of a block of rows. Raises RunError for the first cell that does not fit."""
    X = np.empty((len(block.rows), len(columns.features)), columns.dtype)
    try:
        values = csv_file.numbers(block.rows, [columns.features[number] for number in columns.numbers])
    except ValueError:
        raise _damage(block, columns) from None
    with np.errstate(over="ignore"):
        numbers = np.reshape(values, (len(block.rows), len(columns.numbers))).astype(columns.dtype)
    if np.isinf(numbers).any() or (not columns.lacking and np.isnan(numbers).any()):
        raise _damage(block, columns)
    X[:, columns.numbers] = numbers
    for number, known in columns.texts.items():
        place = columns.features[number]
        X[:, number] = [known.get(csv_file.text(row[place]), len(known)) for row in block.rows]
    return X


def _damage(block, columns):
    """The error for the first cell of a block that does not fit."""
    path, names, _ = columns.heading
    for line, row in zip(*block, strict=True):
        for place in (columns.features[number] for number in columns.numbers):
            missing = csv_file.is_missing(row[place])
            if missing and not columns.lacking:
                return csv_file.damage(path, line, f", {brief(names[place])} {UNKNOWN}")
            if not missing and csv_file.number(row[place]) is None:
                return csv_file.damage(path, line, csv_file.no_number(names[place], row[place]))
    raise ValueError("no cell is damaged")


# ---- files -----------------------------------------------------------------------------------------------------------


def read(path: Path, expected: Expected, warn, label: str | None = None, ids: str | None = None) -> Iterator[Samples]:
    """The samples in a file, block by block; "-" is a CSV file from standard input.

    label, ids: names or numbers of columns of a CSV file. warn(sentence): called for columns that are left out. Raises
    RunError, also after some blocks, if the samples do not fit; ConfigError for a column that is not there.
    """
    check(path)
    if str(path) == STANDARD_INPUT:
        text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
        with csv_file.read("standard input", text) as opened:
            yield from _of_csv(opened, expected, warn, label, ids)
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
        with csv_file.opened(path) as opened:
            yield from _of_csv(opened, expected, warn, label, ids)


def check(path: Path):
    """Raises RunError if there is no file at `path` that can be read."""
    if str(path) != STANDARD_INPUT:
        durable.check_file(path)


def _of_csv(opened, expected, warn, label, ids):
    columns = Columns(opened.heading, expected, label, ids)
    columns.tell(warn)
    for block in opened.blocks(BLOCK):
        X = _matrix(block, columns)
        yield Samples(X, *(_texts(block, place) for place in (columns.label, columns.ids)))


def _texts(block, place):
    return None if place is None else [row[place].rstrip() for row in block.rows]


def _refuse_columns(path, given):
    for setting, column in given.items():
        if column is not None:
            raise ConfigError(setting, f"is {brief(column)}, a column of a CSV file, but {path} is none: leave it out.")


def _reader_of_arrays(path):
    """The function that reads the arrays in a file, X and labels; None for a CSV file."""
    if path.suffix in (".npz", ".npy"):
        return {".npz": _npz, ".npy": _npy}[path.suffix]
    return _idx if path.name.removesuffix(".gz").endswith("-ubyte") else None


def _npz(path, expected):
    X, labels = table.npz_samples(path)
    return X, None if labels is None else list(map(str, labels.tolist()))


def _npy(path, expected):
    return np.load(path, mmap_mode="r", allow_pickle=False), None


def _idx(path, expected):
    images = idx.read(path, 3)
    if expected.schema.image_shape not in (None, images.shape[1:]):
        height, width = expected.schema.image_shape
        raise RunError(f"{path} has images of {images.shape[1:]} pixels, but the run needs {height} x {width}.")
    return pixels(images.reshape(len(images), -1)), None
