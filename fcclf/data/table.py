"""Tables of features with a label for each row, from CSV or NPZ files.

A CSV file is read row by row into growing arrays, so that it takes little more memory than its numbers do. A column of
texts becomes numbers: each text has one. Labels may be any text, or numbers to be predicted. Every error names the line
and the column.
"""

import contextlib
import math
import warnings
import zipfile
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.data import csv_file
from fcclf.data.csv_file import LARGEST, LOOKED_AT, listed
from fcclf.data.schema import Column, Schema
from fcclf.errors import ConfigError, RunError
from fcclf.settings.blocks import MOST_CATEGORIES
from fcclf.settings.fields import brief
from fcclf.settings.run_config import REGRESSION
from fcclf.settings.sources import Table
from fcclf.system import durable, memory

FEWEST = 2  # samples of a class: one to train on, one to test
MOST_WHOLE, MOST_BROKEN = 100, 20  # different numbers that may be classes, where all are whole and where some are not
FEW_TEXTS = 20  # in a column, which are categories however few rows there are


class Contents(NamedTuple):
    """X: float32 [samples, features], NaN where a number is missing; y: int32 [samples], class numbers, or float64
    [samples], numbers to be predicted; classes: the label of each class, () of numbers; columns: the name of each
    feature; weights: float32 [samples], or None where every row counts the same. texts: {number of a feature: its
    texts}, of those whose X are places among them. named: a heading gave the names. label: the labels' column."""

    X: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    columns: list[str]
    weights: np.ndarray | None = None
    texts: dict[int, tuple[str, ...]] = {}  # noqa: RUF012
    named: bool = False
    label: str | None = None

    @property
    def categories(self) -> tuple[int, ...]:
        """Number of texts of each feature, 0 of numbers; () where all are numbers."""
        return tuple(len(self.texts.get(place, ())) for place, _ in enumerate(self.columns)) if self.texts else ()

    def with_texts_of(self, rows: np.ndarray) -> "Contents":
        """The same table whose texts are those that some rows have: the others are unknown. rows: their numbers."""
        X, texts = self.X, {}
        for feature, known in self.texts.items():
            kept = np.unique(X[rows, feature].astype(np.int32))
            places = np.full(len(known), len(kept))
            places[kept] = np.arange(len(kept))
            X[:, feature] = places[X[:, feature].astype(np.int32)]
            texts[feature] = tuple(known[place] for place in kept)
        return self._replace(texts=texts)

    @property
    def schema(self) -> Schema:
        """What the columns and classes are called."""
        known = self.columns if self.named or self.texts else ()
        columns = tuple(Column(name, self.texts.get(place, ())) for place, name in enumerate(known))
        return Schema(columns, self.named, self.label, self.classes)


def read(source: Table, say=lambda sentence: None) -> Contents:
    """The table that `source` describes.

    say(sentence) is called for what is odd about its columns. Raises RunError if the file holds no such table,
    ConfigError if it lacks a column that the settings name.
    """
    path = Path(source.file)
    with _readable(path):
        contents = (_read_npz if path.suffix == ".npz" else _read_csv)(path, source)
    if source.task != REGRESSION:
        _check_classes(path, contents)
    _tell(path, contents, say)
    return contents


@contextlib.contextmanager
def _readable(path):
    """Raises RunError if the file is none to read, or turns out malformed inside the block."""
    durable.check_file(path)
    with durable.explained("read", path, *durable.MALFORMED):
        if not path.stat().st_size:  # as files of /proc are, some of which have no end
            raise RunError(f"{path} is empty.")
        yield


def _check_classes(path, contents):
    """Raises RunError unless there are two classes, each with samples to train on and to test."""
    counts = np.bincount(contents.y, minlength=len(contents.classes))
    if len(counts) < 2:
        raise RunError(f"{path} has one class only, {brief(contents.classes[0])}: a classifier needs two or more.")
    if counts.min() < FEWEST:
        rare = contents.classes[counts.argmin()]
        raise RunError(
            f"{path} has {counts.min()} row with the label {brief(rare)}: each label needs {FEWEST} or more."
        )


