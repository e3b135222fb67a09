"""The building blocks against their definitions, computed with numpy."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from stacks import CONVOLUTIONAL, EVERY_DENSE

from fcclf.errors import ConfigError
from fcclf.network import layers
from fcclf.network.layers import Context, Phase, Place
from fcclf.network.network import Network
from fcclf.settings import blocks
from fcclf.settings.blocks import (
    Activation,
    AlphaDropout,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Encode,
    Fill,
    MaxPool,
    Residual,
)

tf1 = tf.compat.v1

X = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017

DEFINITIONS = {
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "selu": lambda z: SCALE * np.where(z > 0, z, ALPHA * np.expm1(z)),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "gelu": lambda z: z * np.vectorize(lambda t: (1 + math.erf(t / 2**0.5)) / 2)(z),
    "swish": lambda z: z / (1 + np.exp(-z)),
    "identity": lambda z: z,
}


def evaluated(build):
    """The values of the tensors that `build` returns, with fresh variables."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tensors = build()
        session.run(tf1.global_variables_initializer())
        return session.run(tensors)


def test_every_activation_of_the_command_line_is_defined_here():
    assert DEFINITIONS.keys() == set(blocks.ACTIVATIONS)


@pytest.mark.parametrize("activation", blocks.ACTIVATIONS)
@pytest.mark.parametrize("fused", [False, True])
def test_dense_is_activation_of_product_plus_bias(activation, fused):
    def build():
        return called(Dense(2, activation), X, fused=fused), tf1.trainable_variables()

    output, (kernel, bias) = evaluated(build)
    np.testing.assert_allclose(output, DEFINITIONS[activation](X @ kernel + bias), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("batch", [1, 9, 64])
def test_a_fused_dense_layer_has_the_gradients_of_a_matrix_product(batch, use_bias):
    inputs = np.random.default_rng(0).normal(size=(batch, 3)).astype(np.float32)

    def gradients(fused):
        block, x = Dense(2, "elu", use_bias=use_bias), tf.constant(inputs)
        output = layers.call(block, x, Place("layer", 3), context(block, inputs, fused=fused))
        return tf.gradients(tf.square(output), [x, *tf1.trainable_variables()])

    fused, plain = (evaluated(functools.partial(gradients, each)) for each in (True, False))
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("he_normal", 2 / 300),
        ("he_uniform", 2 / 300),
        ("glorot_normal", 2 / 500),
        ("glorot_uniform", 2 / 500),
        ("lecun_normal", 1 / 300),
        ("lecun_uniform", 1 / 300),
        ("truncated_normal", (0.05 * layers.TRUNCATED_NORMAL_STDDEV) ** 2),
        ("inverse_sqrt_uniform", 1 / 900),
    ],
)
def test_initial_kernels_have_the_variance_of_their_scheme(name, variance):
    kernel = evaluated(lambda: layers.initial_kernel(name, (3, 0), (300, 200)))
    assert abs(kernel.mean()) < 3 * np.sqrt(variance / kernel.size)
    assert kernel.var() == pytest.approx(variance, rel=0.03)
    if name.endswith("uniform"):
        assert np.abs(kernel).max() <= np.sqrt(3 * variance) * (1 + 1e-6)


def test_every_initializer_of_the_command_line_is_built():
    for name in blocks.INITIALIZERS:
        assert evaluated(lambda name=name: layers.initial_kernel(name, (0, 0), (3, 2))).shape == (3, 2)


def test_initial_kernels_depend_on_seed_and_layer_alone():
    kernel = [evaluated(lambda seed=seed: layers.initial_kernel("he_normal", seed, (5, 5))) for seed in [(1, 0)] * 2]
    np.testing.assert_array_equal(*kernel)
    for seed in [(1, 1), (2, 0)]:
        other = evaluated(lambda seed=seed: layers.initial_kernel("he_normal", seed, (5, 5)))
        assert not np.array_equal(kernel[0], other)


def called(block, inputs, phase=None, number=3, fused=False, seed=7):
    """What `block` makes of `inputs`, an array."""
    return layers.call(block, tf.constant(inputs), Place("layer", number), context(block, inputs, phase, fused, seed))


