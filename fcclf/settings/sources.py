"""Where the samples come from: a `Section` of settings for each kind of data. `fcclf.data` makes the arrays.

A run is identified by the fingerprint of its data, not by their path, so files may move.
"""

import codecs
import os
import typing
from dataclasses import dataclass
from pathlib import Path

from fcclf.errors import ConfigError
from fcclf.settings.fields import Section, required, setting, slug
from fcclf.settings.run_config import AS_IT_LOOKS, CLASSIFICATION, REGRESSION, DataShape, Format

TASKS = (CLASSIFICATION, REGRESSION)
CURVES = ("sine", "step", "bump", "line")
FASHION_MNIST = "/usr/share/datasets/fashion-mnist"  # from Debian's package dataset-fashion-mnist


class Known(typing.NamedTuple):
    """What a source knows about its samples before they are made."""

    samples: int
    test_size: int
    shape: DataShape


@dataclass(frozen=True)
class Source(Section):
    """A kind of data. name: in config.json and on the command line; known: None if only the files tell; task: what is
    predicted, an entry of TASKS; model_defaults: {setting: value} of a model that such data need; format: how their
    files are written."""

    name: typing.ClassVar[str]
    known: typing.ClassVar[Known | None] = None
    model_defaults: typing.ClassVar[dict] = {}
    task, format = CLASSIFICATION, AS_IT_LOOKS  # settings of tables

    @property
    def prefix(self) -> str:
        """The beginning of the name of a run."""
        return self.name

    def to_dict(self):
        return {"name": self.name, **super().to_dict()}

    def name_parts(self, defaults):
        yield self.prefix
        yield from super().name_parts(defaults)


# ---- points in the plane ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape(Source):
    """Points in the plane; the test part is the last of them, a share of `test_ratio`."""

    noise: float = setting(0.1, "standard deviation of the Gaussian noise", at_least=0, at_most=1e6)
    samples: int = setting(2000, "points in all", at_least=2, at_most=100_000_000)
    test_ratio: float = setting(0.2, "share of the samples kept for the test part", above=0, below=1)
    data_seed: int = setting(42, "seed of the points", at_least=0, at_most=2**32 - 1)

    n_classes: typing.ClassVar[int] = 2

    @property
    def known(self) -> Known:
        """Numbers of samples, features and classes."""
        return Known(self.samples, int(self.samples * self.test_ratio), DataShape(2, self.n_classes))


@dataclass(frozen=True)
class Moons(Shape):
    """Two interleaved half circles with noise."""

    name: typing.ClassVar[str] = "moons"


@dataclass(frozen=True)
class Circles(Shape):
    """A circle inside another with noise."""

    name: typing.ClassVar[str] = "circles"


@dataclass(frozen=True)
class ManyClasses(Shape):
    """A shape with any number of classes."""

    classes: int = setting(3, "number of classes", at_least=2, at_most=100)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.classes


@dataclass(frozen=True)
class Blobs(ManyClasses):
    """Round clouds in a square with sides of 20; the noise is their standard deviation."""

    noise: float = setting(1.0, "standard deviation of each cloud", at_least=0, at_most=1e6)

    name: typing.ClassVar[str] = "blobs"


@dataclass(frozen=True)
class Spirals(ManyClasses):
    """Arms that wind around each other once, out to radius 1, with noise."""

    noise: float = setting(0.05, "standard deviation of the Gaussian noise", at_least=0, at_most=1e6)

    name: typing.ClassVar[str] = "spirals"


# ---- points on a curve -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve(Source):
    """Points of a curve from -1 to 1 with noise; the last `test_ratio` of them is the test part."""

    shape: str = setting("sine", "the curve", choices=CURVES)
    noise: float = setting(0.1, "standard deviation of the Gaussian noise on the label", at_least=0, at_most=1e6)
    samples: int = setting(500, "points in all", at_least=2, at_most=100_000_000)
    test_ratio: float = setting(0.2, "share of the samples kept for the test part", above=0, below=1)
    data_seed: int = setting(42, "seed of the points", at_least=0, at_most=2**32 - 1)

    name: typing.ClassVar[str] = "curve"
    task = REGRESSION

    @property
    def known(self) -> Known:
        """Numbers of samples, features and outputs."""
        return Known(self.samples, int(self.samples * self.test_ratio), DataShape(1, 1))