def _tell(path, contents, say):
    """Says what is odd about the columns. Raises RunError if one is empty."""
    missing = np.isnan(contents.X).sum(axis=0)
    empty = [contents.columns[place] for place in np.flatnonzero(missing == len(contents.X))]
    if empty:
        raise RunError(f"{path} has columns without a value: leave them out with --drop: {listed(empty)}.")
    with_texts = [f"{contents.columns[place]} ({len(texts)})" for place, texts in contents.texts.items()]
    if with_texts:
        say(f"{path} has columns of texts, which are categories: {listed(with_texts)}")
    lacking = [f"{contents.columns[place]} ({missing[place]})" for place in np.flatnonzero(missing)]
    if lacking:
        say(f"{path} lacks numbers, for which the column's mean stands: {listed(lacking)}")
    constant = np.flatnonzero((np.nanmax(contents.X, axis=0) == np.nanmin(contents.X, axis=0)) & (missing == 0))
    if len(constant):
        names = listed([contents.columns[place] for place in constant])
        say(f"{path} has columns with one value only, which tell nothing: {names}")


def different_numbers(path: Path, label: str | None) -> int:
    """How many different numbers the labels in `path` are, where they look like numbers to be predicted; else 0.

    By its first rows: many different numbers, or a different one in most rows. Raises as `read` does.
    """
    with _readable(path):
        labels = _first_labels(path, label)
    try:
        values = {float(text) for text in labels}
    except ValueError:
        return 0
    most = MOST_WHOLE if all(value.is_integer() for value in values) else MOST_BROKEN
    return len(values) if len(values) > min(most, len(labels) / 2) else 0


def _first_labels(path, label):
    """Those of the first rows, as texts."""
    if path.suffix == ".npz":
        return list(map(str, np.ravel(_npz_arrays(path, ["y"])[0])[:LOOKED_AT].tolist()))
    with csv_file.opened(path) as table:
        table.check_width()
        place = _label_place(table, label)
        return [row[place] for row in table.first_rows() if len(row) > place]


def _label_place(table, label):
    return len(table.heading.columns) - 1 if label is None else table.heading.place("label", label)


def _numbered(labels, path):
    """(class number of each label, int32; the classes' texts): in the order of numbers if all labels are numbers,
    of which equal ones are one class, else of the texts. Raises RunError if one is no finite number among numbers."""
    try:
        values = {text: float(text) for text in labels}
    except ValueError:
        values = {text: text for text in labels}
    for text, value in values.items():
        if value != value or value in (math.inf, -math.inf):
            raise RunError(f"{path} has the label {brief(text)} among numbers: correct it, or leave the row out.")
    texts = {}  # of each class, as it stands first
    for text, value in values.items():
        texts.setdefault(value, text)
    numbers = {value: number for number, value in enumerate(sorted(texts))}
    return np.array([numbers[values[text]] for text in labels], np.int32), tuple(texts[value] for value in numbers)


def _as_numbers(labels):
    """(float64 of each label, ()): the same for labels to be predicted as numbers."""
    return np.array([float(text) for text in labels]), ()


# ---- CSV -------------------------------------------------------------------------------------------------------------


def _read_csv(path, source):
    with csv_file.opened(path) as table:
        table.check_width()
        return _Reader(table, source).contents()


