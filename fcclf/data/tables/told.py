"""What is said of a table before it is trained on, a line for each thing that there is."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcclf.data.tables import cells
from fcclf.data.tables.contents import Contents

WIDTH, ROOM = 16, 75  # of what a line is about, and of the names after it
FEWEST_COUNTED = 10  # rows, so that numbers in order may count them


def sentences(path: Path, contents: Contents, last: bool) -> Iterator[str]:
    """What a table holds. last: nobody said which column the labels are in."""
    missing = np.isnan(contents.X).sum(axis=0)
    yield f"{path.name}: {len(contents.X)} rows"
    for about, what in _lines(contents, missing, last):
        yield f"  {about:<{WIDTH}}{what}"


def _lines(contents, missing, last):
    """(what a line is about, the rest of it)."""
    names, (lowest, highest) = contents.columns, _ranges(contents.X)
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
    if counting := [name for place, name in enumerate(names) if _counts_rows(contents, place)]:
        yield "counts rows", f"{_listed(counting)}: leave it out with --drop, if it is no feature"


def _ranges(X):
    return np.nanmin(X, axis=0), np.nanmax(X, axis=0)


def _predicted(contents, last):
    """What the labels are: their column, and the classes with their rows, or the range of the numbers."""
    name = f"{contents.label or 'y'}{', the last column (--label names another)' if last and contents.label else ''}"
    if not contents.classes:
        return f"{name}: numbers from {contents.y.min():.6g} to {contents.y.max():.6g}"
    counts = np.bincount(contents.y, minlength=len(contents.classes))
    each = [f"{label} ({count})" for label, count in zip(contents.classes, counts, strict=True)]
    return f"{name}: {_listed(each)}"


def _counts_rows(contents, place):
    """Whether a column of numbers goes up by one from row to row."""
    column = contents.X[:, place]
    return place not in contents.texts and len(column) >= FEWEST_COUNTED and bool((np.diff(column) == 1).all())


def _listed(names):
    return " ".join(cells.listed(names, ROOM).split())
