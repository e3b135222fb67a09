"""Tables of numbers with a label for each row, from CSV or NPZ files.

A CSV file is read row by row into one growing array, so that it takes little more memory than its numbers do. Labels
may be any text, or numbers to be predicted. Every error names the line and the column.
"""

import contextlib
import csv
import functools
import itertools
import math
import warnings
import zipfile
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.errors import ConfigError, RunError
from fcclf.settings.fields import brief
from fcclf.system import durable, memory

ROWS, CELLS = 4096, 1 << 20  # of a CSV file, read at once at most
LONGEST_LINE = 1 << 26  # characters of a CSV file
CHECKED, TAKEN = 1 << 24, 1 << 29  # characters after which the memory is looked at; bytes they may take as cells
MOST_LISTED, LONGEST_NAME = 20, 60  # names in a message, characters of one
LARGEST = float(np.finfo(np.float32).max)
SEPARATORS = {";": "semicolons", "\t": "tabs"}  # that other programs write
FEWEST = 2  # samples of a class: one to train on, one to test
LOOKED_AT = 10_000  # rows, to tell classes from numbers
MOST_WHOLE, MOST_BROKEN = 100, 20  # different numbers that may be classes, where all are whole and where some are not


class Contents(NamedTuple):
    """X: float32 [samples, features]; y: int32 [samples], class numbers, or float64 [samples], numbers to be predicted;
    classes: the label of each class, () of numbers; columns: the name of each feature; weights: float32 [samples], or
    None where every row counts the same."""

    X: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    columns: list[str]
    weights: np.ndarray | None = None


def read(
    path: Path, label: str | None, say=lambda sentence: None, weight: str | None = None, numbers=False
) -> Contents:
    """The table in `path`. label, weight: name or number of a column in a CSV file; weight: or of an array in an NPZ.
    numbers: the labels are to be predicted as numbers.

    say(sentence) is called for columns that have one value only. Raises RunError if the file holds no such table.
    """
    with _readable(path):
        read = _read_npz if path.suffix == ".npz" else functools.partial(_read_csv, label=label)
        contents = read(path, weight=weight, numbers=numbers)
    if not numbers:
        _check_classes(path, contents)
    constant = [contents.columns[column] for column in np.flatnonzero(np.ptp(contents.X, axis=0) == 0)]
    if constant:
        say(f"{path} has columns with one value only, which tell nothing: {_listed(constant)}")
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
    with _opened_csv(path, label, None, False) as table:
        return [row[table.label] for row in itertools.islice(table.rows, LOOKED_AT) if len(row) > table.label]


