"""The settings of a run: the single source of defaults, rules, JSON and run names.

A `Config` is four frozen dataclasses: a `Source` of data, a `Model` or `Stack`, `Training` and `Session`. Every field
is made by `setting`, which holds its default, its rule and its help text; the command line, `--help`, config.json and
the name of the run directory are generated from the fields, so a new setting is one line here.

A setting either decides the result of a run or only how it is carried out (`changes_result=False`). The first kind
names the run and may not change when it is resumed; the second kind may. Standard library only: a usage error must not
wait for TensorFlow.
"""

import dataclasses
import hashlib
import json
import shlex
from dataclasses import dataclass, field
from typing import ClassVar

from fcclf.errors import ConfigError
from fcclf.settings import class_weight
from fcclf.settings.blocks import Block
from fcclf.settings.fields import Section, brief, setting
from fcclf.settings.model import Model, Stack, named_layers
from fcclf.settings.outline import outline
from fcclf.settings.run_config import CLASSIFICATION, CPU, DEVICES, REGRESSION, DataShape, Format, Stopping
from fcclf.settings.sources import SOURCES, Moons, Source

OPTIMIZERS = ("adam", "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adadelta")
CLASS_LOSSES = ("softmax", "sigmoid")
OF_CLASSES = ("label_smoothing", "class_weight")  # settings for classification alone
NUMBER_LOSSES = ("squared_error", "absolute_error", "huber", "poisson")
SCHEDULES = ("constant", "step", "exponential", "cosine", "invscaling", "adaptive")

LONGEST_RUN_NAME = 120  # characters; leaves room for suffixes below the 255 bytes of most file systems


@dataclass(frozen=True)
class Training(Section):
    """How the network learns."""

    optimizer: str = setting("adam", "tf.compat.v1.train optimizer", choices=OPTIMIZERS)
    learning_rate: float = setting(3e-3, "learning rate", above=0, at_most=1e6)
    schedule: str = setting(
        "constant",
        "learning rate over the steps, over the samples (invscaling), or lowered when patience ends (adaptive)",
        choices=SCHEDULES,
    )
    decay_steps: int = setting(
        10_000, "steps until it is decay-rate of what it was, or until the cosine is 0", at_least=1, at_most=10**12
    )
    decay_rate: float = setting(0.1, "factor of the step, exponential and adaptive schedules", above=0, at_most=1)
    power_t: float = setting(0.5, "exponent of the invscaling schedule", at_least=0, at_most=100)
    loss: str | None = setting(
        None,
        "of classes, the cross-entropy of one output for each (softmax, the default) or of one for two (sigmoid); of "
        "numbers, squared_error (the default) or another",
        choices=(*CLASS_LOSSES, *NUMBER_LOSSES),
    )
    delta: float = setting(
        1.0, "error from which huber is a line, in standard deviations of the labels", above=0, at_most=1e6
    )
    label_smoothing: float = setting(0.0, "share of each label that is spread over all classes", at_least=0, below=1)
    class_weight: tuple[str, ...] = setting(
        (),
        "how much the samples of a class count in training and validation: balanced (each class as much as any other), "
        "or LABEL=WEIGHT for some classes; the others count 1",
        metavar="WEIGHT",
    )
    clip_norm: float | None = setting(None, "clip the gradients to this global norm", above=0, at_most=1e9)
    batch_size: int = setting(
        64, "samples in a batch, at most all; a last short batch is trained on too", at_least=1, at_most=10_000_000
    )
    shards: int | None = setting(
        None,
        "cut each batch into so many shards (a power of two) and sum what they give in a fixed order, so that the "
        "number of machines changes no bit",
        at_least=1,
        at_most=64,
    )
    sampling: str = setting(
        "shuffle",
        "each sample once an epoch (shuffle), or drawn with replacement (bootstrap)",
        choices=("shuffle", "bootstrap"),
    )
    shuffle_window: int | None = setting(
        None,
        "samples that are shuffled, or drawn from, together, in blocks of 4096 that come in random order: files are "
        "read faster so (default: all)",
        at_least=4096,
        at_most=2**31 - 1,
        metavar="ROWS",
    )
    epochs: int = setting(
        1000, "epochs in all; more continue a finished run", at_least=1, at_most=10**9, changes_result=False
    )
    seed: int = setting(0, "seed of the initial weights and of the order of the samples", at_least=0, at_most=2**31 - 1)
    early_stopping: bool = setting(False, "hold out a part of the training data and stop when its loss falls no more")
    patience: int = setting(
        5, "epochs without a lower loss before training stops, or the adaptive rate falls", at_least=1, at_most=10**9
    )
    min_delta: float = setting(1e-3, "a loss that is lower by less does not count", at_least=0, at_most=1e6)
    validation_fraction: float = setting(0.1, "share of the training part that is held out", above=0, below=1)
    warm_start: str | None = setting(
        None, "start from the weights of this TF1 checkpoint, where name and shape match", metavar="CHECKPOINT"
    )

    def __post_init__(self):
        object.__setattr__(self, "class_weight", class_weight.as_words(self.class_weight))
        super().__post_init__()
        class_weight.parsed(self.class_weight)
        self._check_shards()

    def _check_shards(self):
        """Raises ConfigError unless the shards are a power of two and cut a batch into equal pieces."""
        if self.shards and self.shards & (self.shards - 1):
            raise ConfigError("shards", f"is {self.shards}, but must be a power of two, such as 4 or 8.")
        if self.shards and self.batch_size % self.shards:
            remedy = f"must divide the samples of a batch, {self.batch_size}: change one of them (--batch-size)."
            raise ConfigError("shards", f"is {self.shards}, but {remedy}")