def context(block, inputs, phase=None, fused=False, seed=7):
    """With fresh variables of a block that takes `inputs`, and of those inside it."""
    values = {}
    for placed in blocks.placed({"layer": block}, inputs.shape[1:]):
        for name, shape in (*placed.trained.items(), *placed.statistics.items()):
            value = layers.initial_value(placed.block.initial(name.rpartition("/")[2]), (7, 0), shape)
            values[name] = tf1.get_variable(name, initializer=value) if name in placed.trained else value
    return Context(values, seed, fused, phase)


def phase(step=0, weights=None):
    """Training, at a step."""
    return Phase(tf.constant(step, tf.int64), weights, updates={})


def test_every_block_is_built_and_only_called_with_its_kind():
    for kind in blocks.KINDS.values():
        assert layers._outputs.dispatch(kind) is not layers._outputs.dispatch(object), kind
    with pytest.raises(TypeError, match="is not a block"):
        layers._outputs(None, X, {}, Place("layer", 0), Context({}, 0))


def test_batch_norm_brings_a_batch_to_mean_0_and_variance_1_and_moves_its_statistics():
    def build():
        training = phase()
        output = called(BatchNorm(momentum=0.75, epsilon=1e-6), X, training)
        return output, [training.updates[f"layer/moving_{name}"] for name in ("mean", "variance")]

    output, (mean, variance) = evaluated(build)
    np.testing.assert_allclose(output, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-6), rtol=1e-4)
    np.testing.assert_allclose(mean, 0.25 * X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * X.var(0), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 2, 3)])
def test_samples_that_weigh_nothing_do_not_count_in_batch_statistics(shape):
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    weights = [0.0, 1.0, 1.0, 1.0]
    output = evaluated(lambda: called(BatchNorm(epsilon=1e-6), inputs, phase(weights=weights)))
    axes = tuple(range(len(shape) - 1))
    expected = (inputs - inputs[1:].mean(axes)) / np.sqrt(inputs[1:].var(axes) + 1e-6)
    np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-5)


def test_weighted_batch_statistics_are_exact_far_from_0():
    inputs = (1000 + np.random.default_rng(0).normal(size=(50, 3))).astype(np.float32)
    weights = np.random.default_rng(1).integers(1, 4, 50).astype(np.float32)
    repeated = np.repeat(inputs, weights.astype(int), axis=0).astype(float)
    output = evaluated(lambda: called(BatchNorm(epsilon=1e-6), inputs, phase(weights=weights)))
    np.testing.assert_allclose(output, (inputs - repeated.mean(0)) / repeated.std(0), rtol=1e-3, atol=1e-3)


def test_batch_norm_predicts_with_its_moving_statistics():
    output = evaluated(lambda: called(BatchNorm(epsilon=0.5), X))
    np.testing.assert_allclose(output, X / np.sqrt(1.5), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_dropout_zeroes_its_share_and_keeps_the_mean(fused):
    inputs = np.ones((200, 200), np.float32)
    function = tf.function(lambda: called(Dropout(0.3), inputs, phase(), fused=fused), jit_compile=fused)
    output = evaluated(function)
    assert set(np.unique(output)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert np.mean(output == 0) == pytest.approx(0.3, abs=0.01)
    assert output.mean() == pytest.approx(1, abs=0.015)


def test_alpha_dropout_keeps_the_mean_0_and_variance_1_of_selu():
    inputs = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    inputs = DEFINITIONS["selu"](inputs).astype(np.float32)
    output = evaluated(lambda: called(AlphaDropout(0.4), inputs, phase()))
    assert output.mean() == pytest.approx(0, abs=0.02)
    assert output.var() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("block", [Dropout(0.5), AlphaDropout(0.5)])
def test_masks_depend_on_seed_layer_and_step_alone(block):
    def masked(seed, number, step):
        return evaluated(lambda: called(block, np.ones((9, 9), np.float32), phase(step), number, seed=seed))

    np.testing.assert_array_equal(masked(1, 2, 3), masked(1, 2, 3))
    others = [masked(*other) for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4))]
    assert all(not np.array_equal(masked(1, 2, 3), other) for other in others)


@pytest.mark.parametrize("block", [Dropout(0.5), AlphaDropout(0.5)])
def test_nothing_is_dropped_in_prediction(block):
    np.testing.assert_array_equal(evaluated(lambda: called(block, X)), X)


