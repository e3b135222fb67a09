"""The building blocks as data: stacks, their shapes, JSON and summaries."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcclf.errors import ConfigError
from fcclf.settings import blocks
from fcclf.settings.blocks import (
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Reshape,
    Residual,
    Standardize,
)
from fcclf.settings.config import Config
from fcclf.settings.model import Model, Stack
from fcclf.settings.run_config import DataShape
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


FLAT_BLOCKS = (
    st.builds(Dense, st.integers(1, 9), st.sampled_from(blocks.ACTIVATIONS), l1=st.floats(0, 1))
    | st.builds(BatchNorm, st.floats(0, 0.9), center=st.booleans())
    | st.builds(Dropout, st.floats(0, 0.9))
    | st.builds(Conv2D, st.integers(1, 9), padding=st.sampled_from(["same", "valid"]))
    | st.sampled_from([Flatten(), MaxPool(3), AveragePool(), Reshape(2, 3, 1)])
)


def residuals(inner):
    layers = st.lists(inner, min_size=1, max_size=3)
    return st.builds(Residual, layers, st.sampled_from(blocks.ACTIVATIONS), l2=st.floats(0, 1))


@pytest.mark.slow
@given(st.lists(st.recursive(FLAT_BLOCKS, residuals, max_leaves=6)))
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
        ([{"layer": ["Residual"]}], r"has the layer {'layer': \['Residual'\]}; known are"),
        ([{"layer": "Residual"}], r"has the layers \(\) inside a Residual, but needs a list of at least one"),
        ([{"layer": "Residual", "layers": "Dense"}], "has the layers 'Dense' inside a Residual"),
        ([{"layer": "Residual", "layers": [{"layer": "Dens"}]}], "has the layer {'layer': 'Dens'}; known are"),
        ([{"layer": "Residual", "layers": [{"layer": "Dense"}]}], "has a Dense without units before the last"),
        ([{"layer": "Residual", "layers": [{"layer": "Standardize"}]}], "has Standardize after the first layer"),
        ([{"layer": "Residual", "layers": [{"layer": "Flatten"}], "size": 3}], "of Residual are layers, activation"),
        ([{"layer": "Residual", "layers": [{"layer": "Flatten"}], "l2": -1}], "l2 is -1, but must be a number of at"),
    ],
)
def test_layers_that_are_no_network_are_refused(layers, words):
    with pytest.raises(ConfigError, match=words):
        Stack(layers=layers)


def nested(depth):
    """A network as JSON has it, with so many blocks inside each other."""
    block = {"layer": "Dense", "units": 3}
    for _ in range(depth - 1):
        block = {"layer": "Residual", "layers": [block]}
    return [block, {"layer": "Dense"}]


@pytest.mark.parametrize("depth", [blocks.DEEPEST + 1, 10_000])
def test_blocks_that_are_nested_too_deep_are_refused_in_one_sentence(depth):
    Stack(layers=nested(blocks.DEEPEST))
    with pytest.raises(ConfigError, match="has blocks inside each other more than 8 deep: nest them less"):
        Stack(layers=nested(depth))


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Conv2D(2),), "Conv2D after shape 6, but it takes images: put Reshape before it"),
        ((Reshape(2, 3, 1), Dense(2)), "Dense after shape 2 x 3 x 1, but it takes flat samples: put Flatten before it"),
        (
            (Reshape(2, 2, 1),),
            "takes images of 2 x 2 pixels, which are 4 features, but the samples have 6",
        ),
        ((Reshape(2, 3, 1), MaxPool(3)), "MaxPool after shape 2 x 3 x 1, but its size is 3: make it smaller"),
        ((Reshape(2, 3, 1), Conv2D(2, 3, padding="valid")), "Conv2D after shape 2 x 3 x 1, but its size is 3"),
        ((Residual((Dense(3), Conv2D(2))),), "Conv2D after shape 3, but it takes images"),
        (
            (Reshape(2, 3, 1), Residual((Flatten(),))),
            "Residual after shape 2 x 3 x 1, but no shortcut leads to the 6 of its layers: give them padding same",
        ),
        ((Reshape(1, 6, 1), Residual((Conv2D(2, 1), AveragePool(1), Reshape(2, 6, 1)))), "no shortcut .* 2 x 6 x 1"),
        ((Reshape(6, 1, 1), Residual((Reshape(1, 6, 1),))), "no shortcut leads to the 1 x 6 x 1 of its layers"),
    ],
)
def test_a_layer_that_does_not_fit_the_one_before_it_is_refused(layers, words):
    config = Config(Images(), Stack(layers=(*layers, Dense(None))))
    with pytest.raises(ConfigError, match=words):
        config.layers(DataShape(6, 2))


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


def test_a_summary_shows_the_blocks_inside_a_block_indented_under_it():
    innermost = Residual((Dense(4, use_bias=False),))
    stack = (Residual((Dense(5), BatchNorm(), innermost)), Dense(None))
    table = blocks.summary(blocks.named(stack, 3), 6).splitlines()
    assert [line[: line.index(")") + 1] for line in table[2:9]] == [
        "residual1 (Residual)",
        "  fc1 (Dense)",
        "  bn1 (BatchNorm)",
        "  residual1 (Residual)",
        "    fc1 (Dense)",
        "    projection (Dense)",
        "  projection (Dense)",
    ]
    assert [line.split()[-2:] for line in table[2:10]] == [
        *(["4", "0"], ["5", "35"], ["5", "20"], ["4", "0"], ["4", "20"], ["4", "20"], ["4", "24"], ["3", "15"])
    ]
    assert [line.split()[-1] for line in table[11:]] == ["134", "124", "10"]


HALVING = Conv2D(3, 3, strides=2)


@pytest.mark.parametrize(
    ("shape", "layers", "projection"),
    [
        ((6,), (Dense(4), Dense(6)), None),
        ((6,), (Dense(4),), Dense(4, initializer="glorot_normal", l1=0.1, l2=0.2, use_bias=False)),
        ((5, 4, 2), (Conv2D(2, 3),), None),
        *(
            ((5, 4, 2), layers, Conv2D(3, 1, strides, initializer="glorot_normal", l1=0.1, l2=0.2, use_bias=False))
            for strides, layers in [(1, (Conv2D(3, 5),)), (2, (HALVING,)), (4, (HALVING, HALVING))]
        ),
    ],
)
def test_a_shortcut_projects_where_the_layers_change_the_shape_and_nowhere_else(shape, layers, projection):
    block = Residual(layers, initializer="glorot_normal", l1=0.1, l2=0.2)
    main, shortcut = block.branches(shape)
    assert tuple(main.values()) == layers
    assert shortcut == ({"projection": projection} if projection else {})


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_every_strided_convolution_has_a_shortcut_of_its_shape(height, width, first, second):
    block = Residual((Conv2D(3, 3, first), Conv2D(3, 3, second)))
    _, shortcut = block.branches((height, width, 1))
    assert shortcut["projection"].output_shape((height, width, 1)) == block.output_shape((height, width, 1))


def test_a_block_without_penalties_has_none_inside_either():
    inside = Residual((Dense(3, l1=0.1), Dense(4, l2=0.2)), l1=0.1, l2=0.2)
    bare = Residual((Residual((Dense(3), Dense(4))),))
    assert Residual((inside,), l2=0.3).without_penalties() == bare


@pytest.mark.parametrize(
    ("size", "strides", "padding", "places"), [(5, 1, "same", 28), (5, 1, "valid", 24), (3, 2, "same", 14)]
)
def test_the_places_of_a_convolution(size, strides, padding, places):
    assert Conv2D(1, size, strides, padding).output_shape((28, 28, 1)) == (places, places, 1)
