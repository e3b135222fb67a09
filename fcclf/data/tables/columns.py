"""The values of a table's columns, block by block: what each must hold, and where one does not.

Long files are read by pandas, which is several times as fast as row by row; from where it finds something odd they are
read on row by row, which tells line and column. Both read the same numbers.
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
    """What a column holds.

    numbers: float64, NaN where one is missing; else texts. required: what is said of a cell whose value is missing,
    None where it may be. lowest: that numbers may be. as_written: texts are what stands there, except for space at the
    end, and only an empty cell is missing; else "" stands for what is missing, and there is no space around.
    """

    numbers: bool
    required: str | None = None
    lowest: float | None = None
    as_written: bool = False

    def wrong(self, name: str, cell: str) -> str | None:
        """What is wrong with a cell, in a column of a name; None if nothing is."""
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
        """Whether none of the values, as `of` makes them, is wrong."""
        if not self.numbers:
            return not (self.required and "" in values)
        lowest = -LARGEST if self.lowest is None else self.lowest
        inside = (values >= lowest) & (values <= LARGEST)
        return bool((inside if self.required is not None else inside | np.isnan(values)).all())

    def of(self, found) -> np.ndarray | list[str]:
        """The values in cells, or numbers that were read. Raises ValueError if they hold no numbers, but must."""
        if self.numbers:
            return found if isinstance(found, np.ndarray) else cells.numbers(found)
        return [cell.rstrip() for cell in found] if self.as_written else list(map(cells.text, found))


Wanted = dict[Hashable, tuple[int, Kind]]  # {whatever it is called: (place of a column, what it must hold)}
NUMBER, TEXT, AS_WRITTEN = Kind(True), Kind(False), Kind(False, as_written=True)


def values(table: CsvFile | Frame, wanted: Wanted) -> Iterator[Values]:
    """The values of some columns, block by block. Raises RunError at the first row that is none."""
    rows = 0
    if table.quick:
        with contextlib.suppress(ValueError, OverflowError):  # as those of pandas and of codecs are
            for found in _quickly(table, wanted):
                rows += len(next(iter(found.values())))
                yield found
            return
    for block in table.blocks(skipped=rows):
        if block.rows:
            yield _of_block(table, block, wanted)


def _checked(columns, wanted):
    """The values in {place: cells, or numbers}. Raises ValueError if some are none."""
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
    """The same. Raises ValueError or OverflowError where something is odd."""
    texts = {place for place, kind in wanted.values() if not kind.numbers}
    numbers = {place for place, _ in wanted.values()} - texts
    for frame in table.frames(numbers):
        columns = {place: _column(frame[place]) for place in numbers | texts}
        yield _checked(columns, wanted)


def _column(column):
    return column.to_numpy() if column.dtype == float else column.tolist()
