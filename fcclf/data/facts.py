"""What a run notes of its data. Standard library only: runs are listed without numpy's import."""

from typing import NamedTuple


class Facts(NamedTuple):
    """Of the samples of a run. fingerprint: sha256 of all arrays, equal for equal data only."""

    fingerprint: str
    n_features: int
    n_classes: int
