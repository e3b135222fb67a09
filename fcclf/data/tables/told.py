"""The lines that describe a table before training."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.data.rows import READ_AT_ONCE
from fcclf.data.tables import cells
from fcclf.data.tables.contents import Contents

WIDTH, ROOM = 16, 75  # characters: of what a line is about, and of the names after it
FEWEST_COUNTED = 10  # rows; in fewer, consecutive numbers are not taken for row numbers


def sentences(path: Path, contents: Contents, last: bool) -> Iterator[str]:
    """Yields the lines that describe a table. last: the labels are in the last column, as no other was named."""
    yield f"{path.name}: {len(contents.X)} rows"
    for about, what in _lines(contents, looked_through(contents.X), last):
        yield f"  {about:<{WIDTH}}{what}"


class Columns(NamedTuple):
    """What the features hold, as arrays with an entry for each feature. missing: how many numbers are missing; lowest,
    highest: NaN if all are; counting: whether every number is one more than the number before it."""

    missing: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    counting: np.ndarray


def looked_through(X) -> Columns:
    """What the columns of X, [samples, features], hold. X is read block by block."""
    found = Columns(0, np.full(X.shape[1], np.nan), np.full(X.shape[1], np.nan), True)
    for first in range(0, len(X), READ_AT_ONCE):
        some = X[first : first + READ_AT_ONCE]
        steps = np.diff(X[max(0, first - 1) : first + READ_AT_ONCE], axis=0)
        found = Columns(
            found.missing + np.isnan(some).sum(axis=0),
            np.fmin(found.lowest, np.fmin.reduce(some)),
            np.fmax(found.highest, np.fmax.reduce(some)),
            found.counting & (steps == 1).all(axis=0),
        )
    return found


def _lines(contents, looked, last):
    """Yields (what a line is about, the rest of it)."""
    names, (missing, lowest, highest, counting) = contents.columns, looked
    yield "predicted", _predicted(contents, last)
    numbers = [name for place, name in enumerate(names) if place not in contents.texts]
    if numbers:
        yield "numbers", _listed(numbers)
    if contents.texts:
        yield "categories", _listed([f"{names[place]} ({len(texts)})" for place, texts in contents.texts.items()])
    if missing.any():
        lacking = [f"{names[place]} ({missing[place]})" for place in np.flatnonzero(missing)]
        yield "missing", f"{_listed(lacking)}: the column's mean stands for them"
    if contents.left_out:
        yield "left out", _listed([f"{name} ({why})" for name, why in contents.left_out.items()])
    constant = [names[place] for place in np.flatnonzero((lowest == highest) & (missing == 0))]
    if constant:
        yield "one value only", _listed(constant)
    counters = [name for place, name in enumerate(names) if counting[place] and place not in contents.texts]
    if counters and len(contents.X) >= FEWEST_COUNTED:
        yield "counts rows", f"{_listed(counters)}: leave it out with --drop, if it is no feature"


def _predicted(contents, last):
    """What the labels are: their column, and the classes with their rows, or the range of the numbers."""
    name = f"{contents.label or 'y'}{', the last column (--label names another)' if last and contents.label else ''}"
    if not contents.classes:
        return f"{name}: numbers from {contents.y.min():.6g} to {contents.y.max():.6g}"
    counts = np.bincount(contents.y, minlength=len(contents.classes))
    each = [f"{label} ({count})" for label, count in zip(contents.classes, counts, strict=True)]
    return f"{name}: {_listed(each)}"


def _listed(names):
    return " ".join(cells.listed(names, ROOM).split())
