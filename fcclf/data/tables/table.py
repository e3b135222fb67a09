"""A table to train on: features with a label for each row, from CSV, Parquet or NPZ files.

A CSV file is read block by block into growing arrays, so that it takes little more memory than its numbers do. A column
of texts becomes numbers, one for each text. Labels may be any text, or numbers to predict. An error in a cell names its
line and column. Columns of dates, and of texts that hardly repeat, are left out: a network cannot use them.
"""

import contextlib
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fcclf.data.rows import Selected
from fcclf.data.tables import columns, csv_file, frame, npz, told
from fcclf.data.tables.cells import are_dates, are_texts
from fcclf.data.tables.columns import AS_WRITTEN, NUMBER, TEXT
from fcclf.data.tables.contents import Contents, numbered
from fcclf.data.tables.csv_file import LOOKED_AT
from fcclf.data.tables.kept import InMemory, OnDisk
from fcclf.errors import ConfigError, RunError
from fcclf.settings.blocks import MOST_CATEGORIES
from fcclf.settings.fields import brief
from fcclf.settings.run_config import AS_IT_LOOKS, REGRESSION, Format
from fcclf.settings.sources import Table
from fcclf.system import durable

FEWEST = 2  # samples of a class: one to train on, one to test
MOST_WHOLE, MOST_BROKEN = 100, 20  # different numbers that may be classes: if all are whole, if some are not
LONGEST_EXAMPLE = 12  # characters of an example
EMPTY = "is empty"  # what is wrong with a cell that must have a value
FEW_TEXTS = 20  # in a column that are categories however few rows there are


def read(
    source: Table,
    say=lambda sentence: None,
    kept: OnDisk | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Contents:
    """The table that `source` describes.

    say(sentence): called with what its columns hold. kept: storage for the rows, from which X is `Selected`; by default
    all are in memory. progress(rows): called with the number read. Raises RunError if the file holds no such table,
    ConfigError if it lacks a column that the settings name.
    """
    path = Path(source.file)
    with _readable(path):
        contents = npz.read(path, source) if path.suffix == ".npz" else _read_columns(path, source, kept, progress)
    return checked(contents, source, say)


def checked(contents: Contents, source: Table, say) -> Contents:
    """`contents`, unchanged, of the table that `source` describes. say(sentence): called with what they are. Raises
    RunError if labels are classes, but do not suffice for a classifier."""
    path = Path(source.file)
    if source.task != REGRESSION:
        _check_classes(path, contents)
    for sentence in told.sentences(path, contents, source.label is None):
        say(sentence)
    return contents


@contextlib.contextmanager
def _readable(path):
    """Raises RunError if the file cannot be read or is empty, or turns out malformed inside the block."""
    durable.check_file(path)
    with durable.explained("read", path, *durable.MALFORMED):
        if not path.stat().st_size:  # like files in /proc, some of which have no end
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
            f"{_heading(contents, rare)}"
        )


def _heading(contents, label):
    """A hint for a rare label that may be a part of a heading; else ""."""
    first = not contents.named and contents.classes[contents.y[0]] == label
    return " The first row was not taken for a heading, as it has numbers." if first else ""


def _too_many(texts):
    example = next(filter(None, texts))
    shown = example if len(example) <= LONGEST_EXAMPLE else f"{example[:LONGEST_EXAMPLE]}..."
    return f"{len(texts)} different texts, such as {shown}"


def different_numbers(source: Table) -> int:
    """The number of different labels of a table, if they look like numbers to predict; else 0.

    Judged by its first rows: there are many different numbers, or a different one in most rows. Raises like `read`.
    """
    path = Path(source.file)
    if path.is_dir():
        path, of_images = path / "y.npy", not (path / "y.npy").exists()
        if of_images:
            return 0
    with _readable(path):
        labels = _first_labels(path, source)
    try:
        values = {float(text) for text in labels}
    except ValueError:
        return 0
    most = MOST_WHOLE if all(value.is_integer() for value in values) else MOST_BROKEN
    return len(values) if len(values) > min(most, len(labels) / 2) else 0


def _first_labels(path, source):
    """The labels of the first rows, as texts."""
    if path.suffix in (".npz", ".npy"):
        y = np.load(path, mmap_mode="r", allow_pickle=False) if path.suffix == ".npy" else npz.arrays(path, ["y"])[0]
        return list(map(str, np.ravel(y)[:LOOKED_AT].tolist()))
    with opened(path, source.format) as table:
        table.check_width()
        place = _label_place(table, source.label)
        return [row[place] for row in table.first_rows()]


def opened(path: Path, form: Format = AS_IT_LOOKS, in_parts=False):
    """A context manager that opens the CSV or Parquet file at `path`. in_parts: read Parquet some rows at a time.
    Raises RunError if the file is not one."""
    return frame.opened(path, in_parts) if path.suffix == ".parquet" else csv_file.opened(path, form)


# ---- rows and columns ------------------------------------------------------------------------------------------------


def _read_columns(path, source, kept, progress):
    with opened(path, source.format, in_parts=kept is not None) as table:
        table.check_width()
        contents = _Reader(table, source, kept or InMemory()).contents(progress)
    return contents if kept else contents._replace(X=contents.X[:])


def _label_place(table, label):
    return len(table.heading.columns) - 1 if label is None else table.heading.place("label", label)


