"""The names of the columns and classes of data, which a run stores so that it can predict from new data.

Standard library only: runs are listed without importing numpy.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """A feature. categories: its texts, of which the network gets the index, () if the feature holds numbers. The index
    after the last one stands for any other text."""

    name: str
    categories: tuple[str, ...] = ()


class Schema(NamedTuple):
    """The names of the columns and classes of some data.

    columns: the features in order, () if only their number is known; named: the names come from a heading, else they
    only number the columns. label: the name of the column that is predicted. classes: the name of each class, () if
    they only have numbers. image_shape: height and width of samples that are images.
    """

    columns: tuple[Column, ...] = ()
    named: bool = False
    label: str | None = None
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    def class_names(self, n_classes: int) -> list[str]:
        """The names of `n_classes` classes; their numbers if they have no names."""
        return [*(self.classes or map(str, range(n_classes)))]

    def to_dict(self) -> dict:
        """The schema for JSON; `from_dict` reads it back."""
        return {**self._asdict(), "columns": [column._asdict() for column in self.columns]}

    @classmethod
    def from_dict(cls, stored: dict) -> "Schema":
        """The schema that `to_dict` stored. Raises ValueError, TypeError or KeyError if it is not one."""
        columns = tuple(Column(str(each["name"]), tuple(map(str, each["categories"]))) for each in stored["columns"])
        label = None if stored["label"] is None else str(stored["label"])
        shape = stored["image_shape"]
        if shape is not None:
            height, width = map(int, shape)
            shape = (height, width)
        return cls(columns, bool(stored["named"]), label, tuple(map(str, stored["classes"])), shape)
