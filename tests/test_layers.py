"""The building blocks against their definitions, computed with numpy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from fcclf import config, layers
from fcclf.layers import Dense

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


def test_every_activation_of_the_command_line_is_built_and_no_other():
    assert tuple(layers.ACTIVATIONS) == config.ACTIVATIONS


@pytest.mark.parametrize("activation", config.ACTIVATIONS)
@pytest.mark.parametrize("fused", [False, True])
def test_dense_is_activation_of_product_plus_bias(activation, fused):
    def build():
        output = Dense(2, activation)(tf.constant(X), "fc1", seed=(0, 0), fused=fused)
        return output, tf1.trainable_variables()

    output, (kernel, bias) = evaluated(build)
    np.testing.assert_allclose(output, DEFINITIONS[activation](X @ kernel + bias), rtol=1e-5, atol=1e-6)


def test_a_layer_called_twice_shares_its_variables():
    def build():
        layer = Dense(2)
        first, second = (layer(tf.constant(X), "fc1", seed=(0, 0)) for _ in range(2))
        assert [variable.op.name for variable in tf1.global_variables()] == ["fc1/kernel", "fc1/bias"]
        return first, second

    np.testing.assert_array_equal(*evaluated(build))


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
    for name in config.INITIALIZERS:
        assert evaluated(lambda name=name: layers.initial_kernel(name, (0, 0), (3, 2))).shape == (3, 2)


def test_initial_kernels_depend_on_seed_and_layer_alone():
    kernel = [evaluated(lambda seed=seed: layers.initial_kernel("he_normal", seed, (5, 5))) for seed in [(1, 0)] * 2]
    np.testing.assert_array_equal(*kernel)
    for seed in [(1, 1), (2, 0)]:
        other = evaluated(lambda seed=seed: layers.initial_kernel("he_normal", seed, (5, 5)))
        assert not np.array_equal(kernel[0], other)


def test_penalties_are_l1_of_the_kernel_and_half_its_squares():
    def build():
        layer = Dense(2, l1=0.3, l2=0.7)
        layer(tf.constant(X), "fc1", seed=(0, 0))
        return layer.penalty("fc1"), tf1.trainable_variables()[0]

    penalty, kernel = evaluated(build)
    assert penalty == pytest.approx(0.3 * np.abs(kernel).sum() + 0.7 * (kernel**2).sum() / 2, rel=1e-6)


def test_a_layer_without_penalties_adds_exactly_nothing():
    def build():
        layer = Dense(2)
        layer(tf.constant(X), "fc1", seed=(0, 0))
        return layer.penalty("fc1")

    assert evaluated(build) == 0