class _Reader:
    """Reads a table: the positions of its columns, by what they hold, and the values read so far."""

    def __init__(self, table, source, kept):
        self.table, heading, self.source, self.kept = table, table.heading, source, kept
        self.path, self.columns, self.named = heading
        self.label = _label_place(table, source.label)
        self.weight = None if source.weight_column is None else heading.place("weight_column", source.weight_column)
        if self.weight == self.label:
            raise ConfigError(
                "weight_column", f"is {brief(source.weight_column)}, the column of the labels: name another."
            )
        self.named_categories = {heading.place("categories", name) for name in source.categories}
        self.left_out, self.features = {}, self._chosen(heading)
        cells = list(zip(*table.first_rows(), strict=True)) or [()] * len(self.columns)
        self._leave_out({place: "dates" for place in self.features if self._by_look(place) and are_dates(cells[place])})
        if source.label is None and cells[self.label] and not any(cells[self.label]):
            raise RunError(f"the last column of {self.path} is empty: name the one with the labels by --label.")
        texts = [place for place in self.features if not self._by_look(place) or are_texts(cells[place])]
        self.texts = {place: {} for place in texts}
        self.read, self.filled = [*self.features], np.zeros(len(self.features), bool)
        self.weights, self.labels, self.label_values = array("f"), {}, array("d")

    def _chosen(self, heading):
        """The positions of the features that the settings choose."""
        source = self.source
        wanted = {heading.place("columns", name) for name in source.columns} or range(len(self.columns))
        dropped = {self.label, self.weight, *(heading.place("drop", name) for name in source.drop)}
        features = [place for place in wanted if place not in dropped]
        if not features:
            setting = "drop" if source.drop else "columns"
            raise ConfigError(setting, f"leaves no column of {self.path} to predict from: name others.")
        return sorted(features)

    def _by_look(self, place):
        """Whether a column's cells decide what it holds, not the settings."""
        return place not in self.named_categories

    def _leave_out(self, reasons):
        """Leaves columns out of the features. reasons: {position: why}. Raises RunError if no feature is left."""
        self.left_out |= {self.columns[place]: why for place, why in reasons.items()}
        self.features = [place for place in self.features if place not in reasons]
        if not self.features:
            whys = ", ".join(f"{name} ({why})" for name, why in self.left_out.items())
            raise RunError(f"{self.path} has no column to predict from: {whys}. Name some with --categories.")

    def contents(self, progress) -> Contents:
        """The whole table. Raises RunError at the first row that does not fit."""
        numbers = self.source.task == REGRESSION
        kinds = {place: TEXT if place in self.texts else NUMBER for place in self.read}
        kinds[self.label] = (NUMBER if numbers else AS_WRITTEN)._replace(required=EMPTY)
        if self.weight is not None:
            kinds[self.weight] = NUMBER._replace(required=EMPTY, lowest=0)
        for block in columns.values(self.table, {place: (place, kind) for place, kind in kinds.items()}):
            self._take(block)
            progress(len(self.label_values))
        if not self.label_values:
            raise RunError(f"{self.path} has no row below its heading.")
        y, classes = np.frombuffer(self.label_values), ()
        if not numbers:
            distinct, classes = numbered(list(self.labels), self.path)
            y = distinct[y.astype(np.int32)]
        return self._with_features(y, classes)

    def _take(self, block):
        labels = block[self.label]
        if self.source.task != REGRESSION:
            labels = [self.labels.setdefault(label, len(self.labels)) for label in labels]
        self.label_values.extend(labels)
        rows = np.empty((len(labels), len(self.read)), np.float32)
        for number, place in enumerate(self.read):
            known = self.texts.get(place)
            values = block[place]
            rows[:, number] = values if known is None else [known.setdefault(text, len(known)) for text in values]
        self.filled |= ~np.isnan(rows).all(axis=0)
        self.kept.add(rows)
        if self.weight is not None:
            self.weights.extend(block[self.weight])

    def _with_features(self, y, classes):
        self._leave_out_texts()
        self._leave_out({place: "no value" for place, filled in zip(self.read, self.filled, strict=True) if not filled})
        read, features = ({place: number for number, place in enumerate(each)} for each in (self.read, self.features))
        texts = {features[place]: tuple(sorted(known)) for place, known in self.texts.items()}
        ranks = {
            features[place]: np.argsort(np.argsort([*known])).astype(np.float32) for place, known in self.texts.items()
        }
        X = Selected(self.kept.matrix(len(self.read)), [read[place] for place in features], ranks)
        names = [self.columns[place] for place in self.features]
        weights = None if self.weight is None else np.frombuffer(self.weights, np.float32)
        label = self.columns[self.label]
        return Contents(X, y, classes, names, weights, texts, self.named, label, self.left_out)

    def _leave_out_texts(self):
        """Leaves out columns of texts that hardly repeat. Raises RunError for one that the settings call categories."""
        rows = len(self.label_values)
        most = min(MOST_CATEGORIES, max(FEW_TEXTS, rows / 2))
        many = {place: known for place, known in self.texts.items() if len(known) > most}
        for place in many.keys() & self.named_categories:
            raise RunError(
                f"{self.path} has {len(many[place])} different texts in {brief(self.columns[place])}, which are too "
                f"many for categories of {rows} rows: leave the column out with --drop."
            )
        self._leave_out({place: _too_many(known) for place, known in many.items()})
        self.texts = {place: known for place, known in self.texts.items() if place not in many}