# ---- files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Images(Source):
    """MNIST, Fashion-MNIST, or others in their format; pixels from 0 to 1."""

    data_dir: str = setting(
        FASHION_MNIST, "where their four IDX files are, as they are or .gz", metavar="DIR", changes_result=False
    )

    name: typing.ClassVar[str] = "images"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "data_dir", os.path.abspath(self.data_dir))

    @property
    def prefix(self):
        return slug(Path(self.data_dir).name)


@dataclass(frozen=True)
class Table(Source):
    """A CSV or Parquet file with a column of labels, classes or numbers, or an NPZ file with arrays X and y."""

    file: str = required("the file: .csv, .csv.gz, .parquet or .npz", metavar="FILE", changes_result=False)
    label: str | None = setting(
        None, "name or number, from 1, of the column that holds the labels (default: the last)", metavar="COLUMN"
    )
    task: str | None = setting(
        None,
        "whether labels are classes or numbers (default: as they look; in Python, classification)",
        choices=TASKS,
    )
    weight_column: str | None = setting(
        None,
        "name or number of the column, or name of the NPZ array, that says how much a row counts",
        metavar="NAME",
    )
    columns: tuple[str, ...] = setting((), "names or numbers of the columns to predict from", metavar="COLUMN")
    drop: tuple[str, ...] = setting((), "names or numbers of columns to leave out", metavar="COLUMN")
    categories: tuple[str, ...] = setting(
        (), "names or numbers of columns whose numbers are categories, as texts always are", metavar="COLUMN"
    )
    delimiter: str | None = setting(
        None, "what separates the cells of a CSV file (default: by its look)", metavar="CHAR", changes_result=False
    )
    encoding: str | None = setting(
        None, "how a CSV file is encoded, such as latin-1 (default: UTF-8)", metavar="NAME", changes_result=False
    )
    test_ratio: float = setting(0.2, "share of each class that is kept for the test part", above=0, below=1)
    data_seed: int = setting(42, "seed of the split", at_least=0, at_most=2**32 - 1)

    name: typing.ClassVar[str] = "table"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "file", os.path.abspath(self.file))
        object.__setattr__(self, "task", self.task or CLASSIFICATION)
        check_format(self.format)

    @property
    def format(self) -> Format:
        """How the file is written."""
        return Format(self.delimiter, self.encoding)

    @property
    def model_defaults(self) -> dict:
        """{setting: value} for columns in different units of measurement: they are standardised. Classifiers get more
        hidden units, with which a regressor would memorise a few hundred rows."""
        return _defaults_of_columns(self.task)

    @property
    def prefix(self):
        return slug(Path(self.file.removesuffix(".gz")).stem)


def _defaults_of_columns(task):
    """{setting: value} of a model for columns in different units of measurement."""
    wider = {} if task == REGRESSION else {"hidden": (32, 16)}
    return {"standardize": "features", **wider}


def check_format(form: Format):
    """Raises ConfigError for an invalid delimiter or an unknown encoding."""
    if form.delimiter is not None and (len(form.delimiter) != 1 or form.delimiter in '\r\n"'):
        raise ConfigError("delimiter", f"is {form.delimiter!r}, but must be one character, such as ; or $'\\t'.")
    try:
        codecs.lookup(form.encoding or "utf-8")
    except LookupError:
        raise ConfigError("encoding", f"is {form.encoding!r}, which is none: utf-8, latin-1 and cp1252 are.") from None


@dataclass(frozen=True)
class Packed(Source):
    """A directory that `fcclf pack` made: data that may be larger than the memory, split already."""

    directory: str = required("the directory", metavar="DIR", changes_result=False)
    task: str | None = setting(
        None,
        "whether labels are classes or numbers (default: as they were packed; in Python, classification)",
        choices=TASKS,
    )

    name: typing.ClassVar[str] = "packed"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "directory", os.path.abspath(self.directory))
        object.__setattr__(self, "task", self.task or CLASSIFICATION)

    @property
    def model_defaults(self) -> dict:
        """{setting: value} of a model, as for a `Table`."""
        return _defaults_of_columns(self.task)

    @property
    def prefix(self):
        return slug(Path(self.directory).name)


SOURCES = {source.name: source for source in (Moons, Circles, Blobs, Spirals, Curve, Images, Table, Packed)}
