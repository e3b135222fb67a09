"""Settings: one source of defaults, rules, flags, JSON and names."""

import argparse
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcclf.cli.flags import add_flags, section_from_flags
from fcclf.errors import ConfigError
from fcclf.settings import class_weight, config
from fcclf.settings.blocks import Dense
from fcclf.settings.config import Config, Model, Moons, Session, Training
from fcclf.settings.model import Stack
from fcclf.settings.run_config import differences
from fcclf.settings.sources import Blobs, Images, Table


def parsed(section, *flags):
    parser = argparse.ArgumentParser()
    add_flags(parser, section)
    return section_from_flags(section, parser.parse_args(flags))


@pytest.mark.parametrize("section", [Moons, Model, Training, Session])
def test_the_flags_of_a_section_have_the_defaults_of_its_fields(section):
    assert parsed(section) == section()


def test_flags_are_read_into_the_fields_of_their_name_and_type():
    model = parsed(Model, "--hidden", "8", "3", "--activation", "relu", "--l2", "0.5")
    assert model == Model(hidden=(8, 3), activation="relu", l2=0.5)


def test_a_switch_is_a_flag_without_value():
    assert parsed(Training, "--early-stopping").early_stopping
    assert Config(training=Training(early_stopping=True)).run_name() == "moons-early-stopping"


@pytest.mark.parametrize(
    ("words", "given"),
    [(["balanced"], "balanced"), (["cat=2", "a=b=0.5"], {"cat": 2.0, "a=b": 0.5}), ([], None)],
)
def test_weights_of_classes_are_the_same_from_a_command_line_and_from_python(words, given):
    training = parsed(Training, "--class-weight", *words)
    assert training == Training(class_weight=given)
    assert class_weight.parsed(training.class_weight) == given


def test_no_units_after_hidden_make_a_linear_classifier():
    assert parsed(Model, "--hidden").hidden == ()


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        (Moons, {"noise": -0.1}, "noise is -0.1, but must be a number of at least 0"),
        (Moons, {"noise": float("nan")}, "noise is nan"),
        (Moons, {"noise": "much"}, "noise is 'much'"),
        (Moons, {"test_ratio": 1.0}, "must be a number above 0 and below 1"),
        (Moons, {"samples": 2.5}, "samples is 2.5, but must be a whole number"),
        (Moons, {"samples": True}, "samples is True"),
        (Model, {"hidden": (6, 0)}, "hidden is 0, but must be a whole number of at least 1"),
        (Model, {"hidden": 6}, "hidden is 6, but must be a list"),
        (Model, {"activation": "rellu"}, "did you mean relu?"),
        (Training, {"learning_rate": 0.0}, "learning_rate is 0.0, but must be a number above 0"),
        (Training, {"batch_size": 0}, "batch_size is 0"),
        (Training, {"epochs": 10**400}, "epochs is 1000"),
        (Training, {"optimizer": "xyz"}, "the default is adam"),
        (Training, {"class_weight": ("often",)}, "class_weight has 'often', but must be balanced, or LABEL=WEIGHT"),
        (Training, {"class_weight": {"a": -1.0}}, "class_weight has 'a=-1'"),
        (Training, {"class_weight": ("a=1", "a=2")}, "class_weight has 'a=2'"),
        (Training, {"warm_start": ""}, "warm_start is '', but must be a text that is not empty"),
        (Training, {"warm_start": "\udcff"}, "must be a text"),
        (Training, {"early_stopping": 1}, "early_stopping is 1, but must be true or false"),
        (Session, {"jit": "maybe"}, "must be one of auto, on, off"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused_with_value_and_rule(section, values, words):
    with pytest.raises(ConfigError) as error:
        section(**values)
    assert words in str(error.value)


@given(
    noise=st.floats(0, 1e6),
    hidden=st.lists(st.integers(1, 65536), max_size=5).map(tuple),
    clip_norm=st.none() | st.floats(1e-9, 1e9),
    epochs=st.integers(1, 10**9),
    warm_start=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_every_config_reads_back_from_its_json(noise, hidden, clip_norm, epochs, warm_start):
    training = Training(clip_norm=clip_norm, epochs=epochs, warm_start=warm_start)
    config = Config(Moons(noise=noise), Model(hidden=hidden), training)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([], "config must be an object of settings"),
        ({"modle": {}}, "config has an unknown setting 'modle'; known are data, model, training, session"),
        ({"model": {"units": 6}}, "model has an unknown setting 'units'"),
        ({"model": {"hidden": "6 4"}}, "hidden is '6 4'"),
        ({"data": {"name": "suns"}}, "data.name is 'suns', but must be one of moons"),
        ({"training": 7}, "training must be an object of settings"),
    ],
)
def test_a_stored_config_with_anything_unknown_is_refused(stored, words):
    with pytest.raises(ConfigError) as error:
        Config.from_dict(stored)
    assert words in str(error.value)


def test_the_run_name_tells_the_settings_that_are_not_the_default():
    config = Config(Moons(noise=0.3), Model(hidden=(8, 8), activation="relu"))
    assert config.run_name() == "moons-noise-0.3-hidden-8x8-activation-relu"


def test_settings_that_do_not_change_the_result_do_not_name_the_run():
    config = Config(training=Training(epochs=5), session=Session(checkpoint_every=1, keep=9, threads=1))
    assert config.run_name() == "moons"
    assert config.identity() == Config().identity()


def test_a_long_run_name_is_cut_and_stays_distinct():
    names = {Config(model=Model(hidden=(1000 + last,) * 99)).run_name() for last in range(3)}
    assert len(names) == 3
    assert all(len(name) == config.LONGEST_RUN_NAME for name in names)


def test_a_run_name_is_one_directory_whatever_the_settings():
    name = Config(training=Training(warm_start="../../etc/pass wd")).run_name()
    assert name == "moons-warm-start-pass_wd-45df5a"


def test_minus_zero_is_zero():
    assert str(Model(l1=-0.0).l1) == "0.0"


def test_differences_name_each_setting_with_both_values():
    other = Config(Moons(noise=0.3), training=Training(seed=7, epochs=9))
    assert differences(Config(), other) == ["data.noise: 0.1 -> 0.3", "training.seed: 0 -> 7"]


def test_every_setting_has_help():
    for section in config.sections(Config()):
        for item in dataclasses.fields(section):
            assert item.metadata["help"], item.name


def test_layers_are_told_by_the_name_they_go_by():
    assert Config(Images(), Stack("lenet")).for_display()["layers"] == "lenet"
    assert Config(model=Stack(layers=(Dense(5), Dense(None)))).for_display()["layers"].startswith("stack-")
    assert Config().for_display()["hidden"] == (6, 4)


def test_data_of_files_are_told_by_the_name_of_the_file():
    config = Config(Table("tables/iris.csv"))
    assert (config.source, config.for_display()["data"]) == ("iris", "iris")
    assert Config(Blobs()).source == "blobs"
