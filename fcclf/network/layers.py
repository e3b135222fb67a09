"""The operations of the building blocks, on `tf.compat.v1.get_variable` and `tf.nn`.

`call` adds a block's operations to the current graph. Its variables are made by the first call under a name and shared
by every later one (`tf.compat.v1.AUTO_REUSE`), so the fed training step, the compiled epoch loop and inference are the
same network by construction.

Some blocks do another thing in training than in prediction; a `Phase` tells them so. Random masks are functions of
(seed, layer, global step): there is no generator to save, and a run that is resumed draws what it would have drawn.
"""

import functools
import math
from typing import NamedTuple

import tensorflow as tf

from fcclf.settings.blocks import (
    Activation,
    AlphaDropout,
    AveragePool,
    BatchNorm,
    Block,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Reshape,
    Standardize,
)

tf1 = tf.compat.v1

ACTIVATIONS = {
    "elu": tf.nn.elu,
    "relu": tf.nn.relu,
    "leaky_relu": tf.nn.leaky_relu,
    "selu": tf.nn.selu,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "softplus": tf.math.softplus,
    "gelu": tf.nn.gelu,
    "swish": tf.nn.swish,
    "identity": tf.identity,
}

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
# neighbours, while every product is a library call (measured with benchmarks/speed.py: 6.4 against 12 us a step).
LARGEST_FUSED_KERNEL = 64

SELU_LIMIT = -1.7580993408473766  # -alpha * scale: what SELU gives for minus infinity

PHASED = (BatchNorm, Dropout, AlphaDropout)  # do another thing in training than in prediction
STEPS = 1 << 40  # more than any run has; keeps the seeds of the layers' masks and of the kernels apart


class Phase(NamedTuple):
    """Training, to the blocks that need to know. step: int64 scalar, the global step; weights: float32 [batch], or None
    where every sample counts the same; updates: blocks add the operations that each step must run besides."""

    step: tf.Tensor
    weights: tf.Tensor | None
    updates: list


class Context(NamedTuple):
    """What a network is built with. seed: int32 scalar; fused: the graph will be compiled; phase: None to predict.
    dropout: float32 scalar, or 0, that counts instead of the rate of every `Dropout`; None: as the blocks say."""

    seed: tf.Tensor
    fused: bool = False
    phase: Phase | None = None
    dropout: tf.Tensor | float | None = None


def call(block: Block, inputs, name: str, number: int, context: Context):
    """What `block` makes of inputs, float32 [batch, *shape]: float32 [batch, *block.output_shape(shape)].

    name: the scope of its variables. number: its place in the stack; initial values and masks are functions of
    (context.seed, number), and of the global step.
    """
    with tf1.variable_scope(name, reuse=tf1.AUTO_REUSE):
        return _outputs(block, inputs, number, context)


def network_variables() -> list[tf.Variable]:
    """All that makes the current graph's network what it is: what is trained, and the statistics."""
    return tf1.trainable_variables() + tf1.model_variables()


def penalty(block: Dense | Conv2D, name: str):
    """The penalties of a block with a kernel: float32 scalar. `name`: the scope it was called with before."""
    with tf1.variable_scope(name, reuse=True):
        kernel = tf1.get_variable("kernel")
        terms = []
        if block.l1:
            terms.append(block.l1 * tf.reduce_sum(tf.abs(kernel)))
        if block.l2:
            terms.append(block.l2 * tf.nn.l2_loss(kernel))
        return tf.add_n(terms) if terms else tf.zeros(())


