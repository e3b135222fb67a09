"""What a setting is: a field of a frozen dataclass that knows its default, its rule and its help text.

A `Section` is a group of settings that checks itself when it is made. Standard library only: a usage error must not
wait for TensorFlow.
"""

import dataclasses
import difflib
import hashlib
import math
import typing
from dataclasses import dataclass, field

from fcclf.errors import ConfigError

LONGEST_LIST = 100  # values of one setting


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


def required(help, **rule):
    """A field without a default; on the command line, a positional argument."""
    return setting(dataclasses.MISSING, help, **rule)


@dataclass(frozen=True)
class Section:
    """A group of settings that checks itself when it is made."""

    def __post_init__(self):
        for item in settings_of(self):
            object.__setattr__(self, item.name, checked(item, getattr(self, item.name)))

    def name_parts(self, defaults):
        """Yields this section's parts of a run name: each result-changing setting that is not the default.

        defaults: {setting: value} that replace the defaults of the fields.
        """
        for item in settings_of(self):
            value = getattr(self, item.name)
            if item.metadata["changes_result"] and value != defaults.get(item.name, item.default):
                words = ("no-" if value is False else "") + item.name.replace("_", "-")
                yield words if isinstance(value, bool) else f"{words}-{slug(value)}"

    def words(self, defaults):
        """Yields this section as command-line words: settings that differ from `defaults`, as in `name_parts`."""
        for item in settings_of(self):
            value = getattr(self, item.name)
            if item.default is dataclasses.MISSING:
                yield value
            elif isinstance(value, bool) and value != defaults.get(item.name, item.default):
                yield flag(item.name if value else f"no-{item.name}")
            elif value != defaults.get(item.name, item.default):
                yield from (flag(item.name), *map(str, value if isinstance(value, tuple) else (value,)))

    def to_dict(self):
        """The settings as plain values, for JSON."""
        return dataclasses.asdict(self)


def settings_of(section):
    """The fields of a Section, or of its class, that `setting` made."""
    return [item for item in dataclasses.fields(section) if "help" in item.metadata]


def checked(item, value):
    """`value`, converted to the type of the dataclass field `item`. Raises ConfigError if it breaks its rule."""
    kind, many = type_of(item)
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
    """`value` as `kind`, or None if it is not one. A bool is not a number; an int may stand for a float."""
    if kind is bool:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or (kind is str) != isinstance(value, str):
        return None
    try:
        typed = kind(value) + 0.0 if kind is float else kind(value)  # + 0.0 turns -0.0 into 0.0
        str(typed).encode()  # fails here for text that is not valid Unicode, not where it is written
    except (TypeError, ValueError, OverflowError):
        return None
    infinite = kind is float and math.isinf(typed)
    return typed if typed == value and typed != "" and not infinite else None


def _holds(value, words, bound):
    return {"at least": value >= bound, "above": value > bound, "at most": value <= bound, "below": value < bound}[
        words
    ]


def _rule(item):
    kind, _ = type_of(item)
    if item.metadata["choices"]:
        return "one of " + ", ".join(item.metadata["choices"])
    noun = {int: "a whole number", float: "a number", str: "a text that is not empty", bool: "true or false"}[kind]
    limits = " and ".join(f"{words} {plain(bound)}" for words, bound in item.metadata["bounds"].items())
    return f"{noun} {'of ' if limits.startswith('at ') else ''}{limits}".rstrip()


def _broken_rule(item, value, rule):
    near = difflib.get_close_matches(str(value), item.metadata["choices"] or (), n=1)
    default = " ".join(map(plain, item.default)) if isinstance(item.default, tuple) else plain(item.default)
    remedy = "leave it out for none." if item.default is None else f"the default is {default}."
    remedy = f"did you mean {near[0]}?" if near else remedy
    if item.default is dataclasses.MISSING:
        remedy = "it has no default."
    return ConfigError(item.name, f"is {brief(value)}, but must be {rule}; {remedy}")


def type_of(item):
    """(type of one value, whether the field holds several) from the field's annotation."""
    kind = typing.get_args(item.type)[0] if type(None) in typing.get_args(item.type) else item.type
    many = typing.get_origin(kind) is tuple
    return (typing.get_args(kind)[0] if many else kind), many


def flag(name):
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def plain(value):
    """`value` as a user would type it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def brief(value):
    """`value` for a message, in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def slug(value):
    """`value` as a part of a file name."""
    text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if "/" in text:  # a path: its last part, and a digest of all of it
        text = f"{text.rstrip('/').rsplit('/', 1)[-1]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in text)
    return kept or "none"
