"""Settings from a file: what counts, and what is refused."""

import json

import pytest
import runs
from test_cli import run

from fcclf.cli import commands
from fcclf.cli.entry import _parser
from fcclf.cli.flags import config_from_flags
from fcclf.cli.settings_file import filled_in
from fcclf.errors import ConfigError, RunError
from fcclf.settings.config import Config, Training
from fcclf.settings.model import Model, Stack
from fcclf.settings.sources import Moons


@pytest.fixture
def parsed(tmp_path):
    """(content of a file, its ending, flags) -> the `Config` of `fcclf train moons` with them."""

    def parse(content, ending="json", *flags):
        file = tmp_path / f"settings.{ending}"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        arguments = _parser().parse_args(["train", "moons", "--config", str(file), *flags])
        return config_from_flags(Moons, filled_in(arguments, Moons))

    return parse


def test_json_and_toml_say_the_same(parsed):
    expected = Config(Moons(noise=0.2), Model((8, 3)), Training(epochs=60, seed=1))
    settings = {"data": {"noise": 0.2}, "model": {"hidden": [8, 3]}, "training": {"epochs": 60, "seed": 1}}
    assert parsed(settings) == expected
    toml = "[data]\nnoise = 0.2\n[model]\nhidden = [8, 3]\n[training]\nepochs = 60\nseed = 1\n"
    assert parsed(toml, "toml") == expected


def test_flags_count_before_the_file(parsed):
    config = parsed({"training": {"epochs": 60, "seed": 1}}, "json", "--epochs", "7")
    assert (config.epochs, config.training.seed) == (7, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [runs.config(), Config(model=Stack(layers=Model((3,), dropout=0.5).layers)), Config(Moons(noise=0.25))]
)
def test_what_a_run_keeps_makes_the_same_settings(parsed, config):
    assert parsed({"format": 1, "config": config.to_dict()}) == config
    assert parsed(config.to_dict()) == config


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"x": {"a": 1}}, "config has 'x', but must have objects of data, model, training, session"),
        ({"data": 3}, "config has 'data', but must have objects"),
        ({"data": {"name": "blobs"}}, "config is of 'blobs', not of moons"),
        ({"training": {"epoch": 3}}, "config has an unknown setting 'epoch'; known are batch_size, "),
        ({"training": {"epochs": 0}}, "epochs is 0, but must be"),
        ({"model": {"hidden": [3], "layers": [{"block": "Dense"}]}}, "hidden cannot be set for"),
    ],
)
def test_a_setting_that_is_none_is_refused(parsed, content, words):
    with pytest.raises(ConfigError, match=words):
        parsed(content)


@pytest.mark.parametrize(("content", "ending"), [("{", "json"), ("[", "toml"), ("3", "json"), ("[1]", "json")])
def test_a_file_that_holds_no_settings_is_one_sentence(parsed, content, ending):
    with pytest.raises(RunError, match=r"cannot read .*settings\."):
        parsed(content, ending)


@pytest.mark.parametrize(
    ("data", "task"),
    [({"label": "kind"}, "classification"), ({}, "regression"), ({"task": "classification"}, "classification")],
)
def test_the_file_says_before_the_look_of_the_labels_what_a_table_predicts(tmp_path, data, task):
    rows = "".join(f"{'ab'[row % 2]},{row / 7}\n" for row in range(60))
    (tmp_path / "t.csv").write_text("kind,price\n" + rows)
    (tmp_path / "settings.json").write_text(json.dumps({"data": data}))
    words = ["train", "table", str(tmp_path / "t.csv"), "--config", str(tmp_path / "settings.json")]
    assert commands._config(_parser().parse_args(words)).task == task


def test_the_command_names_a_file_that_is_not_there(tmp_path, capsys):
    assert run("train", "moons", "--config", tmp_path / "nothing.json") == 1
    assert "cannot read" in capsys.readouterr().err
