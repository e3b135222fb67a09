"""The operations of the building blocks: tensors in, tensors out.

`call` adds a block's operations to the current graph. The values of its variables are passed in, as variables or as
tensors, so one definition serves the fed step, the loop, which carries its values along, and prediction.

Some blocks behave differently in training than in prediction; a `Phase` tells them that they are in training. Random
masks are functions of (seed, position in the network, global step): there is no generator state to save, and a resumed
run draws the masks that it would have drawn.
"""

import functools
import math
from typing import NamedTuple

import tensorflow as tf

from fcclf.network.sums import totals
from fcclf.settings.blocks import (
    Activation,
    AlphaDropout,
    AveragePool,
    BatchNorm,
    Block,
    Conv2D,
    Dense,
    Dropout,
    Encode,
    Fill,
    Flatten,
    MaxPool,
    Reshape,
    Residual,
    Standardize,
)

tf1 = tf.compat.v1

ACTIVATIONS = {"softplus": tf.math.softplus, "identity": tf.identity}  # those that tf.nn does not have by that name

# Variances of the initial weights. he: He et al. 2015; glorot: Glorot and Bengio 2010; lecun: LeCun et al. 1998;
# truncated: a fixed standard deviation of 0.05; inverse_sqrt: that of U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)).
VARIANCES = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "truncated": lambda fan_in, fan_out: 0.05**2,
    "inverse_sqrt": lambda fan_in, fan_out: 1 / (3 * fan_in),
}

# Standard deviation of a standard normal distribution truncated at two standard deviations.
TRUNCATED_NORMAL_STDDEV = 0.87962566103423978

# Up to this many weights, multiply-and-sum is faster than a matrix product once compiled: XLA fuses it with its
# neighbours, while every product is a library call (a step of the moons: 6.5 against 16 us).
LARGEST_FUSED_KERNEL = 64

# Up to this many weights, the convolution of a single channel is trained as one product, a third of the time of
# TensorFlow's own (`python benchmarks/peers.py lenet`: 7.5 against 22.8 ms for the first layer of the LeNet).
LARGEST_KERNEL_OF_ONE_CHANNEL = 64

LARGEST_TILE = 4  # pixels along the edge of a pool that is trained as maxima of pairs, in half the time

SELU_LIMIT = -1.7580993408473766  # -alpha * scale: what SELU gives for minus infinity

BLOCKS = 1 << 20  # more than any stack has; keeps the seeds of kernels and biases apart
STEPS = 1 << 40  # more than any run has; keeps the seeds of the layers' masks and of the kernels apart


class Phase(NamedTuple):
    """What blocks that behave differently in training need for it. step: int64 scalar, the global step; weights: float
    [batch], or None if every sample counts the same; updates: {variable name: new value}, which blocks add to."""

    step: tf.Tensor
    weights: tf.Tensor | None
    updates: dict[str, tf.Tensor]


class Context(NamedTuple):
    """What a network is built with.

    values: {variable name: variable or tensor}; seed: int32 scalar, of the masks; fused: the graph will be compiled;
    phase: None for prediction; dropout: float scalar that replaces the rate of every `Dropout`, None to keep their own;
    outputs: {scope: outputs of the block}, which every block adds to; None if they are not needed.
    """

    values: dict
    seed: tf.Tensor | int
    fused: bool = False
    phase: Phase | None = None
    dropout: tf.Tensor | float | None = None
    outputs: dict[str, tf.Tensor] | None = None

    def inside(self, number: int, branch: int) -> "Context":
        """The context of stack `branch` inside block `number`."""
        return self._replace(seed=stack_seed(self.seed, (number, branch)))


class Place(NamedTuple):
    """The position of a block. scope: the prefix of the names of its variables; number: its number in its stack, which
    its initial values and masks depend on."""

    scope: str
    number: int


def call(block: Block, inputs, place: Place, context: Context):
    """The outputs of `block` for inputs, float [batch, *shape]: [batch, *block.output_shape(shape)], of their dtype."""
    shape = tuple(inputs.shape[1:].as_list())
    names = (*block.trained(shape), *block.statistics(shape))
    own = {name: context.values[f"{place.scope}/{name}"] for name in names}
    with tf1.name_scope(place.scope.rpartition("/")[2]):
        outputs = _outputs(block, inputs, own, place, context)
    if context.outputs is not None:
        context.outputs[place.scope] = outputs
    return outputs