def _listed(names):
    """Names for people, not too many."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return (
        ", ".join(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names[:MOST_LISTED])
        + more
    )


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


def _read_csv(path, label, weight, numbers):
    with _opened_csv(path, label, weight, numbers) as table:
        return table.contents()


@contextlib.contextmanager
def _opened_csv(path, label, weight, numbers):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield _Csv(path, file, label, weight, numbers)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} is no CSV file: {error}.") from error


def _lines(file, path):
    """The lines of an open CSV file, as long as there is memory for what they say."""
    read = CHECKED
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        read += len(line)
        if read >= CHECKED:
            memory.require(memory.Needed(TAKEN), f"reading more of {path}", "take fewer rows")
            read = 0
        yield line


class _Csv:
    """A CSV file that is being read. The first row names the columns if none of its cells is a number."""

    def __init__(self, path, file, label, weight, numbers):
        self.path, self.numbers, self.rows = path, numbers, _rows(csv.reader(_lines(file, path), skipinitialspace=True))
        first = next(self.rows, None)
        if first is None or len(first) < 2:
            seen = next((f", not {name}" for mark, name in SEPARATORS.items() if first and mark in first[0]), "")
            raise RunError(f"{path} needs two columns or more, numbers and a label, with commas between{seen}.")
        self.headed = not any(_number(cell) is not None for cell in first)
        numbered = [f"column {number}" for number, _ in enumerate(first, start=1)]
        self.columns = [cell.rstrip() for cell in first] if self.headed else numbered
        self.label = len(self.columns) - 1 if label is None else self._index("label", label)
        self.weight = None if weight is None else self._index("weight_column", weight)
        if self.weight == self.label:
            raise ConfigError("weight_column", f"is {brief(weight)}, the column of the labels: name another.")
        if not self.headed:
            self.rows = itertools.chain([first], self.rows)

    def _index(self, setting, column):
        """The place of a column, given by its name or number. setting: that it was given for."""
        width = len(self.columns)
        if self.headed and self.columns.count(column) > 1:
            raise ConfigError(
                setting, f"is {brief(column)}, which is the name of several columns: give a number from 1."
            )
        if self.headed and column in self.columns:
            return self.columns.index(column)
        if column.isdecimal() and len(column) < 10 and 1 <= int(column) <= width:
            return int(column) - 1
        known = _listed(self.columns) if self.headed else f"numbers from 1 to {width}"
        raise ConfigError(setting, f"is {brief(column)}, but the columns of {self.path} are {known}.")

    def contents(self):
        values, weights, numbers, labels = array("f"), array("f"), array("i"), {}
        at_once, whole = min(ROWS, max(1, CELLS // len(self.columns))), self._whole_rows()
        while rows := list(itertools.islice(whole, at_once)):
            taken = {column: [row.pop(column) for row in rows] for column in self._no_features()}
            numbers.extend([labels.setdefault(text.rstrip(), len(labels)) for text in taken[self.label]])
            try:
                weights.extend(map(float, taken.get(self.weight, ())))
                values.extend(map(float, itertools.chain.from_iterable(rows)))
            except ValueError:
                raise self._damage() from None
        if not labels:
            raise RunError(f"{self.path} has no row below its heading.")
        X = np.frombuffer(values, np.float32).reshape(len(numbers), -1)
        weights = None if self.weight is None else np.frombuffer(weights, np.float32)
        if not np.isfinite(X).all() or "" in labels or not _are_weights(weights):
            raise self._damage()
        if self.numbers and any(_number(text) is None for text in labels):
            raise self._damage()
        distinct, classes = _as_numbers(labels) if self.numbers else _numbered(labels, self.path)
        columns = [name for column, name in enumerate(self.columns) if column not in self._no_features()]
        return Contents(X, distinct[np.frombuffer(numbers, np.int32)], classes, columns, weights)

    def _no_features(self):
        """The columns that are no features, the last first."""
        return sorted({self.label, self.weight} - {None}, reverse=True)

    def _whole_rows(self):
        """The rows, as long as each has a cell for each column."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise self._damage()
            yield row

    def _damage(self):
        """The error for the first row that is none; reads the file again, row by row."""
        with open(self.path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(_lines(file, self.path), skipinitialspace=True)
            rows = _rows(reader)
            if self.headed:
                next(rows)
            damages = (self._damage_in(row) for row in rows)
            damage = next(filter(None, damages))
            return RunError(f"{self.path}, line {reader.line_num}{damage}: correct it, or leave the row out.")

    def _damage_in(self, row):
        if len(row) != len(self.columns):
            return f" has {len(row)} columns, but the first row has {len(self.columns)}"
        for column, (name, cell) in enumerate(zip(self.columns, row, strict=True)):
            if not cell.rstrip():
                return f", {brief(name)} is empty"
            if (self.numbers or column != self.label) and _number(cell) is None:
                return f", {brief(name)} is {brief(cell)}, which is no finite number"
            if column == self.weight and _number(cell) < 0:
                return f", {brief(name)} is {brief(cell)}, but a weight is 0 or more"
        return None


def _rows(reader):
    """The rows of a CSV reader; a blank line is no row."""
    return filter(None, reader)


def _are_weights(weights):
    """Whether weights, float32 [samples] or None, are numbers of at least 0."""
    return weights is None or bool((np.isfinite(weights) & (weights >= 0)).all())


def _number(cell):
    """The number in a cell, None if there is none that float32 can hold."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


# ---- NPZ -------------------------------------------------------------------------------------------------------------


def _read_npz(path, weight, numbers):
    X, labels, *weights = _npz_arrays(path, ["X", "y", *([] if weight is None else [weight])])
    if X.ndim != 2 or not X.size or labels.shape != X.shape[:1] or X.dtype.kind not in "fiub" or labels.dtype.fields:
        raise RunError(
            f"{path} has X {X.shape} of {X.dtype} and y {labels.shape}, but X must be numbers [samples, features] and "
            "y a label for each sample."
        )
    if not (float(X.min()) >= -LARGEST and float(X.max()) <= LARGEST):  # a NaN is neither
        row, column = next((number, place) for number, row in enumerate(X) for place in _unfit(row))
        raise RunError(f"{path} has {X[row, column]} at X[{row}, {column}], which float32 cannot hold: correct it.")
    X = X.astype(np.float32, copy=False)
    weights = _npz_weights(path, weight, *weights, labels) if weights else None
    columns = [f"X[:, {column}]" for column in range(X.shape[1])]
    if numbers:
        return Contents(X, _npz_numbers(path, labels), (), columns, weights)
    texts, places = np.unique(labels, return_inverse=True)
    renumbered, classes = _numbered(list(map(str, texts)), path)
    return Contents(X, renumbered[places], classes, columns, weights)


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
        row = next(row for row, _ in enumerate(labels) if len(_unfit(labels[row : row + 1])))
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
    """The places in a row of what float32 cannot hold."""
    return np.flatnonzero(~(np.abs(row.astype(float)) <= LARGEST))
