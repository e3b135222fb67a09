"""CSV files: their delimiter, the names of their columns, and their rows.

The first row names the columns if none of its cells is a number. The delimiter, which is a comma, semicolon, tab or
bar, is detected from the first rows. If it is not the comma, numbers may have a decimal comma.
"""

import contextlib
import csv
import io
import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fcclf.data.tables import text_file
from fcclf.data.tables.cells import MISSING, listed, number
from fcclf.errors import ConfigError, RunError
from fcclf.settings.fields import brief
from fcclf.settings.run_config import AS_IT_LOOKS, Format

if TYPE_CHECKING:
    import pandas as pd

ROWS, CELLS, FRAMES = 4096, 1 << 20, 16  # read at once, at most; blocks in a DataFrame
MOST_COLUMNS = 10_000  # in a table that pandas reads
WRITTEN = sorted({word for each in MISSING for word in (each, each.upper(), each.title())} | {"NaN"})
LOOKED_AT = 10_000  # rows, to tell what columns hold
SNIFFED, JUDGED = 1 << 16, 20  # characters and rows from which the delimiter is detected
DELIMITERS = ("\t", ";", "|", ",")
COMMA_NUMBER = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


class Block(NamedTuple):
    """Some rows, each a list of texts, one for each column, and the numbers of their lines."""

    lines: list[int]
    rows: list[list[str]]


class Heading(NamedTuple):
    """The names of a table's columns. path: of the table, for messages; named: whether the table names its columns;
    else they are numbered."""

    path: Path | str
    columns: list[str]
    named: bool

    def place(self, setting: str, column: str) -> int:
        """The position, from 0, of a column that is given by its name or its number, from 1. setting: the one that
        names it. Raises ConfigError if there is no such column, or several have the name."""
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


class Dialect(NamedTuple):
    """How cells are written. decimal: the decimal separator of numbers."""

    delimiter: str
    decimal: str = "."

    def rows(self, lines) -> Iterator[tuple[int, list[str]]]:
        """Yields (number of its last line, cells) for each row that is not blank in lines of text."""
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield reader.line_num, row if self.decimal == "." else list(map(_with_point, row))


def _with_point(cell):
    return cell.replace(",", ".") if COMMA_NUMBER.fullmatch(cell.strip()) else cell