def stack(layers: dict[str, Block], inputs, context: Context, scope: str = ""):
    """The outputs of a stack of blocks for inputs. scope: the prefix of the names of their variables."""
    for number, (name, block) in enumerate(layers.items()):
        inputs = call(block, inputs, Place(scope + name, number), context)
    return inputs


def stack_seed(seed, path: tuple[int, ...]):
    """The seed of a nested stack, int32 scalar, a function of the network's seed and the position of the stack. path:
    the number of a block, the number of a stack in it, and so on inwards; () for the network itself."""
    for number in path:
        drawn = tf.random.stateless_uniform((), tf.stack([seed, number]), None, None, tf.int32, alg="philox")
        seed = tf.bitwise.bitwise_and(drawn, 2**31 - 1)
    return seed


def initial_value(distribution: str, seed, shape, dtype="float32"):
    """Initial values of a variable, `shape`: a function of the arguments alone. distribution: as in `Block.initial`;
    seed: two integers. Values of float64 are the same numbers as those of float32."""
    if distribution in ("zeros", "ones"):
        return tf.zeros(shape, dtype) if distribution == "zeros" else tf.ones(shape, dtype)
    return tf.cast(initial_kernel(distribution, seed, shape), dtype)


def initial_bias(kernel, seed, shape, dtype="float32"):
    """Initial values of a bias, `shape`, within the limits of glorot_uniform for the kernel, as scikit-learn draws
    them. kernel: its shape; seed: two integers, those of the kernel."""
    limit = math.sqrt(6 / sum(kernel))
    first, second = seed
    return tf.cast(tf.random.stateless_uniform(shape, (first, second + BLOCKS), -limit, limit), dtype)


def initial_kernel(name, seed, shape):
    """Initial values of a kernel: float32 `shape` (..., fan_in, fan_out), a function of (name, seed) alone.

    name: an entry of `fcclf.settings.blocks.INITIALIZERS`, a scheme and a distribution joined by "_". seed: two
    integers. Axes before the last two are the kernel's positions: fan_in and fan_out are counted once for each.
    """
    scheme, distribution = name.rsplit("_", 1)
    places = math.prod(shape[:-2])
    stddev = math.sqrt(VARIANCES[scheme](places * shape[-2], places * shape[-1]))
    if distribution == "uniform":
        limit = math.sqrt(3) * stddev
        return tf.random.stateless_uniform(shape, seed, -limit, limit)
    correction = 1 if scheme == "truncated" else TRUNCATED_NORMAL_STDDEV
    return tf.random.stateless_truncated_normal(shape, seed, stddev=stddev / correction)


# ---- one function for each block -------------------------------------------------------------------------------------


@functools.singledispatch
def _outputs(block, inputs, own, place, context):
    """The outputs of a block. own: {name: value} of its own variables."""
    raise TypeError(f"{block} is not a block")


@_outputs.register
def _(block: Dense, inputs, own, place, context):
    if context.fused and own["kernel"].shape.num_elements() <= LARGEST_FUSED_KERNEL:
        return _dense_in_columns(block, inputs, own)
    return _activated(block, tf.matmul(inputs, own["kernel"]), own)


@_outputs.register
def _(block: Conv2D, inputs, own, place, context):
    one_channel = inputs.shape[-1] == 1 and block.size**2 <= LARGEST_KERNEL_OF_ONE_CHANNEL
    if context.phase and one_channel:  # in prediction, too many samples at once for so many copies
        return _activated(block, _convolved_as_product(inputs, own["kernel"], block), own)
    return _activated(block, tf.nn.conv2d(inputs, own["kernel"], block.strides, block.padding.upper()), own)