def test_a_convolution_multiplies_each_place_with_its_kernel():
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)

    def build():
        return called(Conv2D(1, 2, padding="valid"), image), tf1.trainable_variables()[0]

    output, kernel = evaluated(build)
    squares = np.lib.stride_tricks.sliding_window_view(image[0, :, :, 0], (2, 2))
    places = (squares * kernel[:, :, 0, 0]).sum((2, 3))
    np.testing.assert_allclose(output[0, :, :, 0], places, rtol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [(5, 1), (2, 1), (3, 2), (2, 3)])
def test_a_convolution_of_one_channel_is_the_same_in_training(padding, size, strides):
    images = np.random.default_rng(0).random((3, 11, 8, 1), np.float32)
    block = Conv2D(4, size, strides, padding)
    predicted = evaluated(lambda: called(block, images))
    trained = evaluated(lambda: called(block, images, phase()))
    np.testing.assert_allclose(trained, predicted, rtol=1e-5, atol=1e-6)


def test_pools_take_the_largest_and_the_mean_of_each_square():
    image = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    np.testing.assert_array_equal(evaluated(lambda: called(MaxPool(2), image))[0, :, :, 0], [[6, 8], [16, 18]])
    np.testing.assert_array_equal(evaluated(lambda: called(AveragePool(2), image))[0, :, :, 0], [[3, 5], [13, 15]])