class CsvFile:
    """A CSV file that is being read.

    heading: the names of its columns; dialect: how it is written; again(): opens the text from its beginning, None if
    it can be read only once.
    """

    def __init__(self, path: Path | str, file, form: Format = AS_IT_LOOKS, again: Callable | None = None):
        head = file.read(SNIFFED)
        self.dialect, self.again = dialect(head, form.delimiter), again
        self._rows = self.dialect.rows(text_file.lines(head, file, path))
        line, first = next(self._rows, (0, []))
        named = all(number(cell) is None for cell in first)
        columns = [(named and cell.strip()) or f"column {place}" for place, cell in enumerate(first, start=1)]
        self.heading = Heading(path, columns, named)
        self.rows_at_once = min(ROWS, max(1, CELLS // max(1, len(columns))))
        if not named:
            self._rows = itertools.chain([(line, first)], self._rows)

    def check_width(self):
        """Raises RunError unless there are at least two columns, for features and labels."""
        if len(self.heading.columns) < 2:
            begins = f", but it begins with {brief(self.heading.columns[0])}" if self.heading.columns else ""
            raise RunError(
                f"{self.heading.path} needs two columns or more, features and a label, with commas, semicolons, tabs "
                f"or bars between{begins}: take other lines out, or name its --delimiter."
            )

    def first_rows(self) -> list[list[str]]:
        """The first rows, without those of another length. All remain to be read."""
        rows = list(itertools.islice(self._rows, self._most_looked_at))
        self._rows = itertools.chain(rows, self._rows)
        return [row for _, row in rows if len(row) == len(self.heading.columns)]

    @property
    def _most_looked_at(self):
        return min(LOOKED_AT, max(1, CELLS // len(self.heading.columns)))

    @property
    def quick(self) -> bool:
        """Whether `frames` is faster than `blocks`: for files of many rows that can be read again."""
        if not self.again or len(self.heading.columns) > MOST_COLUMNS:
            return False
        rows = list(itertools.islice(self._rows, self._most_looked_at + 1))
        self._rows = itertools.chain(rows, self._rows)
        return len(rows) > self._most_looked_at

    def frames(self, numbers: set[int]) -> "Iterator[pd.DataFrame]":
        """Yields all rows as pandas reads them, some at a time, with columns named by position. numbers: positions of
        the columns that hold numbers. Raises ValueError if something is wrong, such as too short a row."""
        import pandas as pd

        with self.again() as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the option that makes older versions exact
            for frame in pd.read_csv(file, **self._options(numbers)):
                text_file.require_memory(self.heading.path)
                if bool(frame.iloc[:, -1].eq("").any()):  # the row may lack its last cells
                    raise ValueError("a row may be too short")
                yield frame

    def _options(self, numbers):
        """Arguments of `read_csv`. A short row gets empty cells, so nothing counts as missing in the last column."""
        last = len(self.heading.columns) - 1
        return {
            "header": 0 if self.heading.named else None,
            "names": range(last + 1),
            "sep": self.dialect.delimiter,
            "decimal": self.dialect.decimal,
            "dtype": {place: float if place in numbers else object for place in range(last + 1)},
            "keep_default_na": False,
            "na_values": {place: WRITTEN for place in numbers if place != last},
            "skipinitialspace": True,
            "float_precision": "round_trip",
            "chunksize": FRAMES * self.rows_at_once,
        }

    def blocks(self, skipped: int = 0) -> Iterator[Block]:
        """Yields the rows not read yet, without the first `skipped`. Raises RunError at a row of another length, after
        those before it."""
        path, columns, _ = self.heading
        self._rows = itertools.islice(self._rows, skipped, None)
        while read := list(itertools.islice(self._rows, self.rows_at_once)):
            lines, rows = map(list, zip(*read, strict=True))
            widths = list(map(len, rows))
            if widths.count(len(columns)) == len(rows):
                yield Block(lines, rows)
                continue
            odd = next(number for number, width in enumerate(widths) if width != len(columns))
            yield Block(lines[:odd], rows[:odd])
            raise damage(path, lines[odd], f" has {widths[odd]} columns, but the first row has {len(columns)}")


def damage(path: Path | str, line: int, found: str) -> RunError:
    """The error for what is wrong with a line. found: its description."""
    return RunError(f"{path}, line {line}{found}: correct it, or leave the row out.")


@contextlib.contextmanager
def opened(path: Path, form: Format = AS_IT_LOOKS) -> Iterator[CsvFile]:
    """The CSV file at `path`, open inside the block. Raises RunError, also inside the block, if it is not one."""

    def again():
        return text_file.opened(path, form.encoding)

    with text_file.readable(path), again() as file:
        yield CsvFile(path, file, form, again)


@contextlib.contextmanager
def streamed(name: str, file, form: Format = AS_IT_LOOKS) -> Iterator[CsvFile]:
    """The CSV file in an open binary file, such as standard input. Raises RunError like `opened`."""
    with text_file.readable(name):
        yield CsvFile(name, text_file.decoded(file, form.encoding), form)


# ---- how it is written -----------------------------------------------------------------------------------------------


def dialect(head: str, delimiter: str | None = None) -> Dialect:
    """The dialect of a file that begins with `head`. delimiter: of its cells, if it is known."""
    delimiter = delimiter or _delimiter(head)
    if delimiter == ",":
        return Dialect(delimiter)
    cells = [cell.strip() for row in _first_rows(head, delimiter) for cell in row]
    commas = sum(COMMA_NUMBER.fullmatch(cell) is not None for cell in cells)
    points = sum("." in cell and number(cell) is not None for cell in cells)
    return Dialect(delimiter, "," if commas > points else ".")


def _delimiter(head):
    """The delimiter that gives each of the first rows the same number of cells, or else the first row the most."""
    widths = {delimiter: list(map(len, _first_rows(head, delimiter))) for delimiter in DELIMITERS}
    even = [delimiter for delimiter, found in widths.items() if found and 1 < min(found) == max(found)]
    return even[0] if even else max(reversed(DELIMITERS), key=lambda delimiter: widths[delimiter][:1])


def _first_rows(head, delimiter):
    """The first rows, without one that the end of `head` cuts off."""
    with contextlib.suppress(csv.Error):
        rows = [row for _, row in itertools.islice(Dialect(delimiter).rows(io.StringIO(head, newline="")), JUDGED)]
        return rows[:-1] if len(head) == SNIFFED and 1 < len(rows) < JUDGED else rows
    return []