@_outputs.register
def _(block: BatchNorm, inputs, own, place, context):
    mean, variance = own["moving_mean"], own["moving_variance"]
    if context.phase:
        mean, variance = _moments(inputs, context.phase.weights)
        for name, value in (("moving_mean", mean), ("moving_variance", variance)):
            moved = own[name] - (1 - block.momentum) * (own[name] - value)
            context.phase.updates[f"{place.scope}/{name}"] = moved
    return tf.nn.batch_normalization(inputs, mean, variance, own.get("beta"), own.get("gamma"), block.epsilon)


@_outputs.register
def _(block: Standardize, inputs, own, place, context):
    return (inputs - own["mean"]) / own["stddev"]


@_outputs.register
def _(block: Fill, inputs, own, place, context):
    return tf.where(tf.math.is_nan(inputs), own["fill"], inputs)


@_outputs.register
def _(block: Encode, inputs, own, place, context):
    numbers = tf.constant([column for column, count in enumerate(block.categories) if not count], tf.int32)
    texts = {column: count for column, count in enumerate(block.categories) if count}
    encoded = [_encoded(inputs[:, column], count, own.get(f"embedding{column + 1}")) for column, count in texts.items()]
    return tf.concat([tf.gather(inputs, numbers, axis=1), *encoded], axis=1)


@_outputs.register
def _(block: Activation, inputs, own, place, context):
    return activation(block.function)(inputs)


@_outputs.register
def _(block: Dropout, inputs, own, place, context):
    rate = block.rate if context.dropout is None else context.dropout
    if not context.phase or (isinstance(rate, float) and not rate):
        return inputs
    return tf.where(_kept(inputs, rate, place.number, context), inputs / (1 - rate), tf.zeros((), inputs.dtype))


@_outputs.register
def _(block: AlphaDropout, inputs, own, place, context):
    if not context.phase or not block.rate:
        return inputs
    limit = tf.constant(SELU_LIMIT, inputs.dtype)
    dropped = tf.where(_kept(inputs, block.rate, place.number, context), inputs, limit)
    slope = ((1 - block.rate) * (1 + block.rate * SELU_LIMIT**2)) ** -0.5
    return slope * dropped - slope * block.rate * SELU_LIMIT


@_outputs.register
def _(block: MaxPool, inputs, own, place, context):
    if context.phase and block.size <= LARGEST_TILE:
        return _largest_of_tiles(inputs, block)
    return tf.nn.max_pool2d(inputs, block.size, block.strides, "VALID")


@_outputs.register
def _(block: AveragePool, inputs, own, place, context):
    return tf.nn.avg_pool2d(inputs, block.size, block.strides, "VALID")


@_outputs.register(Flatten)
@_outputs.register(Reshape)
def _(block, inputs, own, place, context):
    return tf.reshape(inputs, (-1, *block.output_shape(tuple(inputs.shape[1:].as_list()))))


@_outputs.register
def _(block: Residual, inputs, own, place, context):
    branches = enumerate(block.branches(tuple(inputs.shape[1:].as_list())))
    answered, shortcut = (
        stack(inside, inputs, context.inside(place.number, branch), f"{place.scope}/") for branch, inside in branches
    )
    return activation(block.activation)(answered + shortcut)


# ---- pieces ----------------------------------------------------------------------------------------------------------


def activation(name: str):
    """The function of an entry of `fcclf.settings.blocks.ACTIVATIONS`."""
    return ACTIVATIONS.get(name) or getattr(tf.nn, name)


def _activated(block, product, own):
    return activation(block.activation)(product + own["bias"] if block.use_bias else product)


def _dense_in_columns(block, inputs, own):
    """What a dense layer with a small kernel returns, computed with samples in columns: vector instructions work on
    neighbours, and there are more samples than units. XLA drops the transpositions between layers."""
    bias = [own["bias"]] if block.use_bias else []
    return tf.transpose(activation(block.activation)(_sums_in_columns(tf.transpose(inputs), own["kernel"], *bias)))


@tf.custom_gradient
def _sums_in_columns(inputs, kernel, *bias):
    """What each unit adds up, [units, batch]. inputs: [inputs, batch]; kernel: [inputs, units]; bias: [units], or
    nothing. The gradients add up the samples of a batch with `totals`."""

    def gradients(slopes):
        of_inputs = tf.reduce_sum(kernel[:, :, None] * slopes, axis=1)
        return of_inputs, totals(inputs[:, None] * slopes, True), *(totals(slopes, True) for _ in bias)

    products = tf.reduce_sum(kernel[:, :, None] * inputs[:, None], axis=0)
    return sum((each[:, None] for each in bias), start=products), gradients


