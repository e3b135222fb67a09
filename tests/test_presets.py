"""The presets: what they are made of, and that each trains."""

import argparse

import numpy as np
import pytest
import runs

from fcclf.cli.advice import advice
from fcclf.cli.flags import add_config_flags, config_from_flags
from fcclf.data import loading
from fcclf.data.dataset import split
from fcclf.data.split import part_sizes
from fcclf.errors import ConfigError
from fcclf.learning.program import Program
from fcclf.learning.stretches import stretches
from fcclf.runs import training
from fcclf.settings import blocks
from fcclf.settings.blocks import Dense, Dropout
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.model import Stack
from fcclf.settings.presets import N_CLASSES, N_FEATURES, PRESETS
from fcclf.settings.run_config import DataShape
from fcclf.settings.sources import Images

PARAMETERS = {  # trained and not, as counted by hand from the layers' shapes
    "selu-20": (784 * 100 + 100) + 19 * (100 * 100 + 100) + 1010 + 2,
    "bn-20": (784 * 100 + 100) + 19 * (100 * 100 + 100) + 20 * 400 + 1010 + 2,
    "bn-20-before": 784 * 100 + 19 * 100 * 100 + 20 * 400 + 1010 + 2,
    "residual-20": (784 * 100 + 100) + 784 * 100 + 19 * (100 * 100 + 100) + 1010 + 2,
    "dropout-mlp": (784 * 200 + 200) + (200 * 100 + 100) + (100 * 60 + 60) + 610,
    "beginner": (784 * 128 + 128) + 1290,
    "mnist-bn": (784 * 512 + 512) + 512 * 512 + 2 * 2048 + 5130,
    "lenet": (25 * 6 + 6) + (25 * 6 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + 850,
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_parameters_of_its_layers(name):
    named = Config(Images(), Stack(name)).layers(DataShape(N_FEATURES, N_CLASSES))
    assert sum(row.trained + row.statistics for row in blocks.rows(named, N_FEATURES)) == PARAMETERS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_sound_settings_and_follows_the_advice(name):
    assert list(advice(Config(Images(), Stack(name), Training(**PRESETS[name].training)))) == []


def few_images(config):
    """40 images of 28 x 28 random pixels for training, 10 for validation if it is asked for, 10 for the test."""
    random = np.random.default_rng(0)
    X, y = random.uniform(size=(60, 784)).astype(np.float32), np.arange(60, dtype=np.int32) % 10
    _, *sizes = part_sizes(config, 60, 10)
    return split(X, y, *sizes, 10)


DEEP = ("bn-20", "bn-20-before", "selu-20", "residual-20")  # take long to build


@pytest.mark.slow
@pytest.mark.parametrize("name", [runs.campaign(name) if name in DEEP else name for name in PRESETS])
def test_a_preset_trains(name):
    """Two epochs of random images, not compiled; the loss of each is a number and every variable stays finite."""
    settings = {**PRESETS[name].training, "batch_size": 20, "epochs": 2}
    config = Config(Images(), Stack(name), Training(**settings), Session(jit="off"))
    dataset = few_images(config)
    program = Program(training.plan_on(config, dataset))
    training.begin(program, config, dataset)
    trained = list(stretches(program, loading.parts(config, dataset), 2))
    assert all(stretch.finite for stretch in trained)
    losses = np.concatenate([stretch.metrics["train_loss"] for stretch in trained])
    assert (losses > 0).tolist() == [True, True]


def test_flags_change_the_settings_of_a_preset_but_not_its_layers():
    parser = argparse.ArgumentParser()
    add_config_flags(parser, Images)
    given = parser.parse_args(["--preset", "selu-20", "--no-early-stopping", "--epochs", "3"])
    config = config_from_flags(Images, given)
    assert config.model.layers == PRESETS["selu-20"].layers
    assert (config.training.early_stopping, config.training.epochs) == (False, 3)
    assert config.training.learning_rate == PRESETS["selu-20"].training["learning_rate"]
    assert config.session.image_every == 1
    assert config.run_name() == "fashion-mnist-selu-20-no-early-stopping"
    assert config.command() == "fcclf train images --preset selu-20 --epochs 3 --no-early-stopping"
    with pytest.raises(ConfigError, match="hidden cannot be set for --preset selu-20"):
        config_from_flags(Images, parser.parse_args(["--preset", "selu-20", "--hidden", "7"]))


def test_a_run_keeps_the_layers_of_its_preset(monkeypatch):
    stored = Config(Images(), Stack("beginner")).to_dict()
    monkeypatch.setitem(PRESETS, "beginner", PRESETS["lenet"])
    layers = Config.from_dict(stored).model.layers
    glorot = "glorot_uniform"
    assert layers == (Dense(128, "relu", glorot), Dropout(0.2), Dense(None, initializer=glorot))
