"""What a run records about its data. Standard library only: runs are listed without importing numpy."""

from typing import NamedTuple

from fcclf.settings.run_config import DataShape


class Facts(NamedTuple):
    """Facts about the data of a run. fingerprint: sha256 of all arrays, equal for equal data only. n_classes: number of
    classes, or of predicted numbers. label_mean, label_stddev: of the labels trained on, if they are numbers.
    categories, missing: as in `DataShape`."""

    fingerprint: str
    n_features: int
    n_classes: int
    label_mean: float = 0.0
    label_stddev: float = 1.0
    categories: tuple[int, ...] = ()
    missing: bool = False

    @property
    def shape(self) -> DataShape:
        """The shape of the data, which a network must fit."""
        return DataShape(self.n_features, self.n_classes, self.categories, self.missing)

    def to_dict(self) -> dict:
        """The facts that are not defaults, for JSON. `Facts(**stored)` reads them back."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)}
