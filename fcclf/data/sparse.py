"""Sparse samples, in arrays from which a graph can gather rows.

Every row has the same number of places for entries, enough for the fullest row, so a batch is gathered like one of
dense samples; only the batch is made dense.
"""

from typing import NamedTuple

import numpy as np

from fcclf.system import memory


class SparseRows(NamedTuple):
    """Sparse samples, row by row. columns: int32 [samples, places], the column of each entry, or the number of features
    in a place without one; values: float [samples, places], 0 in a place without an entry."""

    columns: np.ndarray
    values: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def places(self) -> int:
        """Number of entries that a row may have."""
        return self.columns.shape[1]


def rows_of(X) -> SparseRows | np.ndarray:
    """A sparse matrix or array of scipy as `SparseRows`, or as a dense array if that takes no more memory. Raises
    RunError if there is too little memory: the fullest row decides how much is needed.

    The number of places is rounded up to a power of two: programs are compiled for it, and the parts of a
    cross-validation would otherwise differ slightly.
    """
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()  # not to change the user's
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
    """At most the first `count` samples of X, dense: [samples, features]."""
    if not isinstance(X, SparseRows):
        return X[:count]
    columns, values = X.columns[:count], X.values[:count]
    filled = np.zeros((len(columns), n_features + 1), values.dtype)
    filled[np.arange(len(columns))[:, None], columns] = values
    return filled[:, :-1]
