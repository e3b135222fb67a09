"""What the columns and classes of the data are called: kept with a run, so that it can be asked about new data.

Standard library only: runs are listed without numpy's import.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """One feature. categories: its texts, where it holds some; the network gets their places, and one place more stands
    for any other text. () where it holds numbers."""

    name: str
    categories: tuple[str, ...] = ()


class Schema(NamedTuple):
    """What the columns and classes of some data are called.

    columns: the features in order, () where nothing is known of them but how many there are; named: a heading gave
    the names, else they only count the columns. label: the name of the column that is predicted. classes: what each
    class is called, () where they have numbers only. image_shape: height and width of samples that are images.
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
        """What to call each of so many classes: their numbers, where they have no names."""
        return [*(self.classes or map(str, range(n_classes)))]

    def to_dict(self) -> dict:
        """For JSON; `from_dict` takes it back."""
        return {**self._asdict(), "columns": [column._asdict() for column in self.columns]}

    @classmethod
    def from_dict(cls, stored: dict) -> "Schema":
        """The schema that `to_dict` made. Raises ValueError, TypeError or KeyError if it is none."""
        columns = tuple(Column(str(each["name"]), tuple(map(str, each["categories"]))) for each in stored["columns"])
        label = None if stored["label"] is None else str(stored["label"])
        shape = stored["image_shape"]
        if shape is not None:
            height, width = map(int, shape)
            shape = (height, width)
        return cls(columns, bool(stored["named"]), label, tuple(map(str, stored["classes"])), shape)
