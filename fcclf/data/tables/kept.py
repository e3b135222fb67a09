"""Storage for the rows of a table as it is read: in memory, or in a file."""

from array import array
from pathlib import Path

import numpy as np

from fcclf.system import durable


class InMemory:
    """Rows of float32 in memory."""

    def __init__(self):
        self.values = array("f")

    def add(self, rows: np.ndarray):
        """Appends rows, float32 [rows, columns]."""
        self.values.frombytes(rows.tobytes())

    def matrix(self, width: int) -> np.ndarray:
        """All rows, of `width` columns: [rows, width]."""
        return np.frombuffer(self.values, np.float32).reshape(-1, width)


class OnDisk:
    """Rows of float32 in a new file, which the caller deletes."""

    def __init__(self, path: Path):
        self.path = path
        with durable.explained("write", path):
            self.file = open(path, "wb", opener=durable.open_no_link)  # noqa: SIM115 - closed when the matrix is asked for

    def add(self, rows: np.ndarray):
        """Appends rows, float32 [rows, columns]."""
        with durable.explained("write", self.path):
            self.file.write(np.ascontiguousarray(rows).data)

    def matrix(self, width: int) -> np.ndarray:
        """All rows, of `width` columns, as a view of the file: [rows, width]."""
        with durable.explained("write", self.path):
            self.file.close()
        return np.asarray(np.memmap(self.path, np.float32, "r")).reshape(-1, width)