class _Reader:
    """What is taken out of a CSV file: the places of its columns, by what they are, and the values read so far."""

    def __init__(self, table, source):
        self.table, heading, self.numbers = table, table.heading, source.task == REGRESSION
        self.path, self.columns, self.named = heading
        self.label = _label_place(table, source.label)
        self.weight = None if source.weight_column is None else heading.place("weight_column", source.weight_column)
        if self.weight == self.label:
            raise ConfigError(
                "weight_column", f"is {brief(source.weight_column)}, the column of the labels: name another."
            )
        left_out = {self.label, self.weight, *(heading.place("drop", name) for name in source.drop)}
        self.features = [place for place, _ in enumerate(self.columns) if place not in left_out]
        if not self.features:
            raise ConfigError("drop", f"leaves no column of {self.path} to predict from: name fewer.")
        self.texts = {place: {} for place in self._text_places(source.categories)}
        self.number_places = [place for place in self.features if place not in self.texts]
        self.values, self.weights, self.labels = array("f"), array("f"), {}
        self.label_numbers, self.text_numbers = array("i"), {place: array("i") for place in self.texts}

    def _text_places(self, categories):
        """The features that hold texts, by their look or by their names."""
        named = {self.table.heading.place("categories", name) for name in categories}
        rows = [row for row in self.table.first_rows() if len(row) == len(self.columns)]
        return [place for place in self.features if place in named or csv_file.are_texts([row[place] for row in rows])]

    def contents(self) -> Contents:
        """The whole table. Raises RunError at the first row that is none."""
        for block in self.table.blocks():
            self._take(block)
        if not self.labels:
            raise RunError(f"{self.path} has no row below its heading.")
        distinct, classes = _as_numbers(self.labels) if self.numbers else _numbered(list(self.labels), self.path)
        columns = [self.columns[place] for place in self.features]
        weights = None if self.weight is None else np.frombuffer(self.weights, np.float32)
        y, texts = distinct[np.frombuffer(self.label_numbers, np.int32)], self._sorted_texts()
        label = self.columns[self.label]
        return Contents(self._features(), y, classes, columns, weights, texts, self.named, label)

    def _take(self, block):
        labels = [row[self.label].rstrip() for row in block.rows]
        self.label_numbers.extend([self.labels.setdefault(label, len(self.labels)) for label in labels])
        for place, known in self.texts.items():
            cells = [csv_file.text(row[place]) for row in block.rows]
            self.text_numbers[place].extend([known.setdefault(cell, len(known)) for cell in cells])
        try:
            values = csv_file.numbers(block.rows, self.number_places)
            weights = [] if self.weight is None else [float(row[self.weight]) for row in block.rows]
            self.values.extend(values)
            self.weights.extend(weights)
        except ValueError:
            raise self._damage(block) from None
        unfit = np.isinf(np.frombuffer(self.values, np.float32)[-len(values) :]).any() or not _are_weights(weights)
        if unfit or "" in labels or (self.numbers and any(csv_file.number(label) is None for label in labels)):
            raise self._damage(block)

    def _features(self):
        """The features that were read, [samples, features]."""
        samples = len(self.label_numbers)
        numbers = np.frombuffer(self.values, np.float32).reshape(samples, len(self.number_places))
        if not self.texts:
            return numbers
        X = np.empty((samples, len(self.features)), np.float32)
        X[:, [self.features.index(place) for place in self.number_places]] = numbers
        for place, texts in self.texts.items():
            ranks = np.argsort(np.argsort(list(texts)))  # of each text among the sorted ones
            X[:, self.features.index(place)] = ranks[np.frombuffer(self.text_numbers[place], np.int32)]
        return X

    def _sorted_texts(self):
        """{number of a feature: its texts}. Raises RunError where they hardly repeat, as those of categories do."""
        most = min(MOST_CATEGORIES, max(FEW_TEXTS, len(self.label_numbers) / 2))
        for place, texts in self.texts.items():
            if len(texts) > most:
                raise RunError(
                    f"{self.path} has {len(texts)} different texts in {brief(self.columns[place])}, which "
                    f"are too many for categories of {len(self.label_numbers)} rows: leave the column out with --drop."
                )
        return {self.features.index(place): tuple(sorted(texts)) for place, texts in self.texts.items()}

    def _damage(self, block):
        """The error for the first row of a block that cannot be taken."""
        for line, row in zip(*block, strict=True):
            found = self._damage_in(row)
            if found:
                return csv_file.damage(self.path, line, found)
        raise ValueError("no row is damaged")

    def _damage_in(self, row):
        for place, (name, cell) in enumerate(zip(self.columns, row, strict=True)):
            if place == self.label and not cell.rstrip():
                return f", {brief(name)} is empty"
            must = place == self.weight or (place == self.label and self.numbers)
            may = place in self.features and place not in self.texts and not csv_file.is_missing(cell)
            if (must or may) and csv_file.number(cell) is None:
                return csv_file.no_number(name, cell)
            if place == self.weight and csv_file.number(cell) < 0:
                return f", {brief(name)} is {brief(cell)}, but a weight is 0 or more"
        return None