@pytest.mark.parametrize("size", [2, 3])
def test_a_pool_of_tiles_is_the_same_in_training_with_the_same_gradient(size):
    images = np.random.default_rng(0).normal(size=(3, 11, 8, 2)).astype(np.float32)

    def with_gradient(phase):
        X = tf.constant(images)
        pooled = layers.call(MaxPool(size), X, Place("layer", 3), Context({}, 7, False, phase))
        return pooled, tf.gradients(pooled, X, grad_ys=pooled)[0]

    predicted, trained = evaluated(lambda: with_gradient(None)), evaluated(lambda: with_gradient(phase()))
    for one, other in zip(trained, predicted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_initial_variance_of_a_convolution_counts_its_places():
    kernel = evaluated(lambda: layers.initial_kernel("he_normal", (3, 0), (5, 5, 40, 50)))
    assert kernel.var() == pytest.approx(2 / (25 * 40), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [EVERY_DENSE, CONVOLUTIONAL])
def test_the_shapes_and_parameters_of_a_summary_are_those_of_the_graph(stack):
    named = blocks.named(stack, 2)

    def build():
        network, outputs = Network(named, 2, seed=0), {}
        logits = layers.stack(named, tf.zeros((5, 2)), Context(network.variables, 0, outputs=outputs))
        for row in blocks.rows(named, 2):
            assert tuple(outputs.pop(row.name).shape[1:]) == row.shape
            for found, count in ((network.trained, row.trained), (network.statistics, row.statistics)):
                own = [each for name, each in found.items() if name.rpartition("/")[0] == row.name]
                assert sum(each.shape.num_elements() for each in own) == count
        assert not outputs
        return logits

    evaluated(build)


# ---- blocks with others inside ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_a_residual_block_adds_its_layers_to_its_input(activation):
    def build():
        return called(Residual((Dense(5, "tanh"), Dense(3)), activation), X), tf1.trainable_variables()

    output, (first, _, second, _) = evaluated(build)
    expected = DEFINITIONS[activation](np.tanh(X @ first) @ second + X)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_a_residual_block_projects_its_input_to_the_shape_of_its_layers():
    def build():
        return called(Residual((Dense(5, "relu"),)), X), tf1.trainable_variables()

    output, (kernel, _, projection) = evaluated(build)
    np.testing.assert_allclose(output, np.maximum(X @ kernel, 0) + X @ projection, rtol=1e-5, atol=1e-5)


def test_a_residual_block_projects_the_places_of_an_image_that_its_layers_keep():
    images = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    conv = Conv2D(2, 1, strides=2, use_bias=False)

    def build():
        return called(Residual((conv,)), images), tf1.trainable_variables()

    output, (kernel, projection) = evaluated(build)
    expected = images[:, ::2, ::2] @ (kernel[0, 0] + projection[0, 0])
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_the_statistics_of_a_batch_norm_inside_a_block_move():
    def build():
        training = phase()
        output = called(Residual((BatchNorm(momentum=0.75),)), X, training)
        return output, training.updates

    _, updates = evaluated(build)
    assert list(updates) == ["layer/bn1/moving_mean", "layer/bn1/moving_variance"]
    np.testing.assert_allclose(updates["layer/bn1/moving_mean"], 0.25 * X.mean(0), rtol=1e-5)


SQUARE = Residual((Dense(3), Residual((Dense(3), Dense(3)))))


@pytest.mark.slow
def test_variables_of_blocks_inside_a_block_are_named_by_where_they_are():
    named = blocks.named((Residual((Dense(4), BatchNorm(), SQUARE)), Dense(None)), 2)
    network = evaluated(lambda: Network(named, 5, seed=0).variables)
    inside = (
        "fc1/kernel",
        "fc1/bias",
        *(f"residual1/fc{number}/{kind}" for number in (1, 2) for kind in ("kernel", "bias")),
    )
    assert list(network) == [
        *(f"residual1/{name}" for name in ("fc1/kernel", "fc1/bias", "bn1/gamma", "bn1/beta")),
        *(f"residual1/residual1/{name}" for name in (*inside, "projection/kernel")),
        *("residual1/projection/kernel", "output/kernel", "output/bias"),
        *("residual1/bn1/moving_mean", "residual1/bn1/moving_variance"),
    ]


@pytest.mark.slow
def test_equal_blocks_inside_blocks_begin_differently_wherever_they_are():
    named = blocks.named((Dense(3), SQUARE, SQUARE, Residual((Dense(4), Dense(3))), Dense(3), Dense(None)), 3)
    network = evaluated(lambda: Network(named, 3, seed=0).trained)
    kernels = [value for name, value in network.items() if value.shape == (3, 3)]
    assert len(kernels) == 9
    assert len({kernel.tobytes() for kernel in kernels}) == 9


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_equal_dropouts_inside_blocks_draw_other_masks_wherever_they_are(fused):
    inside = Residual((Dropout(0.5),))
    stack = (Dropout(0.5), inside, inside, Residual((Activation("identity"), Dropout(0.5))), Residual((inside,)))

    def masks():
        context = Context({}, 7, fused, phase(), outputs={})
        for number, (name, block) in enumerate(blocks.numbered(stack).items()):
            layers.call(block, tf.ones((9, 9)), Place(name, number), context)
        return {name: mask for name, mask in context.outputs.items() if "dropout" in name}

    drawn = evaluated(tf.function(masks, jit_compile=fused))
    assert len(drawn) == 5
    assert len({mask.tobytes() for mask in drawn.values()}) == 5


# ---- columns of a table ----------------------------------------------------------------------------------------------


def built(block, inputs, values):
    """What a block makes of inputs, with the values of its variables."""
    with tf.Graph().as_default(), tf1.Session() as session:
        context = Context({f"b/{name}": tf.constant(value) for name, value in values.items()}, 0)
        return session.run(layers.call(block, tf.constant(inputs), Place("b", 0), context))


def test_fill_stands_for_what_is_missing():
    inputs = np.float32([[1, np.nan], [np.nan, 2]])
    np.testing.assert_array_equal(built(Fill(), inputs, {"fill": np.float32([7, 9])}), [[1, 9], [7, 2]])


def test_encode_gives_numbers_first_then_a_one_hot_vector_or_an_embedding_for_each_column_of_categories():
    inputs = np.float32([[0, 5.5, 2, 1], [24, 6.5, 0, 2], [25, 7.5, 3, -1]])
    embedding = np.random.default_rng(0).standard_normal((25, 5), np.float32)
    encoded = built(Encode((25, 0, 3, 2)), inputs, {"embedding1": embedding})
    np.testing.assert_array_equal(encoded[:, 0], np.float32([5.5, 6.5, 7.5]))
    np.testing.assert_array_equal(encoded[:, 1:6], [embedding[0], embedding[24], np.zeros(5)])
    np.testing.assert_array_equal(encoded[:, 6:9], [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(encoded[:, 9:], [[0, 1], [0, 0], [0, 0]])
    assert Encode((25, 0, 3, 2)).output_shape((4,)) == (11,)


def test_encode_takes_columns_of_categories_alone():
    encoded = built(Encode((2, 3)), np.float32([[0, 2], [1, 0]]), {})
    np.testing.assert_array_equal(encoded, [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]])


def test_encode_takes_as_many_columns_as_it_knows():
    with pytest.raises(ConfigError, match="has Encode after shape 3, but it takes 2 columns"):
        Encode((2, 0)).output_shape((3,))
