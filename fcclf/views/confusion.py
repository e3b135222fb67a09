"""A confusion matrix as text for a terminal of 80 columns: no name is cut, and no row of the matrix is broken.

A matrix that does not fit with names has class numbers and a legend. If there are too many classes for that too, each
class has a line that says what it was taken for.
"""

import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np

WIDTH = 80  # columns of a terminal
INDENT = 4  # of a continuation line
FEWEST_FOR_PAIRS = 4  # classes; in fewer, the pairs confused most are not named
PAIRS = 5


def line_up(names: Iterable[str], room: int = WIDTH) -> bool:
    """Whether names line up in a table: `room` letters at most, each of them one column wide."""
    return all(len(name) <= room and name.isprintable() and _columns(name) == len(name) for name in names)


def legend(names: list[str]) -> list[str]:
    """Lines that say which number each class has."""
    return _folded((f"{number} {name}" for number, name in enumerate(names)), gap="   ", indent=0)


def lines(matrix: np.ndarray, names: list[str], is_explained=False) -> list[str]:
    """The lines of a matrix, int [classes, classes], a row for each true class. is_explained: there is a legend
    already."""
    numbers = [*map(str, range(len(names)))]
    numbered = [f"{number} {name}" for number, name in enumerate(names)]
    named = [("predicted", [f"true {name}" for name in names], names), ("true, predicted", numbered, numbers)]
    for heading, heads, columns in named if line_up(names) and not is_explained else ():
        rows = _rows(matrix, heading, heads, columns, gap=2)
        if len(rows[0]) <= WIDTH:
            return rows
    for gap in (2, 1):
        rows = _rows(np.where(matrix, matrix.astype(object), "."), "", numbers, numbers, gap)
        if len(rows[0]) <= WIDTH:
            explained = [] if is_explained else [*legend(names), ""]
            return [*explained, "a row for each true class, a column for each predicted one", "", *rows]
    return [*_mistakes(matrix, names)]


def most_confused(matrix: np.ndarray, names: list[str]) -> Iterator[str]:
    """Lines that name the pairs of classes most often taken for each other, where there are many classes."""
    if len(names) < FEWEST_FOR_PAIRS:
        return
    both = np.triu(matrix + matrix.T, k=1)
    yield from ("", "most confused")
    for pair in np.argsort(both, axis=None, kind="stable")[::-1][:PAIRS]:
        one, other = np.unravel_index(pair, both.shape)
        if both[one, other]:
            yield from _folded([f"{both[one, other]:>6}  {names[one]}", f"and {names[other]}"])


def _rows(matrix, heading, heads, columns, gap):
    first = max(map(len, [heading, *heads]))
    width = max(len(str(cell)) for cell in [*columns, *matrix.flat]) + gap
    cells = [columns, *matrix]
    return [
        f"{head:<{first}}" + "".join(f"{cell:>{width}}" for cell in row)
        for head, row in zip([heading, *heads], cells, strict=True)
    ]


def _mistakes(matrix, names):
    """A line for each class that was taken for others."""
    yield "taken for another class"
    for name, row, number in zip(names, matrix, range(len(names)), strict=True):
        others = [other for other in np.argsort(-row, kind="stable") if row[other] and other != number]
        if others:
            taken = ", ".join(f"{row[other]} as {names[other]}" for other in others)
            yield from _folded([f"{name} ({row[others].sum()} of {row.sum()}):", *taken.split(" ")])


def _folded(items, gap=" ", indent=INDENT):
    """Lines of items side by side, as many as fit; an item too wide for a line is broken at its spaces. indent: of the
    lines after the first."""
    found = []
    for item in items:
        if found and _columns(found[-1] + gap + item) <= WIDTH:
            found[-1] += gap + item
        elif _columns(item) <= WIDTH - indent:
            found.append(" " * indent * bool(found) + item)
        else:
            found += _broken(item)
    return found


def _broken(item):
    first, *words = item.split(" ")
    found = [first]
    for word in words:
        if _columns(found[-1] + " " + word) <= WIDTH:
            found[-1] += " " + word
        else:
            found.append(" " * INDENT + word)
    return found


def _columns(text):
    """Number of terminal columns of a text: wide East Asian letters take two, combining accents none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
