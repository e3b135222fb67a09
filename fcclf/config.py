"""The settings of a run: the one source of defaults, rules, JSON and run names.

A `Config` is four frozen dataclasses: `Moons` (the data), `Model`, `Training` and `Session`. Every field is made by
`setting`, which holds its default, its rule and its help text; the command line, `--help`, config.json and the name of
the run directory are generated from the fields, so a new setting is one line here.

A setting either decides the result of a run or only how it is carried out (`changes_result=False`). The first kind
names the run and may not change when it is resumed; the second kind may. Standard library only: a usage error must not
wait for TensorFlow.
"""

import dataclasses
import hashlib
import json
import shlex
from dataclasses import dataclass, field

from fcclf.errors import ConfigError
from fcclf.settings import Section, brief, setting
from fcclf.sources import Moons

ACTIVATIONS = ("elu", "relu", "leaky_relu", "selu", "tanh", "sigmoid", "softplus", "gelu", "swish", "identity")
INITIALIZERS = (
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "truncated_normal",
    "inverse_sqrt_uniform",
)
OPTIMIZERS = ("adam", "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adadelta")

LONGEST_RUN_NAME = 120  # characters; leaves room for suffixes below the 255 bytes of most file systems


@dataclass(frozen=True)
class Model(Section):
    """The network: hidden dense layers of one kind, then a linear output."""

    hidden: tuple[int, ...] = setting(
        (6, 4), "units of each hidden layer; none: a linear classifier", at_least=1, at_most=65536, metavar="UNITS"
    )
    activation: str = setting("elu", "activation of the hidden layers", choices=ACTIVATIONS)
    initializer: str = setting("he_normal", "initial distribution of the kernels", choices=INITIALIZERS)
    l1: float = setting(0.0, "L1 penalty on every kernel", at_least=0, at_most=1e6)
    l2: float = setting(
        1e-3, "L2 penalty on every kernel: adds l2 * sum(kernel^2) / 2 to the loss", at_least=0, at_most=1e6
    )


@dataclass(frozen=True)
class Training(Section):
    """How the network learns."""

    optimizer: str = setting("adam", "tf.compat.v1.train optimizer", choices=OPTIMIZERS)
    learning_rate: float = setting(3e-3, "learning rate", above=0, at_most=1e6)
    clip_norm: float | None = setting(None, "clip the gradients to this global norm", above=0, at_most=1e9)
    batch_size: int = setting(
        64, "samples in a batch; a last short batch is trained on too", at_least=1, at_most=10_000_000
    )
    sampling: str = setting(
        "shuffle",
        "each sample once an epoch (shuffle), or drawn with replacement (bootstrap)",
        choices=("shuffle", "bootstrap"),
    )
    epochs: int = setting(
        1000, "epochs in all; more continue a finished run", at_least=1, at_most=10**9, changes_result=False
    )
    seed: int = setting(0, "seed of the initial weights and of the order of the samples", at_least=0, at_most=2**31 - 1)
    early_stopping: bool = setting(False, "hold out a part of the training data and stop when its loss falls no more")
    patience: int = setting(5, "epochs without a lower validation loss before stopping", at_least=1, at_most=10**9)
    min_delta: float = setting(1e-3, "a validation loss lower by less does not count", at_least=0, at_most=1e6)
    validation_fraction: float = setting(0.1, "share of the training part that is held out", above=0, below=1)
    warm_start: str | None = setting(
        None, "start from the weights of this TF1 checkpoint, where name and shape match", metavar="CHECKPOINT"
    )


