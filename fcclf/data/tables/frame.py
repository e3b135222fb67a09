"""DataFrames and Parquet files as tables, with cells as a CSV file would hold them."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fcclf.data.tables.csv_file import CELLS, LOOKED_AT, ROWS, Block, Heading
from fcclf.errors import RunError
from fcclf.system import durable

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 1 << 16  # rows of a file that is read in parts
LARGEST_WHOLE = 1e15  # float64 holds every digit of whole numbers below it


class Frame:
    """A DataFrame that is read like a `CsvFile`. heading: the names of its columns, which are numbered if all their
    names are whole numbers."""

    quick = True

    def __init__(self, path: Path | str, frame: "pd.DataFrame"):
        names = [*frame.columns]
        named = not all(isinstance(name, int) or hasattr(name, "dtype") for name in names)
        columns = [str(name) if named else f"column {place}" for place, name in enumerate(names, start=1)]
        self.heading, self.frame = Heading(path, columns, named), frame
        self.rows_at_once = min(ROWS, max(1, CELLS // max(1, len(columns))))

    def check_width(self):
        """Raises RunError unless there are at least two columns, for features and labels."""
        if len(self.heading.columns) < 2:
            raise RunError(f"{self.heading.path} needs two columns or more, features and a label.")

    def first_rows(self) -> list[list[str]]:
        """The first rows, from which it is judged what columns hold."""
        return self._rows(0, min(LOOKED_AT, max(1, CELLS // len(self.heading.columns))))

    def blocks(self, skipped: int = 0) -> Iterator[Block]:
        """Yields the rows without the first `skipped`. Rows are counted from 1."""
        for first in range(skipped, len(self.frame), self.rows_at_once):
            rows = self._rows(first, first + self.rows_at_once)
            yield Block(list(range(first + 1, first + len(rows) + 1)), rows)

    def frames(self, numbers: set[int]) -> "Iterator[pd.DataFrame]":
        """Yields all rows at once, with columns named by position. numbers: positions of the columns that hold numbers.
        Raises ValueError if one of them does not."""
        import pandas as pd

        found = {}
        for place, _ in enumerate(self.heading.columns):
            column = self.frame.iloc[:, place]
            if place in numbers and column.dtype.kind not in "fiub":
                raise ValueError("a column holds something else than numbers")
            found[place] = column.to_numpy(float) if place in numbers else _texts(column)
        if len(self.frame):
            yield pd.DataFrame(found)

    def _rows(self, first, stop):
        columns = [_texts(self.frame.iloc[first:stop, place]) for place, _ in enumerate(self.heading.columns)]
        return list(map(list, zip(*columns, strict=True)))


def _texts(column):
    """Cells as a CSV file would hold them: empty if a value is missing, whole numbers without a decimal point."""
    lacking = column.isna().tolist()
    return ["" if missing else _text(cell) for cell, missing in zip(column.tolist(), lacking, strict=True)]


def _text(cell):
    whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < LARGEST_WHOLE
    return str(int(cell)) if whole else str(cell)


def of_rows(name: str, rows: list) -> Frame:
    """Rows of cells, all of one length, as a table without column names."""
    import pandas as pd

    columns = dict(enumerate(zip(*rows, strict=True)))
    return Frame(name, pd.DataFrame(columns, dtype=object))


class InParts(Frame):
    """A `Frame` of a table that is read some rows at a time. frames: returns an iterator of DataFrames with successive
    rows, from the first one on."""

    def __init__(self, path: Path, frames: "Callable[[], Iterator[pd.DataFrame]]"):
        super().__init__(path, next(frames()))
        self.parts = frames

    def blocks(self, skipped: int = 0) -> Iterator[Block]:
        """Yields the rows without the first `skipped`, as a `Frame` does."""
        begun = 0
        for frame in self.parts():
            for lines, rows in Frame(self.heading.path, frame).blocks(max(0, skipped - begun)):
                yield Block([begun + line for line in lines], rows)
            begun += len(frame)

    def frames(self, numbers: set[int]) -> "Iterator[pd.DataFrame]":
        """Yields all rows as a `Frame` does, part by part."""
        for frame in self.parts():
            yield from Frame(self.heading.path, frame).frames(numbers)


def _parts(path):
    """Yields the rows of a Parquet file, some at a time."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        empty = file.schema_arrow.empty_table().to_pandas()
        for batch in file.iter_batches(AT_ONCE):
            frame = batch.to_pandas()
            yield frame.reset_index() if frame.index.name else frame
        if not file.metadata.num_rows:
            yield empty


@contextlib.contextmanager
def opened(path: Path, in_parts=False) -> Iterator[Frame]:
    """The table in a Parquet file, inside the block. in_parts: read it some rows at a time. Raises RunError if it is
    not a Parquet file, or pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise RunError(f"{path}: reading Parquet needs pyarrow, which is not installed: pip install 'fcclf[parquet]'")
    import pandas as pd

    if in_parts:
        with durable.explained("read", path, Exception):
            table = InParts(path, lambda: _parts(path))
        yield table
        return
    with durable.explained("read", path, Exception):  # pyarrow raises many kinds
        frame = pd.read_parquet(path, engine="pyarrow")
    yield Frame(path, frame.reset_index() if frame.index.name else frame)
