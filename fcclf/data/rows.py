"""Rows of arrays that need not be in memory."""

import ctypes
import mmap

import numpy as np

from fcclf.data.dataset import aligned

LIBC = ctypes.CDLL(None)
READ_AT_ONCE = 1 << 13  # rows
GAP, MOST_RUNS, MOST_SPARE = 1 << 16, 4096, 4  # bytes between rows read together, runs, bytes read for one


class Chosen:
    """Some rows of an array, given by number, that are read on demand.

    array: [all rows, ...]; rows: int [rows].
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        self.array, self.rows = array, rows
        self.shape, self.dtype, self.ndim = (len(rows), *array.shape[1:]), array.dtype, array.ndim

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index) -> np.ndarray:
        return self.array[self.rows[index]]


def is_mapped(array) -> bool:
    """Whether an array is a memory map of a file, or a view of one."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


class Selected:
    """Some columns of a matrix, float32 [rows, all columns], that are read on demand.

    columns: their positions in the matrix. replaced: {column of the selection: float32 array}: value k of that column,
    a whole number from 0, is replaced by entry k of the array.
    """

    def __init__(self, matrix: np.ndarray, columns: list[int], replaced: dict[int, np.ndarray]):
        self.matrix, self.columns, self.replaced = matrix, columns, replaced
        self.shape, self.dtype, self.ndim = (len(matrix), len(columns)), matrix.dtype, 2
        self.is_whole = columns == [*range(matrix.shape[1])] and not replaced

    def __len__(self):
        return len(self.matrix)

    def __getitem__(self, rows) -> np.ndarray:
        if self.is_whole:
            return self.matrix[rows]
        found = np.take(self.matrix[rows], self.columns, axis=1)
        for column, values in self.replaced.items():
            found[:, column] = values[found[:, column].astype(np.int32)]
        return found

    def with_replaced(self, replaced: dict[int, np.ndarray]) -> "Selected":
        """A selection whose replaced columns are replaced once more; each needs an array in `replaced`."""
        both = {column: replaced[column][values.astype(np.int32)] for column, values in self.replaced.items()}
        return Selected(self.matrix, self.columns, both)


def with_replaced(X: np.ndarray | Selected, replaced: dict[int, np.ndarray]) -> np.ndarray | Selected:
    """X with values of some columns replaced, as in `Selected`. An array is changed in place."""
    if isinstance(X, Selected):
        return X.with_replaced(replaced)
    for column, values in replaced.items():
        X[:, column] = values[X[:, column].astype(np.int32)]
    return X


def gathered(array: np.ndarray | Chosen, rows: np.ndarray) -> np.ndarray:
    """Some rows of an array, given by number: [rows, ...], aligned. They are read in the order they are stored in."""
    if isinstance(array, Chosen):
        array, rows = array.array, array.rows[rows]
    found = aligned((len(rows), *array.shape[1:]), array.dtype)
    places = np.argsort(rows, kind="stable")
    _announce(array.matrix if isinstance(array, Selected) else array, rows[places])
    for first in range(0, len(rows), READ_AT_ONCE):
        some = places[first : first + READ_AT_ONCE]
        found[some] = array[rows[some]]
    return found


def _announce(array, rows):
    """Tells the system which rows of a memory map, in order, will be read, unless they lie too far apart. It then reads
    them in large pieces, several times as fast."""
    if not len(rows) or not is_mapped(array):
        return
    size, page = array.strides[0], mmap.PAGESIZE
    ends = np.append(np.flatnonzero(np.diff(rows) * size > GAP), len(rows) - 1)
    firsts, lasts = rows[np.append(0, ends[:-1] + 1)].astype(np.int64), rows[ends].astype(np.int64)
    if len(ends) > MOST_RUNS or (lasts - firsts + 1).sum() > MOST_SPARE * len(rows):
        return
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        begin = array.ctypes.data + first * size
        length = (last - first + 1) * size + begin % page
        LIBC.madvise(ctypes.c_void_p(begin - begin % page), ctypes.c_size_t(length), mmap.MADV_WILLNEED)