@dataclass(frozen=True)
class Session(Section):
    """How a run is carried out. Only `jit` can change a result (in the last bits)."""

    checkpoint_every: int = setting(
        50, "epochs between two checkpoints; 0: only at the end", at_least=0, at_most=10**9, changes_result=False
    )
    checkpoint_seconds: float = setting(
        30.0, "save at least this often, inside an epoch too", above=0, at_most=1e9, changes_result=False
    )
    keep: int = setting(3, "newest checkpoints kept", at_least=1, at_most=1_000_000, changes_result=False)
    histogram_every: int = setting(
        50, "epochs between two histograms of the variables; 0: none", at_least=0, at_most=10**9, changes_result=False
    )
    image_every: int = setting(
        100,
        "epochs between two pictures and precision-recall curves; 0: none",
        at_least=0,
        at_most=10**9,
        changes_result=False,
    )
    jit: str = setting("auto", "compile the epoch loop with XLA (auto: yes)", choices=("auto", "on", "off"))
    threads: int = setting(0, "CPU threads; 0: one for each core", at_least=0, at_most=1024, changes_result=False)


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: Moons = field(default_factory=Moons)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    session: Session = field(default_factory=Session)

    def __post_init__(self):
        if not self.data.test_size:
            raise ConfigError(
                "test_ratio",
                f"is {self.data.test_ratio:g}, which leaves no test sample out of {self.data.samples}: "
                "raise it, or make more samples.",
            )
        if self.training.early_stopping and not self.validation_size:
            raise ConfigError(
                "validation_fraction",
                f"is {self.training.validation_fraction:g}, which leaves no validation sample out of "
                f"{self.data.train_size}: raise it, or make more samples.",
            )
        check_batch_size(self.training.batch_size, self.data.train_size - self.validation_size)

    @property
    def validation_size(self):
        """Samples held out of the training part for early stopping."""
        training = self.training
        return int(self.data.train_size * training.validation_fraction) if training.early_stopping else 0

    def run_name(self):
        """The data's name and every result-changing setting that is not the default, fit for a file name."""
        parts = [self.data.name]
        for section in sections(self):
            for item in dataclasses.fields(section):
                value = getattr(section, item.name)
                if item.metadata["changes_result"] and value != item.default:
                    parts += [item.name.replace("_", "-")] + ([] if value is True else [_slug(value)])
        return _shortened("-".join(parts))

    def command(self):
        """The command line that makes this run: every setting that is not the default."""
        words = ["fcclf", "train", self.data.name]
        for section in sections(self):
            for item in dataclasses.fields(section):
                value = getattr(section, item.name)
                if value != item.default:
                    values = () if value is True else value if isinstance(value, tuple) else (value,)
                    words += ["--" + item.name.replace("_", "-"), *map(str, values)]
        return shlex.join(words)

    def identity(self):
        """{"section.setting": value} of the settings that change the result: two equal identities are the same run."""
        return {
            f"{group.name}.{item.name}": getattr(getattr(self, group.name), item.name)
            for group in dataclasses.fields(self)
            for item in dataclasses.fields(getattr(self, group.name))
            if item.metadata["changes_result"]
        }

    def to_dict(self):
        """Plain dicts and lists, for JSON. `Config.from_dict` takes them back."""
        stored = {group.name: dataclasses.asdict(getattr(self, group.name)) for group in dataclasses.fields(self)}
        stored["data"] = {"name": self.data.name, **stored["data"]}
        return json.loads(json.dumps(stored))

    @classmethod
    def from_dict(cls, stored):
        """The `Config` that `to_dict` wrote. Raises ConfigError on an unknown, ill-typed or illegal setting."""
        if not isinstance(stored, dict):
            raise ConfigError("config", f"must be an object of settings, got {brief(stored)}.")
        groups = {group.name: group.type for group in dataclasses.fields(cls)}
        _refuse_unknown("config", stored, groups)
        return cls(**{name: _section_from_dict(groups[name], name, values) for name, values in stored.items()})


def sections(config):
    """The four sections of a `Config`, in order."""
    return [getattr(config, group.name) for group in dataclasses.fields(config)]


def check_batch_size(batch_size, train_size):
    """Raises ConfigError if a batch is larger than the training part."""
    if batch_size > train_size:
        raise ConfigError(
            "batch_size",
            f"is {batch_size}, but the training part has only {train_size} samples: use {train_size} or less.",
        )


def differences(old, new):
    """["setting: old value -> new value", ...] of the identities of two configs."""
    old, new = old.identity(), new.identity()
    return [f"{key}: {old[key]} -> {new[key]}" for key in new if old[key] != new[key]]


# ---- JSON and names --------------------------------------------------------------------------------------------------


def _section_from_dict(section, name, values):
    if not isinstance(values, dict):
        raise ConfigError(name, f"must be an object of settings, got {brief(values)}.")
    values = dict(values)
    if section is Moons and values.pop("name", None) != Moons.name:
        raise ConfigError("data.name", f"must be {Moons.name!r}.")
    _refuse_unknown(name, values, {item.name for item in dataclasses.fields(section)})
    return section(**values)


def _refuse_unknown(where, stored, known):
    for key in stored:
        if key not in known:
            raise ConfigError(where, f"has an unknown setting {brief(key)}; known are {', '.join(known)}.")


def _slug(value):
    text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if "/" in text:  # a path: its last part, and a digest of all of it
        text = f"{text.rstrip('/').rsplit('/', 1)[-1]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in text)
    return kept or "none"


def _shortened(name):
    if len(name) <= LONGEST_RUN_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_RUN_NAME - 9]}-{digest}"
