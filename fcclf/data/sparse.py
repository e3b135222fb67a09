"""Samples with few features that are not 0, in arrays that a graph can take rows of.

Every row has the same number of places, as many as the fullest one needs, so a batch is gathered like one of dense
samples; only the batch is made dense.
"""

from typing import NamedTuple

import numpy as np

from fcclf.system import memory


class SparseRows(NamedTuple):
    """Samples, row by row. columns: int32 [samples, places], the number of features where a row has no more entries;
    values: float [samples, places], 0 there."""

    columns: np.ndarray
    values: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        """The type of the values."""
        return self.values.dtype

    @property
    def places(self) -> int:
        """Number of entries that a row may have."""
        return self.columns.shape[1]


def rows_of(X) -> SparseRows | np.ndarray:
    """A sparse matrix or array of scipy in the form above; a dense array where that takes no more memory than the form.
    Raises RunError if there is no memory for it: the fullest row decides.

    The number of places is a power of two: programs are compiled for it, and the parts of a cross-validation would
    differ in it by a little.
    """
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()  # it is the user's
        X.sum_duplicates()
    counts = np.diff(X.indptr)
    places = 1 << int(max(1, counts.max(initial=1)) - 1).bit_length()
    numbers = X.shape[0] * min(2 * places, X.shape[1])
    memory.require(
        memory.Needed(8 * numbers), "holding sparse samples", "take fewer, or features that fewer of them have"
    )
    if 2 * places >= X.shape[1]:
        return X.toarray()
    filled = np.arange(places) < counts[:, None]
    columns = np.full(filled.shape, X.shape[1], np.int32)
    values = np.zeros(filled.shape, X.dtype)
    columns[filled], values[filled] = X.indices, X.data
    return SparseRows(columns, values)


def first_rows(X: SparseRows | np.ndarray, count: int, n_features: int) -> np.ndarray:
    """The first `count` samples of X at most, dense: [samples, features]."""
    if not isinstance(X, SparseRows):
        return X[:count]
    columns, values = X.columns[:count], X.values[:count]
    filled = np.zeros((len(columns), n_features + 1), values.dtype)
    filled[np.arange(len(columns))[:, None], columns] = values
    return filled[:, :-1]