@dataclass(frozen=True)
class Session(Section):
    """How a run is carried out. Only `jit`, `threads` and `device` can change a result (in the last bits)."""

    checkpoint_every: int = setting(
        50, "epochs between two checkpoints; 0: only at the end", at_least=0, at_most=10**9, changes_result=False
    )
    checkpoint_seconds: float = setting(
        30.0, "save at least this often, inside an epoch too", above=0, at_most=1e9, changes_result=False
    )
    keep: int = setting(3, "newest checkpoints kept", at_least=1, at_most=1_000_000, changes_result=False)
    histogram_every: int = setting(
        100, "epochs between two histograms of the variables; 0: none", at_least=0, at_most=10**9, changes_result=False
    )
    image_every: int = setting(
        100,
        "epochs between two pictures, becoming rarer in a long run; 0: none",
        at_least=0,
        at_most=10**9,
        changes_result=False,
    )
    jit: str = setting(
        "auto",
        "compile the epoch loop with XLA (auto: unless it has convolutions, on the CPU)",
        choices=("auto", "on", "off"),
    )
    stream: str = setting(
        "auto",
        "read samples from the disk as training needs them (auto: if there is no memory for all of them)",
        choices=("auto", "on", "off"),
        changes_result=False,
    )
    threads: int = setting(
        0,
        "CPU threads; 0: one for a small network, and for each shard with --shards, else one for each core",
        at_least=0,
        at_most=1024,
        changes_result=False,
    )
    device: str = setting(
        CPU,
        "where the loop runs; auto: on the GPU where TensorFlow sees one, whose bits are others than the CPU's",
        choices=DEVICES,
        changes_result=False,
    )


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: Source = field(default_factory=Moons)
    model: Model | Stack = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    session: Session = field(default_factory=Session)

    maker: ClassVar[str] = "fcclf train"
    dtype: ClassVar[str] = "float32"
    named_by: ClassVar[str] = "run_name"
    remedy: ClassVar[str] = "choose another --run-name, or move it aside with --fresh."
    loadable: ClassVar[bool] = True

    def __post_init__(self):
        loss = self.training.loss or self._defaults["loss"]
        object.__setattr__(self, "training", dataclasses.replace(self.training, loss=loss))
        object.__setattr__(self, "model", self.model.with_defaults(self.data.model_defaults))
        self._check_task()
        self._check_shards()

    def _check_shards(self):
        """Raises ConfigError for a setting of the session that does not work with shards."""
        if self.training.shards and self.session.stream == "on":
            raise ConfigError("stream", "is on, but shards are held in memory: leave --stream or --shards out.")
        if self.training.shards and self.session.device == "gpu":
            raise ConfigError("device", "is gpu, but shards are computed on CPUs: leave --device or --shards out.")

    def _check_task(self):
        """Raises ConfigError for a setting of training that belongs to another task."""
        training, numbers = self.training, self.is_regression
        if training.loss not in (NUMBER_LOSSES if numbers else CLASS_LOSSES):
            fitting = NUMBER_LOSSES if numbers else CLASS_LOSSES
            kinds = ("numbers", "classes") if numbers else ("classes", "numbers")
            remedy = f"the labels are {kinds[0]}, so it must be one of {', '.join(fitting)}."
            raise ConfigError("loss", f"is {training.loss}, which is for {kinds[1]}, but {remedy}")
        for name in OF_CLASSES:
            if numbers and getattr(training, name):
                raise ConfigError(name, "is for classes, but the labels are numbers: leave it out.")

    @property
    def task(self) -> str:
        """What is predicted: an entry of `fcclf.settings.sources.TASKS`."""
        return self.data.task

    @property
    def threads(self) -> int:
        """CPU threads asked for, 0 for as many as the run began with."""
        return self.session.threads

    @property
    def logarithms(self) -> bool:
        """Whether the network's outputs are logarithms of the predicted numbers."""
        return self.training.loss == "poisson"

    @property
    def is_regression(self) -> bool:
        """Whether numbers are predicted, not classes."""
        return self.task == REGRESSION

    @property
    def _defaults(self) -> dict:
        """{setting: value} of the settings whose default depends on others."""
        loss = "squared_error" if self.is_regression else "softmax"
        fitting = {**Model.common, **self.data.model_defaults}
        return {"task": CLASSIFICATION, "loss": loss, **fitting, **self.model.preset_defaults}

    @property
    def score(self) -> str:
        """The name of the score in metrics."""
        return "r2" if self.is_regression else "accuracy"

    @property
    def highlights(self) -> tuple[str, ...]:
        """The metrics of an epoch that an overview shows."""
        return ("test_loss", f"test_{self.score}", "train_loss", f"train_{self.score}")

    @property
    def epochs(self) -> int:
        """Number of epochs asked for."""
        return self.training.epochs

    @property
    def source(self) -> str:
        """The name of the data, or of their file or directory."""
        return self.data.prefix

    @property
    def format(self) -> Format:
        """How files of samples are written."""
        return self.data.format

    @property
    def stopping(self) -> Stopping | None:
        """The rule that ends training early or lowers the learning rate; None without one."""
        training, slows = self.training, self.training.schedule == "adaptive"
        if not training.early_stopping and not slows:
            return None
        metric = "validation_loss" if training.early_stopping else "train_total"
        return Stopping(metric, training.min_delta, training.patience, slows=slows)

    def layers(self, shape: DataShape) -> dict[str, Block]:
        """{scope: block} of the network for data of that shape. Raises ConfigError if it does not fit them."""
        sigmoid = self.training.loss == "sigmoid"
        if sigmoid and shape.n_classes != 2:
            raise ConfigError(
                "loss", f"is sigmoid, which is for two classes, but the data have {shape.n_classes}: use softmax."
            )
        return named_layers(self.model, shape._replace(n_classes=1) if sigmoid else shape)

    def run_name(self) -> str:
        """The name of the run, safe as a file name: the data and result-changing settings that are not the default."""
        parts = [part for section in sections(self) for part in section.name_parts(self._defaults)]
        return _shortened("-".join(parts))

    def command(self) -> str:
        """The command line that makes this run, with every setting that is not the default. Layers that are not those
        of a preset are missing from it."""
        words = [word for section in sections(self) for word in section.words(self._defaults)]
        return shlex.join(["fcclf", "train", self.data.name, *words])

    def identity(self) -> dict:
        """{"section.setting": value} of the settings that change the result: two equal identities are the same run."""
        return {"data.name": self.data.name} | {
            f"{group.name}.{item.name}": getattr(getattr(self, group.name), item.name)
            for group in dataclasses.fields(self)
            for item in dataclasses.fields(getattr(self, group.name))
            if item.metadata.get("changes_result", True)
            and (item.name != "shards" or self.training.shards)  # earlier releases did not have them
        }

    def for_display(self) -> dict:
        """{setting: value} of the settings that change the result, for display: a stack by its title, and summarised as
        settings of `Model`."""
        settings = {key.partition(".")[2]: value for key, value in self.identity().items() if key != "data.name"}
        if "layers" in settings:
            settings |= {"layers": self.model.title, **outline(self.model.layers)}
        return {"data": self.source, **settings}

    def to_dict(self) -> dict:
        """The settings as plain dicts and lists, for JSON. `Config.from_dict` reads them back."""
        stored = {group.name: getattr(self, group.name).to_dict() for group in dataclasses.fields(self)}
        return json.loads(json.dumps(stored))

    @classmethod
    def from_dict(cls, stored):
        """The `Config` that `to_dict` wrote. Raises ConfigError on an unknown, ill-typed or illegal setting."""
        if not isinstance(stored, dict):
            raise ConfigError("config", f"must be an object of settings, got {brief(stored)}.")
        groups = [group.name for group in dataclasses.fields(cls)]
        _refuse_unknown("config", stored, groups)
        return cls(**{name: _section_from_dict(name, values) for name, values in stored.items()})

    @classmethod
    def wrote(cls, stored) -> bool:
        """Whether a stored document was made by `to_dict` of this class."""
        return "training" in stored


def sections(config):
    """The four sections of a `Config`, in order."""
    return [getattr(config, group.name) for group in dataclasses.fields(config)]


# ---- JSON and names --------------------------------------------------------------------------------------------------


def _section_from_dict(name, values):
    if not isinstance(values, dict):
        raise ConfigError(name, f"must be an object of settings, got {brief(values)}.")
    values = dict(values)
    section = _section_class(name, values)
    _refuse_unknown(name, values, [item.name for item in dataclasses.fields(section)])
    return section(**values)


def _section_class(name, values):
    """The class of a stored section. Data are told apart by their name, models by whether they have layers."""
    if name == "data":
        stored = values.pop("name", None)
        if stored not in SOURCES:
            raise ConfigError("data.name", f"is {brief(stored)}, but must be one of {', '.join(SOURCES)}.")
        return SOURCES[stored]
    if name == "model":
        return Stack if "layers" in values else Model
    return {"training": Training, "session": Session}[name]


def _refuse_unknown(where, stored, known):
    for key in stored:
        if key not in known:
            raise ConfigError(where, f"has an unknown setting {brief(key)}; known are {', '.join(known)}.")


def _shortened(name):
    if len(name) <= LONGEST_RUN_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_RUN_NAME - 9]}-{digest}"