def _convolved_as_product(images, kernel, block):
    """The convolution of images, [batch, height, width, 1], like `tf.nn.conv2d`, as one matrix product of the kernel's
    weights and copies of the images, one shifted for each weight."""
    *_, height, width, _ = images.shape
    *places, filters = block.output_shape((height, width, 1))
    if block.padding == "same":
        around = [_padding(*each, block) for each in zip((height, width), places, strict=True)]
        images = tf.pad(images, [(0, 0), *around, (0, 0)])
    rows, columns = ([_met(first, count, block) for first in range(block.size)] for count in places)
    copies = tf.stack([images[:, row, column] for row in rows for column in columns])
    weights = tf.reshape(kernel, (-1, filters))
    product = tf.matmul(weights, tf.reshape(copies, (block.size**2, -1)), transpose_a=True)
    return tf.transpose(tf.reshape(product, (filters, -1, *places)), (1, 2, 3, 0))


def _largest_of_tiles(images, block):
    """The same numbers as `tf.nn.max_pool2d` gives for adjacent squares, with a gradient in half the time: first the
    maximum over the rows of a square, then over its columns. Of equal numbers, one gets the gradient."""
    height, width, channels = block.output_shape(tuple(images.shape[1:].as_list()))
    covered = height * block.size, width * block.size
    if covered != tuple(images.shape[1:3]):  # the gradient of a slice takes time even if nothing is cut off
        images = images[:, : covered[0], : covered[1]]
    rows = tf.reshape(images, (-1, height, block.size, width * block.size * channels))
    columns = tf.reshape(_largest(rows, 2), (-1, height, width, block.size, channels))
    return _largest(columns, 3)


def _largest(values, axis):
    """The maximum along an axis. The gradient of `tf.reduce_max` would take longer."""
    return functools.reduce(tf.maximum, tf.unstack(values, axis=axis))


def _padding(length, places, block):
    """(pixels before, pixels after) to pad an edge of that length with, so that a kernel has `places` positions."""
    lacking = max(0, (places - 1) * block.strides + block.size - length)
    return lacking // 2, lacking - lacking // 2


def _met(first, places, block):
    """The pixels along an edge that weight number `first` of a kernel is multiplied with in its `places` positions."""
    return slice(first, first + block.strides * (places - 1) + 1, block.strides)


def _encoded(places, count, embedding):
    """Indices of `count` categories, [batch], as vectors: [batch, width]. An index out of range gives zeros."""
    known = tf.logical_and(places >= 0, places < count)
    numbers = tf.cast(tf.where(known, places, tf.zeros_like(places)), tf.int32)
    vectors = tf.one_hot(numbers, count, dtype=places.dtype) if embedding is None else tf.gather(embedding, numbers)
    return vectors * tf.cast(known, vectors.dtype)[:, None]


def _moments(inputs, weights):
    """Mean and biased variance of each feature or channel, over samples by their weights."""
    axes = list(range(inputs.shape.rank - 1))
    if weights is None:
        return tf.nn.moments(inputs, axes)
    return tf.nn.weighted_moments(inputs, axes, tf.reshape(weights, [-1] + [1] * (inputs.shape.rank - 1)))


def _kept(inputs, rate, number, context):
    """Which inputs a dropout keeps in this step: bool, of their shape.

    XLA draws with ThreeFry ten times as fast as with Philox (0.8 and 8.7 ns a number on two cores); TensorFlow's own
    kernels have only Philox. So compiled and uncompiled runs draw different masks.
    """
    seed = tf.stack([tf.cast(context.seed, tf.int64), (number + 1) * STEPS + context.phase.step])
    drawn = tf.random.stateless_uniform(tf.shape(inputs), seed, alg="threefry" if context.fused else "philox")
    return drawn >= tf.cast(rate, drawn.dtype)
