"""The contents of a table, as arrays: features, labels and weights, with their names."""

import math
from typing import NamedTuple

import numpy as np

from fcclf.data.rows import READ_AT_ONCE, Selected, with_replaced
from fcclf.data.schema import Column, Schema
from fcclf.errors import RunError
from fcclf.settings.fields import brief


class Contents(NamedTuple):
    """The contents of a table. X: float32 [samples, features], NaN if missing, perhaps `Selected`; y: int32 [samples],
    class numbers, or float64 [samples], numbers to predict; classes: the label of each class, () for numbers; columns:
    the name of each feature; weights: float32 [samples], or None if every row counts the same. texts: {number of a
    feature: its texts} of the features whose X are indices of texts. named: a heading gave the names. label: the name
    of the labels' column. left_out: {name of a column that is not used: why}."""

    X: np.ndarray | Selected
    y: np.ndarray
    classes: tuple[str, ...]
    columns: list[str]
    weights: np.ndarray | None = None
    texts: dict[int, tuple[str, ...]] = {}  # noqa: RUF012
    named: bool = False
    label: str | None = None
    left_out: dict[str, str] = {}  # noqa: RUF012

    @property
    def categories(self) -> tuple[int, ...]:
        """Number of texts of each feature, 0 for numbers; () if all features are numbers."""
        return tuple(len(self.texts.get(place, ())) for place, _ in enumerate(self.columns)) if self.texts else ()

    def with_texts_of(self, rows: np.ndarray) -> "Contents":
        """The table with only those texts that occur in some rows, given by number. X may be changed in place."""
        if not self.texts:
            return self
        replaced, texts = {}, {}
        for feature, seen in self._seen(rows).items():
            kept, known = np.flatnonzero(seen), self.texts[feature]
            replaced[feature] = np.full(len(known), len(kept), np.float32)
            replaced[feature][kept] = np.arange(len(kept))
            texts[feature] = tuple(known[place] for place in kept)
        return self._replace(X=with_replaced(self.X, replaced), texts=texts)

    def _seen(self, rows):
        """{feature: bool for each of its texts, whether it occurs in the rows}."""
        seen = {feature: np.zeros(len(known), bool) for feature, known in self.texts.items()}
        chosen = np.zeros(len(self.X), bool)
        chosen[rows] = True
        for first in range(0, len(chosen), READ_AT_ONCE):
            part = slice(first, first + READ_AT_ONCE)
            X = self.X[part][chosen[part]]
            for feature, found in seen.items():
                found[X[:, feature].astype(np.int32)] = True
        return seen

    @property
    def schema(self) -> Schema:
        """The names of the columns and classes."""
        known = self.columns if self.named or self.texts else ()
        columns = tuple(Column(name, self.texts.get(place, ())) for place, name in enumerate(known))
        return Schema(columns, self.named, self.label, self.classes)


def numbered(labels: list[str], path) -> tuple[np.ndarray, tuple[str, ...]]:
    """(class number of each label, int32; the text of each class). If all labels are numbers, classes are in the order
    of the numbers, and equal numbers are one class; else they are in the order of the texts. Raises RunError if one of
    the numbers is not finite."""
    try:
        values = {text: float(text) for text in labels}
    except ValueError:
        values = {text: text for text in labels}
    for text, value in values.items():
        if value != value or value in (math.inf, -math.inf):
            raise RunError(f"{path} has the label {brief(text)} among numbers: correct it, or leave the row out.")
    texts = {}  # of each class, as first written
    for text, value in values.items():
        texts.setdefault(value, text)
    numbers = {value: number for number, value in enumerate(sorted(texts))}
    return np.array([numbers[values[text]] for text in labels], np.int32), tuple(texts[value] for value in numbers)
