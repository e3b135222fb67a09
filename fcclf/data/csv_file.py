"""CSV files, read row by row: what their columns are called, which of them hold texts, and where one is damaged.

The first row names the columns if none of its cells is a number. A value is missing where a cell is empty or one of
`MISSING`.
"""

import contextlib
import csv
import io
import itertools
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.errors import ConfigError, RunError
from fcclf.settings.fields import brief
from fcclf.system import memory

ROWS, CELLS = 4096, 1 << 20  # read at once at most
PART, LONGEST_LINE = 1 << 20, 1 << 26  # characters: read at once; of a line at most
CHECKED, TAKEN = 1 << 24, 1 << 29  # characters after which the memory is looked at; bytes they may take as cells
MOST_LISTED, LONGEST_NAME = 20, 60  # names in a message, characters of one
LARGEST = float(np.finfo(np.float32).max)
SEPARATORS = {";": "semicolons", "\t": "tabs"}  # that other programs write
LOOKED_AT = 10_000  # rows, to tell texts from numbers
MISSING = {"", "na", "n/a", "nan", "null"}  # in small letters


class Block(NamedTuple):
    """Some rows, each a list of texts, one for each column, and the numbers of their lines."""

    lines: list[int]
    rows: list[list[str]]


class Heading(NamedTuple):
    """What the columns of a table are called. path: of the table, for messages; named: whether its first row, or
    whatever it has for one, names them, else they are counted."""

    path: Path | str
    columns: list[str]
    named: bool

    def place(self, setting: str, column: str) -> int:
        """The place of a column that is given by its name or number. setting: that it was given for. Raises ConfigError
        if there is none."""
        width = len(self.columns)
        if self.named and self.columns.count(column) > 1:
            raise ConfigError(
                setting, f"is {brief(column)}, which is the name of several columns: give a number from 1."
            )
        if self.named and column in self.columns:
            return self.columns.index(column)
        if column.isdecimal() and len(column) < 10 and 1 <= int(column) <= width:
            return int(column) - 1
        known = listed(self.columns) if self.named else f"numbers from 1 to {width}"
        raise ConfigError(setting, f"is {brief(column)}, but the columns of {self.path} are {known}.")


class CsvFile:
    """A CSV file that is being read. heading: what its columns are called."""

    def __init__(self, path: Path | str, file):
        reader = csv.reader(_lines(file, path), skipinitialspace=True)
        self._rows = ((reader.line_num, row) for row in reader if row)  # a blank line is no row
        line, first = next(self._rows, (0, []))
        named = all(number(cell) is None for cell in first)
        columns = [cell.rstrip() if named else f"column {place}" for place, cell in enumerate(first, start=1)]
        self.heading = Heading(path, columns, named)
        if not named:
            self._rows = itertools.chain([(line, first)], self._rows)

    def check_width(self):
        """Raises RunError unless there are two columns, as a table with labels has."""
        path, columns, _ = self.heading
        if len(columns) < 2:
            heading = "".join(columns)
            seen = next((f", not {name}" for mark, name in SEPARATORS.items() if mark in heading), "")
            raise RunError(f"{path} needs two columns or more, features and a label, with commas between{seen}.")

    def first_rows(self) -> list[list[str]]:
        """Some rows, which stay to be read."""
        rows = list(itertools.islice(self._rows, min(LOOKED_AT, max(1, CELLS // len(self.heading.columns)))))
        self._rows = itertools.chain(rows, self._rows)
        return [row for _, row in rows]

    def blocks(self, most: int | None = None) -> Iterator[Block]:
        """The rows that are left, so many at a time at most. Raises RunError at one of another length, after those
        before it."""
        path, columns, _ = self.heading
        at_once = min(most or ROWS, max(1, CELLS // len(columns)))
        while read := list(itertools.islice(self._rows, at_once)):
            lines, rows = map(list, zip(*read, strict=True))
            widths = list(map(len, rows))
            if widths.count(len(columns)) == len(rows):
                yield Block(lines, rows)
                continue
            odd = next(number for number, width in enumerate(widths) if width != len(columns))
            yield Block(lines[:odd], rows[:odd])
            raise damage(path, lines[odd], f" has {widths[odd]} columns, but the first row has {len(columns)}")


def damage(path: Path | str, line: int, found: str) -> RunError:
    """The error for what was `found` in a line."""
    return RunError(f"{path}, line {line}{found}: correct it, or leave the row out.")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[CsvFile]:
    """The CSV file in `path`. Raises RunError if it is none, also from inside the block."""
    with open(path, newline="", encoding="utf-8-sig") as file, read(path, file) as table:
        yield table


@contextlib.contextmanager
def read(name: Path | str, file) -> Iterator[CsvFile]:
    """The CSV file in an open text file. Raises RunError as `opened` does."""
    try:
        yield CsvFile(name, file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{name} is no CSV file: {error}.") from error


def _lines(file, path):
    """The lines of an open CSV file, as long as there is memory for what they say."""
    read, rest = CHECKED, ""
    while part := file.read(PART):
        read += len(part)
        if read >= CHECKED:
            memory.require(memory.Needed(TAKEN), f"reading more of {path}", "take fewer rows")
            read = 0
        *whole, rest = io.StringIO(rest + part, newline="")  # ten times as fast as readline with a limit
        if max(map(len, (*whole, rest))) >= LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        yield from whole
    if rest:
        yield rest


# ---- cells -----------------------------------------------------------------------------------------------------------


def number(cell: str) -> float | None:
    """The number in a cell, None if there is none that float32 can hold."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def is_missing(cell: str) -> bool:
    """Whether a cell says that its value is missing."""
    return cell.strip().lower() in MISSING


def numbers(rows: list[list[str]], places: list[int]) -> list[float]:
    """The numbers in some cells of every row, row by row, NaN where one is missing. Raises ValueError if there is
    neither."""
    picked = operator.itemgetter(*places) if len(places) > 1 else lambda row: [row[place] for place in places]
    return floats(list(itertools.chain.from_iterable(map(picked, rows))))


def floats(cells: list) -> list[float]:
    """The numbers in cells, texts or numbers, NaN where one is missing. Raises ValueError if there is neither."""
    try:
        return list(map(float, cells))
    except (TypeError, ValueError):  # some may be missing
        return [np.nan if cell is None or is_missing(str(cell)) else float(cell) for cell in cells]


def text(cell: str) -> str:
    """The text in a cell, "" if it is missing."""
    return "" if is_missing(cell) else cell.strip()


def are_texts(cells) -> bool:
    """Whether most of the cells that are not missing hold something else than numbers."""
    filled = [cell for cell in cells if not is_missing(cell)]
    return sum(number(cell) is None for cell in filled) * 2 > len(filled)


def no_number(name: str, cell: str) -> str:
    """What is wrong with a cell that must hold a number, in a column of a name."""
    found = f"is {brief(cell)}, which is no finite number" if cell.strip() else "is empty"
    return f", {brief(name)} {found}"


def listed(names: list[str]) -> str:
    """Names for people, not too many."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return (
        ", ".join(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names[:MOST_LISTED])
        + more
    )
