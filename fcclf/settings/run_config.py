"""What every kind of run has in common in its settings, whoever made it: the command line or an estimator.

Run directories, their records and overviews ask for these members alone, so another kind of run is another class with
them. Standard library only: runs are listed without TensorFlow.
"""

from typing import ClassVar, NamedTuple, Protocol

from fcclf.settings.blocks import Block

CLASSIFICATION, MULTILABEL, REGRESSION = ("classification", "multilabel", "regression")  # tasks
CPU, GPU = ("cpu", "gpu")
DEVICES = ("auto", CPU, GPU)  # that training may be asked to run on
LONGEST_PATIENCE = 2**63 - 1  # epochs, for a rule that never runs out of patience


class DataShape(NamedTuple):
    """What a network must fit. n_classes: or how many numbers are predicted. categories: how many each feature has, 0
    of one that is a number; () where all are numbers. missing: some samples lack some."""

    n_features: int
    n_classes: int
    categories: tuple[int, ...] = ()
    missing: bool = False


class Format(NamedTuple):
    """How a CSV file is written: what separates its cells, and its encoding; None: as it looks."""

    delimiter: str | None = None
    encoding: str | None = None

    def where_said(self, other: "Format") -> "Format":
        """The same, and what another says where this says nothing."""
        return Format(self.delimiter or other.delimiter, self.encoding or other.encoding)


AS_IT_LOOKS = Format()


class Stopping(NamedTuple):
    """When training is over before its last epoch, or its learning rate falls.

    metric: of an epoch, that decides; rising: more of it is better; lenient: scikit-learn's rule, by which an epoch
    that is better by less than the tolerance is the best one all the same, but patience runs on. tolerance: what
    counts as better; patience: epochs without a better one. slows: exhausted patience lowers the learning rate first.
    """

    metric: str
    tolerance: float
    patience: int
    rising: bool = False
    lenient: bool = False
    slows: bool = False

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch count: where samples decide that are not trained on."""
        return self.metric.startswith("validation_")


class RunConfig(Protocol):
    """All settings of a run.

    maker: what made the run, for people; score: the name of the score in metrics, "accuracy" or "r2"; dtype: of the
    network's numbers, "float32" or "float64"; task: what is predicted, CLASSIFICATION, MULTILABEL (any number of the
    classes for a sample) or REGRESSION; logarithms: the network puts out those of what is predicted; threads: CPU
    threads asked for, 0 for as many as it began with; named_by: the setting that names its directory; remedy: what to
    do where another run has that name. source: the name of the data; format: how files of samples are written;
    loadable: whether the settings tell where the samples come from, so that they can be loaded again. highlights:
    metrics of an epoch that an overview shows.
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
        """When training is over before its last epoch; None if never."""

    def layers(self, shape: DataShape) -> dict[str, Block]:
        """{scope: block} of the network for such data. Raises ConfigError if it does not fit them."""

    def identity(self) -> dict:
        """{setting: value} of the settings that change the result: two equal identities are the same run."""

    def for_display(self) -> dict:
        """{setting: value} of the settings that change the result, for people."""

    def command(self) -> str:
        """The command line, or the call, that makes this run."""

    def to_dict(self) -> dict:
        """Plain dicts and lists, for JSON. `from_dict` takes them back."""

    @classmethod
    def from_dict(cls, stored: dict) -> "RunConfig":
        """The settings that `to_dict` wrote. Raises ConfigError on an unknown, ill-typed or illegal one."""

    @classmethod
    def wrote(cls, stored: dict) -> bool:
        """Whether `to_dict` of this class made a document."""


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """["setting: old value -> new value", ...] of the identities of two settings."""
    old, new = old.identity(), new.identity()
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]
