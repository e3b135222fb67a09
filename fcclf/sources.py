"""Where the samples come from: a `Section` of settings for each kind of data.

`fcclf.data` makes the arrays.
"""

import typing
from dataclasses import dataclass

from fcclf.settings import Section, setting


@dataclass(frozen=True)
class Source(Section):
    """A kind of data. name: in config.json and on the command line."""

    name: typing.ClassVar[str]

    def to_dict(self):
        return {"name": self.name, **super().to_dict()}

    def name_parts(self, usual):
        yield self.name
        yield from super().name_parts(usual)


@dataclass(frozen=True)
class Shape(Source):
    """Points in the plane; the last `test_ratio` of them is the test part."""

    noise: float = setting(0.1, "standard deviation of the Gaussian noise", at_least=0, at_most=1e6)
    samples: int = setting(2000, "points in all", at_least=2, at_most=100_000_000)
    test_ratio: float = setting(0.2, "share of the samples kept for the test part", above=0, below=1)
    data_seed: int = setting(42, "seed of the points", at_least=0, at_most=2**32 - 1)

    @property
    def test_size(self):
        """Samples in the test part."""
        return int(self.samples * self.test_ratio)

    @property
    def train_size(self):
        """Samples in the training part, those held out for validation included."""
        return self.samples - self.test_size


@dataclass(frozen=True)
class Moons(Shape):
    """Two interleaved half circles with noise."""

    name: typing.ClassVar[str] = "moons"


SOURCES = {source.name: source for source in (Moons,)}
