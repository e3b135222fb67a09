"""What a run notes of its data. Standard library only: runs are listed without numpy's import."""

from typing import NamedTuple

from fcclf.settings.run_config import DataShape


class Facts(NamedTuple):
    """Of the samples of a run. fingerprint: sha256 of all arrays, equal for equal data only. n_classes: or how many
    numbers are predicted. label_mean, label_stddev: of the labels trained on, where they are numbers. categories,
    missing: as in `DataShape`."""

    fingerprint: str
    n_features: int
    n_classes: int
    label_mean: float = 0.0
    label_stddev: float = 1.0
    categories: tuple[int, ...] = ()
    missing: bool = False

    @property
    def shape(self) -> DataShape:
        """What a network must fit."""
        return DataShape(self.n_features, self.n_classes, self.categories, self.missing)

    def to_dict(self) -> dict:
        """For JSON, `Facts(**stored)` takes it back. The defaults are left out."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)}
