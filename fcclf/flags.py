"""Command-line flags, generated from the settings of a `Section`."""

import argparse
import dataclasses

from fcclf.errors import ConfigError
from fcclf.settings import checked, plain, type_of


def add_flags(parser, section):
    """Adds one flag for each setting of `section` (a Section class) to an argparse parser."""
    group = parser.add_argument_group(section.__name__.lower())
    for item in dataclasses.fields(section):
        flag, (kind, many) = "--" + item.name.replace("_", "-"), type_of(item)
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
            help=_help(item) + ("" if default is None else f" (default: {plain(default)})"),
        )


def section_from_flags(section, arguments):
    """The `section` (a Section class) that the parsed `arguments` describe."""
    return section(**{item.name: getattr(arguments, item.name) for item in dataclasses.fields(section)})


def _help(item):
    choices = item.metadata["choices"]
    return item.metadata["help"].replace("%", "%%") + (f": {', '.join(choices)}" if choices else "")


def _flag_parser(item):
    """text -> value, as argparse wants its types: one value at a time, and its own kind of error."""
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
