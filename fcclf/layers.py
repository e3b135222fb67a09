"""The building blocks of a network, on `tf.compat.v1.get_variable` and `tf.nn`.

A layer is data: a frozen dataclass that says what to build. Calling it adds its operations to the current graph. Its
variables are made by the first call under a name and shared by every later one (`tf.compat.v1.AUTO_REUSE`), so the fed
training step, the compiled epoch loop and inference are the same network by construction.
"""

import math
from dataclasses import dataclass

import tensorflow as tf

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


def initial_kernel(name, seed, shape):
    """Initial values of a kernel: float32 `shape` (fan_in, fan_out), a function of (name, seed) alone.

    name: an entry of `fcclf.config.INITIALIZERS`, a scheme and a distribution joined by "_". seed: two integers.
    """
    scheme, distribution = name.rsplit("_", 1)
    stddev = math.sqrt(VARIANCES[scheme](*shape))
    if distribution == "uniform":
        limit = math.sqrt(3) * stddev
        return tf.random.stateless_uniform(shape, seed, -limit, limit)
    correction = 1 if scheme == "truncated" else TRUNCATED_NORMAL_STDDEV
    return tf.random.stateless_truncated_normal(shape, seed, stddev=stddev / correction)


@dataclass(frozen=True)
class Dense:
    """activation(inputs @ kernel + bias); penalties l1 * sum(|kernel|) and l2 * sum(kernel^2) / 2."""

    units: int
    activation: str = "identity"
    initializer: str = "he_normal"
    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, inputs, name, seed, fused=False):
        """float32 [batch, units] from float32 [batch, features].

        name: the scope of the variables `kernel` and `bias`. seed: two integers, of the kernel's initial values.
        fused: the graph will be compiled, so small products may be written for fusion.
        """
        with tf1.variable_scope(name, reuse=tf1.AUTO_REUSE):
            shape = (int(inputs.shape[-1]), self.units)
            kernel = tf1.get_variable("kernel", shape, initializer=_initializer(self.initializer, seed))
            bias = tf1.get_variable("bias", (self.units,), initializer=tf1.zeros_initializer())
            return ACTIVATIONS[self.activation](_product(inputs, kernel, fused) + bias)

    def penalty(self, name):
        """This layer's penalties: float32 scalar. `name`: the scope it was called with before."""
        with tf1.variable_scope(name, reuse=True):
            kernel = tf1.get_variable("kernel")
            terms = []
            if self.l1:
                terms.append(self.l1 * tf.reduce_sum(tf.abs(kernel)))
            if self.l2:
                terms.append(self.l2 * tf.nn.l2_loss(kernel))
            return tf.add_n(terms) if terms else tf.zeros(())


def _initializer(name, seed):
    return lambda shape, dtype=None, partition_info=None: initial_kernel(name, seed, shape)


def _product(inputs, kernel, fused):
    """inputs @ kernel."""
    if fused and kernel.shape.num_elements() <= LARGEST_FUSED_KERNEL:
        return tf.reduce_sum(inputs[:, :, None] * kernel[None], axis=1)
    return tf.matmul(inputs, kernel)