def initial_kernel(name, seed, shape):
    """Initial values of a kernel: float32 `shape` (..., fan_in, fan_out), a function of (name, seed) alone.

    name: an entry of `fcclf.settings.blocks.INITIALIZERS`, a scheme and a distribution joined by "_". seed: two
    integers. Axes before the last two are places: fan_in and fan_out are counted once for each.
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
def _outputs(block, inputs, number, context):
    raise TypeError(f"{block} is not a block")


@_outputs.register
def _(block: Dense, inputs, number, context):
    own = _variables(block, inputs, (context.seed, number))
    return _activated(block, _product(inputs, own["kernel"], context.fused), own)


@_outputs.register
def _(block: Conv2D, inputs, number, context):
    own = _variables(block, inputs, (context.seed, number))
    return _activated(block, tf.nn.conv2d(inputs, own["kernel"], block.strides, block.padding.upper()), own)


@_outputs.register
def _(block: BatchNorm, inputs, number, context):
    own = _variables(block, inputs)
    mean, variance = own["moving_mean"], own["moving_variance"]
    if context.phase:
        mean, variance = _moments(inputs, context.phase.weights)
        for moving, value in ((own["moving_mean"], mean), (own["moving_variance"], variance)):
            context.phase.updates.append(moving.assign_sub((1 - block.momentum) * (moving - value)))
    return tf.nn.batch_normalization(inputs, mean, variance, own.get("beta"), own.get("gamma"), block.epsilon)


@_outputs.register
def _(block: Standardize, inputs, number, context):
    own = _variables(block, inputs)
    return (inputs - own["mean"]) / own["stddev"]


@_outputs.register
def _(block: Activation, inputs, number, context):
    return ACTIVATIONS[block.function](inputs)


@_outputs.register
def _(block: Dropout, inputs, number, context):
    rate = block.rate if context.dropout is None else context.dropout
    if not context.phase or (isinstance(rate, float) and not rate):
        return inputs
    return tf.where(_kept(inputs, rate, number, context), inputs / (1 - rate), 0.0)


@_outputs.register
def _(block: AlphaDropout, inputs, number, context):
    if not context.phase or not block.rate:
        return inputs
    dropped = tf.where(_kept(inputs, block.rate, number, context), inputs, SELU_LIMIT)
    slope = ((1 - block.rate) * (1 + block.rate * SELU_LIMIT**2)) ** -0.5
    return slope * dropped - slope * block.rate * SELU_LIMIT


@_outputs.register
def _(block: MaxPool, inputs, number, context):
    return tf.nn.max_pool2d(inputs, block.size, block.strides, "VALID")


@_outputs.register
def _(block: AveragePool, inputs, number, context):
    return tf.nn.avg_pool2d(inputs, block.size, block.strides, "VALID")


@_outputs.register(Flatten)
@_outputs.register(Reshape)
def _(block, inputs, number, context):
    return tf.reshape(inputs, (-1, *block.output_shape(tuple(inputs.shape[1:].as_list()))))


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _variables(block, inputs, seed=None):
    """{name: variable} of a block, in its scope; seed: two integers, of a kernel's initial values."""
    shape = tuple(inputs.shape[1:].as_list())
    measured = {"trainable": False, "collections": [tf1.GraphKeys.GLOBAL_VARIABLES, tf1.GraphKeys.MODEL_VARIABLES]}
    trained = {name: _variable(block, name, of, seed) for name, of in block.trained(shape).items()}
    return trained | {name: _variable(block, name, of, **measured) for name, of in block.statistics(shape).items()}


def _variable(block, name, shape, seed=None, **settings):
    if name == "kernel":
        initializer = _initializer(block.initializer, seed)
    elif name in ("gamma", "moving_variance", "stddev"):
        initializer = tf1.ones_initializer()
    else:
        initializer = tf1.zeros_initializer()
    return tf1.get_variable(name, shape, initializer=initializer, **settings)


def _initializer(name, seed):
    return lambda shape, dtype=None, partition_info=None: initial_kernel(name, seed, shape)


def _activated(block, product, own):
    return ACTIVATIONS[block.activation](product + own["bias"] if block.use_bias else product)


def _product(inputs, kernel, fused):
    """inputs @ kernel."""
    if fused and kernel.shape.num_elements() <= LARGEST_FUSED_KERNEL:
        return tf.reduce_sum(inputs[:, :, None] * kernel[None], axis=1)
    return tf.matmul(inputs, kernel)


def _moments(inputs, weights):
    """Mean and biased variance of each feature or channel; samples that weigh nothing do not count."""
    axes = list(range(inputs.shape.rank - 1))
    if weights is None:
        return tf.nn.moments(inputs, axes)
    return tf.nn.weighted_moments(inputs, axes, tf.reshape(weights, [-1] + [1] * (inputs.shape.rank - 1)))


def _kept(inputs, rate, number, context):
    """bool, as inputs: which of them a dropout keeps in this step.

    XLA draws by ThreeFry ten times faster than by Philox (0.8 and 8.7 ns a number on two cores); TensorFlow's own
    kernels have Philox alone. So compiled and uncompiled runs draw different masks.
    """
    seed = tf.stack([tf.cast(context.seed, tf.int64), (number + 1) * STEPS + context.phase.step])
    drawn = tf.random.stateless_uniform(tf.shape(inputs), seed, alg="threefry" if context.fused else "philox")
    return drawn >= rate
