"""Command-line flags, generated from the settings, and the `Config` that they describe.

A flag that is not given leaves no value behind, so that a preset's settings count unless the user says otherwise.
"""

import argparse
import dataclasses
import itertools

from fcclf.errors import ConfigError
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.fields import checked, flag, plain, settings_of, type_of
from fcclf.settings.model import Model, Stack

DECAYING = ("step", "exponential", "cosine")
EFFECT = {  # setting of training: (whether it counts, what makes it count)
    "patience": (lambda training: training.early_stopping or training.schedule == "adaptive", "--early-stopping"),
    "min_delta": (lambda training: training.early_stopping or training.schedule == "adaptive", "--early-stopping"),
    "validation_fraction": (lambda training: training.early_stopping, "--early-stopping"),
    "decay_steps": (lambda training: training.schedule in DECAYING, "a --schedule of step, exponential or cosine"),
    "decay_rate": (
        lambda training: training.schedule in ("step", "exponential", "adaptive"),
        "a --schedule of step, exponential or adaptive",
    ),
    "power_t": (lambda training: training.schedule == "invscaling", "--schedule invscaling"),
    "delta": (lambda training: training.loss == "huber", "--loss huber"),
}


def add_config_flags(parser, source, several=False):
    """Adds the flags of a whole `Config` on one kind of data (a Source class) to an argparse parser. several: whether
    each takes one value or more, one for each run."""
    add_flags(parser.add_argument_group("data"), source, several)
    add_model_flags(parser, several)
    add_flags(parser.add_argument_group("training"), Training, several)
    add_flags(parser.add_argument_group("session"), Session, several)


def configs_from_flags(source, arguments) -> list[Config]:
    """A `Config` for each combination of the values of flags that take several. Raises ConfigError."""
    swept = {name: each for name, each in vars(arguments).items() if isinstance(each, Several)}
    found = []
    for values in itertools.product(*swept.values()):
        chosen = argparse.Namespace(**vars(arguments) | dict(zip(swept, values, strict=True)))
        found.append(config_from_flags(source, chosen))
    return found


def first_of_several(arguments) -> argparse.Namespace:
    """The arguments with the first value alone of each flag that takes several."""
    values = {name: each[0] if isinstance(each, Several) else each for name, each in vars(arguments).items()}
    return argparse.Namespace(**values)


def config_from_flags(source, arguments) -> Config:
    """The `Config` that the parsed `arguments` describe. Raises ConfigError."""
    data, model = section_from_flags(source, arguments), model_from_flags(arguments)
    others = (section_from_flags(section, arguments, model.preset_defaults) for section in (Training, Session))
    config = Config(data, model, *others)
    _check_effect(config.training, arguments)
    return config


def _check_effect(training, arguments):
    """Raises ConfigError for a flag that has no effect, because it would still make it another run."""
    for name in given(Training, arguments).keys() - getattr(arguments, "from_file", set()):
        counts, wanted = EFFECT.get(name, (None, ""))
        if counts and not counts(training):
            raise ConfigError(name, f"has no effect without {wanted}: add that, or leave it out.")


def model_from_flags(arguments) -> Model | Stack:
    """The model that the parsed `arguments` describe. Raises ConfigError if they give a preset other layers than its
    own."""
    layers = getattr(arguments, "layers", ())
    if not given(Stack, arguments) and not layers:
        return section_from_flags(Model, arguments)
    whose = f"--preset {arguments.preset}, which has" if hasattr(arguments, "preset") else "a network that has"
    for name in given(Model, arguments):
        raise ConfigError(name, f"cannot be set for {whose} its own layers.")
    return Stack(**given(Stack, arguments), layers=layers)


def add_model_flags(parser, several=False):
    """Adds the flags of a model."""
    group = parser.add_argument_group("model")
    for section in (Stack, Model):
        add_flags(group, section, several)


class Several(list):
    """Values of a flag, one for each run."""


def add_flags(group, section, several=False):
    """Adds one flag for each setting of `section` (a Section class) to an argparse parser or group."""
    for item in settings_of(section):
        kind, many = type_of(item)
        if kind is bool:
            group.add_argument(
                flag(item.name), action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=_help(item)
            )
            continue
        if item.default is dataclasses.MISSING:
            group.add_argument(item.name, type=_flag_parser(item), metavar=item.metadata["metavar"], help=_help(item))
            continue
        added = group.add_argument(
            flag(item.name),
            type=_list_parser(item) if several and many else _flag_parser(item),
            action=_Collect if several else "store",
            nargs="+" if several else "*" if many else None,
            default=argparse.SUPPRESS,
            metavar=item.metadata["metavar"] or kind.__name__.upper(),
            help=_help(item) + _default(item.default),
        )
        added.completer = completer(item.metadata["choices"])


def section_from_flags(section, arguments, replaced=None):
    """The `section` (a Section class) that `arguments` describe. replaced: {setting: default} to use instead of its
    own."""
    names = {item.name for item in settings_of(section)}
    defaults = {name: value for name, value in (replaced or {}).items() if name in names}
    return section(**{**defaults, **given(section, arguments)})


def given(section, arguments) -> dict:
    """{setting: value} of the settings of `section` that the user has given."""
    return {item.name: getattr(arguments, item.name) for item in settings_of(section) if hasattr(arguments, item.name)}


def _help(item):
    choices = item.metadata["choices"]
    return item.metadata["help"].replace("%", "%%") + (f": {', '.join(choices)}" if choices else "")


def _default(value):
    if value is None or value is dataclasses.MISSING:
        return ""
    return f" (default: {' '.join(map(str, value)) if isinstance(value, tuple) else plain(value)})"


class _Collect(argparse.Action):
    """Keeps the values of a flag as `Several`."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, Several(values))


def completer(choices: tuple[str, ...] | None):
    """What a shell may complete the value of a flag with, for argcomplete; None for names of files."""
    return (lambda **_: choices) if choices else None


def _list_parser(item):
    """A function that makes a tuple of a text with commas between the values."""
    parse = _flag_parser(item)
    return lambda text: tuple(map(parse, filter(None, text.split(","))))


def _flag_parser(item):
    """A function that makes a value of a text, for argparse: it takes one value at a time, and raises argparse's
    error."""
    kind, many = type_of(item)

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
