"""The settings that all kinds of runs share, whether the command line or an estimator made them.

Run directories, their records and overviews use these members alone, so a new kind of run is a new class that has them.
Standard library only: runs are listed without TensorFlow.
"""

from typing import ClassVar, NamedTuple, Protocol

from fcclf.settings.blocks import Block

CLASSIFICATION, MULTILABEL, REGRESSION = ("classification", "multilabel", "regression")  # tasks
CPU, GPU = ("cpu", "gpu")
DEVICES = ("auto", CPU, GPU)  # that training may be asked to run on
LONGEST_PATIENCE = 2**63 - 1  # epochs, for a rule that never runs out of patience


class DataShape(NamedTuple):
    """The shape of the data that a network must fit. n_classes: number of classes, or of predicted numbers. categories:
    number of categories of each feature, 0 for a number; () if all features are numbers. missing: some samples lack
    numbers."""

    n_features: int
    n_classes: int
    categories: tuple[int, ...] = ()
    missing: bool = False


class Format(NamedTuple):
    """How a CSV file is written: its delimiter and its encoding; None: to be detected from the file."""

    delimiter: str | None = None
    encoding: str | None = None

    def where_said(self, other: "Format") -> "Format":
        """This format, with what is None taken from another."""
        return Format(self.delimiter or other.delimiter, self.encoding or other.encoding)


AS_IT_LOOKS = Format()


class Stopping(NamedTuple):
    """The rule that ends training before its last epoch, or lowers its learning rate.

    metric: the metric of an epoch that decides; rising: higher is better; lenient: as in scikit-learn, an epoch that is
    better by less than the tolerance becomes the best one, but does not restart patience. tolerance: the improvement
    that counts; patience: the number of epochs to wait for one. slows: exhausted patience lowers the learning rate
    first.
    """

    metric: str
    tolerance: float
    patience: int
    rising: bool = False
    lenient: bool = False
    slows: bool = False

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch are the result, as they are if validation samples decide."""
        return self.metric.startswith("validation_")


class RunConfig(Protocol):
    """All settings of a run.

    maker: what made the run, for display; score: the name of the score in metrics, "accuracy" or "r2"; dtype: of the
    network's numbers, "float32" or "float64"; task: what is predicted, CLASSIFICATION, MULTILABEL (any number of the
    classes for a sample) or REGRESSION; logarithms: the network's outputs are logarithms of the predicted numbers;
    threads: CPU threads asked for, 0 for as many as the run began with; named_by: the setting that names its directory;
    remedy: what to do if another run has that name. source: the name of the data; format: how files of samples are
    written; loadable: whether the settings tell where the samples come from, so that they can be loaded again.
    highlights: the metrics of an epoch that an overview shows.
    """

    maker: ClassVar[str]
    score: str
    dtype: str
    task: str
    logarithms: bool
    threads: int
    named_by: ClassVar[str]
    remedy: ClassVar[str]
    loadable: ClassVar[bool]
    highlights: tuple[str, ...]
    source: str
    format: Format

    @property
    def epochs(self) -> int:
        """Number of epochs asked for."""

    @property
    def stopping(self) -> Stopping | None:
        """The rule that ends training early or lowers the learning rate; None without one."""

    def layers(self, shape: DataShape) -> dict[str, Block]:
        """{scope: block} of the network for data of that shape. Raises ConfigError if it does not fit them."""

    def identity(self) -> dict:
        """{setting: value} of the settings that change the result: two equal identities are the same run."""

    def for_display(self) -> dict:
        """{setting: value} of the settings that change the result, for display."""

    def command(self) -> str:
        """The command line, or the call, that makes this run."""

    def to_dict(self) -> dict:
        """The settings as plain dicts and lists, for JSON. `from_dict` reads them back."""

    @classmethod
    def from_dict(cls, stored: dict) -> "RunConfig":
        """The settings that `to_dict` wrote. Raises ConfigError on an unknown, ill-typed or illegal one."""

    @classmethod
    def wrote(cls, stored: dict) -> bool:
        """Whether a stored document was made by `to_dict` of this class."""


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """["setting: old value -> new value", ...]: how the identities of two runs differ."""
    old, new = old.identity(), new.identity()
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]
