"""The settings of a run: the one source of defaults, rules, flags, JSON and run names.

A `Config` is four frozen dataclasses: `Moons` (the data), `Model`, `Training` and `Session`. Every field is made by
`setting`, which holds its default, its rule and its help text; the command line, `--help`, config.json and the name of
the run directory are generated from the fields, so a new setting is one line here.

A setting either decides the result of a run or only how it is carried out (`changes_result=False`). The first kind
names the run and may not change when it is resumed; the second kind may. Standard library only: a usage error must not
wait for TensorFlow.
"""

import argparse
import dataclasses
import difflib
import hashlib
import json
import math
import shlex
import typing
from dataclasses import dataclass, field

from fcclf.errors import ConfigError

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

LONGEST_LIST = 100  # layers
LONGEST_RUN_NAME = 120  # characters; leaves room for suffixes below the 255 bytes of most file systems


def setting(
    default,
    help,
    *,
    at_least=None,
    above=None,
    at_most=None,
    below=None,
    choices=None,
    metavar=None,
    changes_result=True,
):
    """A dataclass field with its default, its rule (bounds or choices) and its help text."""
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    metadata = {
        "help": help,
        "bounds": {words: bound for words, bound in bounds.items() if bound is not None},
        "choices": choices,
        "metavar": metavar,
        "changes_result": changes_result,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Section:
    """A group of settings that checks itself when it is made."""

    def __post_init__(self):
        for item in dataclasses.fields(self):
            object.__setattr__(self, item.name, checked(item, getattr(self, item.name)))


@dataclass(frozen=True)
class Moons(Section):
    """Two interleaved half circles with noise; the last `test_ratio` of the samples is the test part."""

    noise: float = setting(0.1, "standard deviation of the Gaussian noise", at_least=0, at_most=1e6)
    samples: int = setting(2000, "points in the two moons together", at_least=2, at_most=100_000_000)
    test_ratio: float = setting(0.2, "share of the samples kept for the test part", above=0, below=1)
    data_seed: int = setting(42, "seed of the moons", at_least=0, at_most=2**32 - 1)

    name: typing.ClassVar[str] = "moons"

    @property
    def test_size(self):
        """Samples in the test part."""
        return int(self.samples * self.test_ratio)

    @property
    def train_size(self):
        """Samples in the training part, those held out for validation included."""
        return self.samples - self.test_size


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
            raise ConfigError("config", f"must be an object of settings, got {_brief(stored)}.")
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


# ---- rules -----------------------------------------------------------------------------------------------------------


def checked(item, value):
    """`value` in the type of the dataclass field `item`. Raises ConfigError if it breaks the field's rule."""
    kind, many = _kind(item)
    if value is None and item.default is None:
        return None
    if many:
        if not isinstance(value, list | tuple) or len(value) > LONGEST_LIST:
            raise _broken_rule(item, value, f"a list of at most {LONGEST_LIST} whole numbers")
        return tuple(_checked_one(item, kind, each) for each in value)
    return _checked_one(item, kind, value)


def _checked_one(item, kind, value):
    typed = _typed(kind, value)
    choices, bounds = item.metadata["choices"], item.metadata["bounds"]
    if (
        typed is None
        or (choices and typed not in choices)
        or not all(_holds(typed, *bound) for bound in bounds.items())
    ):
        raise _broken_rule(item, value, _rule(item))
    return typed


def _typed(kind, value):
    """`value` as `kind`, or None if it is not one. A bool is no number; an int may stand for a float."""
    if kind is bool:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or (kind is str) != isinstance(value, str):
        return None
    try:
        typed = kind(value) + 0.0 if kind is float else kind(value)  # + 0.0: there is no minus zero
        str(typed).encode()  # a text that is no Unicode would end in an error where it is written
    except (TypeError, ValueError, OverflowError):
        return None
    infinite = kind is float and math.isinf(typed)
    return typed if typed == value and typed != "" and not infinite else None


def _holds(value, words, bound):
    return {"at least": value >= bound, "above": value > bound, "at most": value <= bound, "below": value < bound}[
        words
    ]


def _rule(item):
    kind, _ = _kind(item)
    if item.metadata["choices"]:
        return "one of " + ", ".join(item.metadata["choices"])
    noun = {int: "a whole number", float: "a number", str: "a text that is not empty", bool: "true or false"}[kind]
    limits = " and ".join(f"{words} {_plain(bound)}" for words, bound in item.metadata["bounds"].items())
    return f"{noun} {'of ' if limits.startswith('at ') else ''}{limits}".rstrip()


def _broken_rule(item, value, rule):
    near = difflib.get_close_matches(str(value), item.metadata["choices"] or (), n=1)
    default = " ".join(map(_plain, item.default)) if isinstance(item.default, tuple) else _plain(item.default)
    remedy = f"did you mean {near[0]}?" if near else f"the default is {default}."
    return ConfigError(item.name, f"is {_brief(value)}, but must be {rule}; {remedy}")


def _kind(item):
    """(type of one value, whether the field holds several) from the field's annotation."""
    arguments = typing.get_args(item.type)
    return (arguments[0] if arguments else item.type), typing.get_origin(item.type) is tuple


def _plain(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def _brief(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- flags -----------------------------------------------------------------------------------------------------------


def add_flags(parser, section):
    """Adds one flag for each setting of `section` (a Section class) to an argparse parser."""
    group = parser.add_argument_group(section.__name__.lower())
    for item in dataclasses.fields(section):
        flag, (kind, many) = "--" + item.name.replace("_", "-"), _kind(item)
        if kind is bool:
            group.add_argument(flag, action="store_true", help=_help(item))
            continue
        default = " ".join(map(str, item.default)) if many else item.default
        group.add_argument(
            flag,
            type=_flag_parser(item),
            nargs="*" if many else None,
            default=item.default,
            metavar=item.metadata["metavar"] or kind.__name__.upper(),
            help=_help(item) + ("" if default is None else f" (default: {_plain(default)})"),
        )


def section_from_flags(section, arguments):
    """The `section` (a Section class) that the parsed `arguments` describe."""
    return section(**{item.name: getattr(arguments, item.name) for item in dataclasses.fields(section)})


def _help(item):
    choices = item.metadata["choices"]
    return item.metadata["help"].replace("%", "%%") + (f": {', '.join(choices)}" if choices else "")


def _flag_parser(item):
    """text -> value, as argparse wants its types: one value at a time, and its own kind of error."""
    kind, many = _kind(item)

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = text
        try:
            return checked(item, [value])[0] if many else checked(item, value)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(error.problem) from None

    return parse


# ---- JSON and names --------------------------------------------------------------------------------------------------


def _section_from_dict(section, name, values):
    if not isinstance(values, dict):
        raise ConfigError(name, f"must be an object of settings, got {_brief(values)}.")
    values = dict(values)
    if section is Moons and values.pop("name", None) != Moons.name:
        raise ConfigError("data.name", f"must be {Moons.name!r}.")
    _refuse_unknown(name, values, {item.name for item in dataclasses.fields(section)})
    return section(**values)


def _refuse_unknown(where, stored, known):
    for key in stored:
        if key not in known:
            raise ConfigError(where, f"has an unknown setting {_brief(key)}; known are {', '.join(known)}.")


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
