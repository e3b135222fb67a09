"""The building blocks as data: stacks, their shapes, JSON and summaries."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcclf.errors import ConfigError
from fcclf.settings import blocks
from fcclf.settings.blocks import AveragePool, BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool, Reshape, Standardize
from fcclf.settings.config import Config
from fcclf.settings.model import Model, Stack
from fcclf.settings.sources import Images


def test_the_shorthand_is_a_stack_of_dense_layers():
    assert Model().layers == (
        Dense(6, "elu", "he_normal", l2=1e-3),
        Dense(4, "elu", "he_normal", l2=1e-3),
        Dense(None, "identity", "he_normal", l2=1e-3),
    )


def test_batch_norm_before_the_activation_makes_the_bias_needless():
    layers = Model(hidden=(5,), batch_norm="before", dropout=0.1, standardize="all", l2=0.0).layers
    assert layers == (
        Standardize("all"),
        Dense(5, use_bias=False),
        BatchNorm(),
        blocks.Activation("elu"),
        Dropout(0.1),
        Dense(None),
    )


def test_batch_norm_after_the_activation_follows_it():
    assert Model(hidden=(5,), batch_norm="after", l2=0.0).layers == (Dense(5, "elu"), BatchNorm(), Dense(None))


@given(
    st.lists(
        st.builds(Dense, st.integers(1, 9), st.sampled_from(blocks.ACTIVATIONS), l1=st.floats(0, 1))
        | st.builds(BatchNorm, st.floats(0, 0.9), center=st.booleans())
        | st.builds(Dropout, st.floats(0, 0.9))
        | st.builds(Conv2D, st.integers(1, 9), padding=st.sampled_from(["same", "valid"]))
        | st.sampled_from([Flatten(), MaxPool(3), AveragePool(), Reshape(2, 3, 1)])
    )
)
def test_every_stack_reads_back_from_its_json(hidden):
    config = Config(Images(), Stack(layers=(*hidden, Dense(None))))
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((), r"has the layers \(\), but needs a list"),
        ([{"layer": "Dens"}], "has the layer {'layer': 'Dens'}; known are Dense, Conv2D"),
        (["Dense"], "has the layer 'Dense'"),
        ([{"layer": "Dense", "unit": 3}], "the settings of Dense are units, activation"),
        ([{"layer": "Dense", "units": -3}], "units is -3, but must be a whole number of at least 1"),
        ([{"layer": "Conv2D"}], "the settings of Conv2D are filters"),
        ([Dense(3)], r"ends with Dense\(units=3"),
        ([Dense(None), Dense(None)], "has a Dense without units before the last"),
        ([Dense(3), Standardize(), Dense(None)], "has Standardize after the first layer"),
    ],
)
def test_layers_that_are_no_network_are_refused(layers, words):
    with pytest.raises(ConfigError, match=words):
        Stack(layers=layers)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Conv2D(2),), "Conv2D after shape 6, but it takes images: put Reshape before it"),
        ((Reshape(2, 3, 1), Dense(2)), "Dense after shape 2 x 3 x 1, but it takes flat samples: put Flatten before it"),
        ((Reshape(2, 2, 1),), "Reshape after shape 6, but it makes 2 x 2 x 1: the data must have 4 features"),
        ((Reshape(2, 3, 1), MaxPool(3)), "MaxPool after shape 2 x 3 x 1, but its size is 3: make it smaller"),
        ((Reshape(2, 3, 1), Conv2D(2, 3, padding="valid")), "Conv2D after shape 2 x 3 x 1, but its size is 3"),
    ],
)
def test_a_layer_that_does_not_fit_the_one_before_it_is_refused(layers, words):
    config = Config(Images(), Stack(layers=(*layers, Dense(None))))
    with pytest.raises(ConfigError, match=words):
        config.layers(n_features=6, n_classes=2)


def test_scopes_are_numbered_by_kind_and_the_last_layer_is_the_output():
    named = blocks.named((Dense(3), BatchNorm(), Dense(4), BatchNorm(), Dense(None)), 7)
    assert list(named) == ["fc1", "bn1", "fc2", "bn2", "output"]
    assert named["output"].units == 7


def test_a_summary_shows_shapes_parameters_and_totals():
    stack = (Reshape(6, 6, 1), Conv2D(4, 3), MaxPool(2), Flatten(), Dense(5), BatchNorm(), Dense(None))
    shown = [line.split() for line in blocks.summary(blocks.named(stack, 3), 36).splitlines()]
    assert shown[2:9] == [
        ["reshape1", "(Reshape)", *["6", "x", "6", "x", "1"], "0"],
        ["conv1", "(Conv2D)", *["6", "x", "6", "x", "4"], "40"],
        ["max_pool1", "(MaxPool)", *["3", "x", "3", "x", "4"], "0"],
        ["flatten1", "(Flatten)", "36", "0"],
        ["fc1", "(Dense)", "5", "185"],
        ["bn1", "(BatchNorm)", "5", "20"],
        ["output", "(Dense)", "3", "18"],
    ]
    assert shown[10:] == [["total", "263"], ["trained", "253"], ["not", "trained", "10"]]


@pytest.mark.parametrize(
    ("size", "strides", "padding", "places"), [(5, 1, "same", 28), (5, 1, "valid", 24), (3, 2, "same", 14)]
)
def test_the_places_of_a_convolution(size, strides, padding, places):
    assert Conv2D(1, size, strides, padding).output_shape((28, 28, 1)) == (places, places, 1)
