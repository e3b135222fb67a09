"""Settings from a file, JSON or TOML, in the form of a run's config.json; flags take precedence over them.

{"data": {"noise": 0.3}, "model": {"hidden": [6, 4]}, "training": {...}, "session": {...}}
"""

import argparse
import json
import sys
from pathlib import Path

from fcclf.errors import ConfigError
from fcclf.settings.config import Session, Training
from fcclf.settings.fields import brief, settings_of
from fcclf.settings.model import Model, Stack
from fcclf.system import durable
from fcclf.system.durable import MALFORMED, explained

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def filled_in(arguments: argparse.Namespace, source) -> argparse.Namespace:
    """Parsed `arguments`, completed with the settings in the file of their --config that no flag gives.

    source: the class of the data. from_file, in what is returned: the names of the settings that came from the file.
    Raises RunError if the file cannot be read, ConfigError if it has an unknown setting.
    """
    if not arguments.config:
        return arguments
    stored = {name: value for name, value in _settings(Path(arguments.config), source) if not hasattr(arguments, name)}
    return argparse.Namespace(**vars(arguments), **stored, from_file={*stored})


def _settings(path, source):
    """(name, value) of each setting in a file, except those without a value."""
    known = {"data": [source], "model": [Model, Stack], "training": [Training], "session": [Session]}
    for group, settings in _read(path).items():
        if group not in known or not isinstance(settings, dict):
            raise ConfigError("config", f"has {brief(group)}, but must have objects of {', '.join(known)}.")
        if group == "data":
            _check_data(settings, source)
        names = {item.name for section in known[group] for item in settings_of(section)}
        names |= {"layers"} if group == "model" else set()
        for name in (name for name in settings if name not in names):
            raise ConfigError("config", f"has an unknown setting {brief(name)}; known are {', '.join(sorted(names))}.")
        yield from ((name, value) for name, value in settings.items() if value is not None)


def _read(path):
    """The content of the file; of a run's config.json, only the settings."""
    durable.check_file(path)
    with explained("read", path, *MALFORMED):
        document = (tomllib.loads if path.suffix == ".toml" else json.loads)(path.read_text())
        if not isinstance(document, dict):
            raise ValueError("it is no object of settings")
    return document.get("config", document)


def _check_data(settings, source):
    name = settings.pop("name", source.name)
    if name != source.name:
        raise ConfigError("config", f'is of {brief(name)}, not of {source.name}: train that, or take "name" out.')
