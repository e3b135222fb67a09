"""The values of a table's columns, read and checked block by block.

Long files are read by pandas, which is several times as fast as row by row. From the block in which something is wrong
they are read row by row, which tells line and column. Both give the same numbers.
"""

import contextlib
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import numpy as np

from fcclf.data.tables import cells, csv_file
from fcclf.data.tables.cells import LARGEST
from fcclf.data.tables.csv_file import CsvFile
from fcclf.data.tables.frame import Frame
from fcclf.settings.fields import brief

Values = dict[Hashable, np.ndarray | list[str]]


class Kind(NamedTuple):
    """What a column must hold.

    numbers: float64, NaN if missing; else texts. required: the message for a missing value, None if values may be
    missing. lowest: the lowest number that is allowed. as_written: texts are as written, without trailing space, and
    only an empty cell is missing; else a text has no space around it, and "" stands for a missing one.
    """

    numbers: bool
    required: str | None = None
    lowest: float | None = None
    as_written: bool = False

    def wrong(self, name: str, cell: str) -> str | None:
        """What is wrong with a cell, None if nothing is. name: of its column."""
        if self.as_written:
            return f", {brief(name)} {self.required}" if self.required and not cell.rstrip() else None
        if not self.numbers or (self.required is None and cells.is_missing(cell)):
            return None
        if self.required and cells.is_missing(cell):
            return f", {brief(name)} {self.required}"
        value = cells.number(cell)
        if value is None:
            return cells.no_number(name, cell)
        return f", {brief(name)} is {brief(cell)}, but a weight is 0 or more" if self._too_low(value) else None

    def _too_low(self, value):
        return self.lowest is not None and value < self.lowest

    def fits(self, values) -> bool:
        """Whether all values, as `of` returns them, are allowed."""
        if not self.numbers:
            return not (self.required and "" in values)
        lowest = -LARGEST if self.lowest is None else self.lowest
        inside = (values >= lowest) & (values <= LARGEST)
        return bool((inside if self.required is not None else inside | np.isnan(values)).all())

    def of(self, found) -> np.ndarray | list[str]:
        """The values of cells, or of numbers that were read. Raises ValueError if they must be numbers, but are not."""
        if self.numbers:
            return found if isinstance(found, np.ndarray) else cells.numbers(found)
        return [cell.rstrip() for cell in found] if self.as_written else list(map(cells.text, found))


Wanted = dict[Hashable, tuple[int, Kind]]  # {key: (position of a column, what it must hold)}
NUMBER, TEXT, AS_WRITTEN = Kind(True), Kind(False), Kind(False, as_written=True)


def values(table: CsvFile | Frame, wanted: Wanted) -> Iterator[Values]:
    """Yields the values of some columns, block by block. Raises RunError at the first row that does not fit."""
    rows = 0
    if table.quick:
        with contextlib.suppress(ValueError, OverflowError):  # raised by pandas and codecs
            for found in _quickly(table, wanted):
                rows += len(next(iter(found.values())))
                yield found
            return
    for block in table.blocks(skipped=rows):
        if block.rows:
            yield _of_block(table, block, wanted)


def _checked(columns, wanted):
    """The values in {position: cells, or numbers}. Raises ValueError if some do not fit."""
    found = {key: kind.of(columns[place]) for key, (place, kind) in wanted.items()}
    if not all(kind.fits(found[key]) for key, (_, kind) in wanted.items()):
        raise ValueError("a value does not fit")
    return found


# ---- row by row ------------------------------------------------------------------------------------------------------


def _of_block(table, block, wanted):
    try:
        return _checked(list(zip(*block.rows, strict=True)), wanted)
    except ValueError:
        raise _damage(table, block, wanted) from None


def _damage(table, block, wanted):
    """The error for the first cell of a block that does not fit."""
    path, names, _ = table.heading
    for line, row in zip(*block, strict=True):
        for place, kind in sorted(wanted.values(), key=lambda each: each[0]):
            if found := kind.wrong(names[place], row[place]):
                return csv_file.damage(path, line, found)
    raise ValueError("no cell is damaged")


# ---- by pandas -------------------------------------------------------------------------------------------------------


def _quickly(table, wanted):
    """Yields the values of some columns, read by pandas. Raises ValueError or OverflowError if something is wrong."""
    texts = {place for place, kind in wanted.values() if not kind.numbers}
    numbers = {place for place, _ in wanted.values()} - texts
    for frame in table.frames(numbers):
        columns = {place: _column(frame[place]) for place in numbers | texts}
        yield _checked(columns, wanted)


def _column(column):
    return column.to_numpy() if column.dtype == float else column.tolist()
