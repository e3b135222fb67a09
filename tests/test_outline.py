"""Stacks of blocks in the words of the settings of `Model`."""

import dataclasses

import pytest
from stacks import RESIDUAL

from fcclf.settings.model import Model
from fcclf.settings.outline import outline
from fcclf.settings.presets import PRESETS


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden": (), "activation": "identity"},
        {"hidden": (8,), "activation": "identity", "l1": 0.1, "bias_initializer": "uniform"},
        {"hidden": (8, 8), "activation": "relu", "initializer": "glorot_uniform", "batch_norm": "after"},
        {"batch_norm": "before", "dropout": 0.2},
        {"alpha_dropout": 0.1, "standardize": "features"},
    ],
)
def test_the_stack_of_a_model_has_the_settings_of_that_model(settings):
    model = Model(**settings).with_defaults({})
    assert outline(model.layers) == dataclasses.asdict(model)


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("lenet", {"hidden": ("conv6", "conv16", 120, 84), "activation": "relu", "batch_norm": "none"}),
        ("dropout-mlp", {"hidden": (200, 100, 60), "dropout": 0.2, "initializer": "glorot_uniform", "l2": 0.0}),
        ("bn-20", {"hidden": ("20x100",), "batch_norm": "after", "standardize": "all"}),
        ("bn-20-before", {"hidden": ("20x100",), "batch_norm": "before", "activation": "relu"}),
        ("selu-20", {"activation": "selu", "alpha_dropout": 0.5, "dropout": 0.0}),
    ],
)
def test_a_preset_has_the_settings_of_its_layers(preset, settings):
    found = outline(PRESETS[preset].layers)
    assert {name: found[name] for name in settings} == settings


def test_where_layers_differ_each_value_is_told():
    found = outline(PRESETS["mnist-bn"].layers)
    assert (found["hidden"], found["l2"], found["batch_norm"]) == ((512, 512), (0.0, 0.02), ("after", "before"))


def test_layers_inside_blocks_count():
    assert outline(RESIDUAL)["hidden"] == (5, 3, 4, 4)