def _are_weights(weights):
    """Whether weights, [samples], are numbers of at least 0."""
    weights = np.float32(weights)
    return bool((np.isfinite(weights) & (weights >= 0)).all())


# ---- NPZ -------------------------------------------------------------------------------------------------------------


def _read_npz(path, source):
    for setting in ("label", "drop", "categories"):
        if getattr(source, setting):
            raise ConfigError(setting, f"is for the columns of a CSV file, but {path} has arrays: leave it out.")
    numbers, weight = source.task == REGRESSION, source.weight_column
    X, labels, *weights = _npz_arrays(path, ["X", "y", *([] if weight is None else [weight])])
    if X.ndim != 2 or not X.size or labels.shape != X.shape[:1] or X.dtype.kind not in "fiub" or labels.dtype.fields:
        raise RunError(
            f"{path} has X {X.shape} of {X.dtype} and y {labels.shape}, but X must be numbers [samples, features] and "
            "y a label for each sample."
        )
    X = checked_features(path, X)
    weights = _npz_weights(path, weight, *weights, labels) if weights else None
    columns = [f"X[:, {column}]" for column in range(X.shape[1])]
    if numbers:
        return Contents(X, _npz_numbers(path, labels), (), columns, weights)
    texts, places = np.unique(labels, return_inverse=True)
    renumbered, classes = _numbered(list(map(str, texts)), path)
    return Contents(X, renumbered[places], classes, columns, weights)


def checked_features(path: Path, X: np.ndarray, first: int = 0, dtype: str = "float32") -> np.ndarray:
    """X, numbers [samples, features], of a type; NaN where one is missing. Raises RunError, which counts rows from
    `first`, if float32 cannot hold one."""
    smallest, largest = (np.nanmin(X), np.nanmax(X)) if not np.isnan(X).all() else (0, 0)
    if not (float(smallest) >= -LARGEST and float(largest) <= LARGEST):
        row, column = next((number, place) for number, row in enumerate(X) for place in _unfit(row))
        where = f"X[{first + row}, {column}]"
        raise RunError(f"{path} has {X[row, column]} at {where}, which float32 cannot hold: correct it.")
    return X.astype(dtype, copy=False)


def npz_samples(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The array X of an NPZ file, and y, None if there is none. Raises RunError if it has no such arrays."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in ("X", "y") if f"{name}.npy" in archive.namelist() or name == "X"]
    X, *labels = _npz_arrays(path, names)
    if labels and labels[0].shape != X.shape[:1]:
        raise RunError(f"{path} has X {X.shape} and y {labels[0].shape}, but y must be a label for each sample.")
    return X, labels[0] if labels else None


def _npz_arrays(path, names):
    """The arrays of these names. Raises RunError if there are none, or no memory for them."""
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old or odd heads
            members = [archive.getinfo(f"{name}.npy") for name in names]
            size = sum(member.file_size for member in members)
            memory.require(memory.Needed(2 * size), f"reading {path}", "take fewer samples")
            return [_array(archive, member) for member in members]
    except RunError:
        raise
    except durable.MALFORMED as error:
        reason = durable.reason(error)
        raise RunError(f"{path} cannot be read ({reason}): it must be an NPZ file with the arrays X and y.") from error


def _npz_numbers(path, labels):
    """float64 [samples]. Raises RunError if a label is no number that float32 can hold."""
    if labels.dtype.kind not in "fiub":
        raise RunError(f"{path} has y of {labels.dtype}, but labels to be predicted as numbers must be numbers.")
    if not (float(labels.min()) >= -LARGEST and float(labels.max()) <= LARGEST):
        row = next(row for row, _ in enumerate(labels) if not abs(float(labels[row])) <= LARGEST)
        raise RunError(f"{path} has {labels[row]} at y[{row}], which float32 cannot hold: correct it.")
    return labels.astype(np.float64)


def _npz_weights(path, name, weights, labels):
    """float32 [samples]. Raises RunError if the array is no weights."""
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
    """The places in a row of what float32 cannot hold; NaN stands for what is missing."""
    return np.flatnonzero(np.abs(row.astype(float)) > LARGEST)
