"""Optimizers and learning-rate schedules.

An optimizer is one of `tf.compat.v1.train`, which makes its variables and takes the fed steps. The loop takes the same
steps on tensors: `step` follows the formula of TensorFlow's kernels (tensorflow/core/kernels/training_ops.cc), on
packed weights. A test compares the two for every optimizer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from fcclf.learning.rules import SLOWEST_RATE

tf1 = tf.compat.v1


@dataclass(frozen=True)
class Optimizer:
    """An optimizer, given by its name and, if it has them, scikit-learn's parameters."""

    name: str
    momentum: float = 0.9
    nesterov: bool = False
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    @classmethod
    def named(cls, name: str) -> "Optimizer":
        """The optimizer for an entry of `fcclf.settings.config.OPTIMIZERS`, with its default parameters."""
        return cls("momentum", nesterov=True) if name == "nesterov" else cls(name)

    def of_tensorflow(self, learning_rate, dtype: str = "float32") -> tf1.train.Optimizer:
        """The optimizer of tf.compat.v1.train. dtype: of the weights."""
        return KINDS[self.name].of_tensorflow(self, learning_rate, dtype)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots, which hold numbers for each weight, as TensorFlow's optimizer calls them."""
        return KINDS[self.name].slots

    @property
    def powers(self) -> dict[str, float]:
        """{name: base} of the powers that TensorFlow's optimizer keeps as variables."""
        return {"beta1_power": self.beta_1, "beta2_power": self.beta_2} if self.name == "adam" else {}

    def step(self, weight, gradient, slots, rate, powers):
        """The weights after one step, and their slots. slots: tuple in the order of `slots`; powers: {name: scalar}."""
        return KINDS[self.name].step(self, weight, gradient, slots, rate, powers)


# ---- one function for each rule --------------------------------------------------------------------------------------


def _sgd(settings, weight, gradient, slots, rate, powers):
    return weight - rate * gradient, ()


def _momentum(settings, weight, gradient, slots, rate, powers):
    velocity = slots[0] * settings.momentum + gradient
    if settings.nesterov:
        return weight - (gradient * rate + velocity * settings.momentum * rate), (velocity,)
    return weight - rate * velocity, (velocity,)


def _adam(settings, weight, gradient, slots, rate, powers):
    mean, square = slots
    alpha = rate * tf.sqrt(1 - powers["beta2_power"]) / (1 - powers["beta1_power"])
    mean += (gradient - mean) * (1 - settings.beta_1)
    square += (gradient * gradient - square) * (1 - settings.beta_2)
    return weight - mean * alpha / (tf.sqrt(square) + settings.epsilon), (mean, square)


def _rmsprop(settings, weight, gradient, slots, rate, powers):
    """With TensorFlow's defaults: decay 0.9, no momentum, epsilon 1e-10."""
    square = slots[0] + (gradient * gradient - slots[0]) * (1 - 0.9)
    change = rate * gradient * tf.math.rsqrt(square + 1e-10)
    return weight - change, (square, change)


def _adagrad(settings, weight, gradient, slots, rate, powers):
    total = slots[0] + gradient * gradient
    return weight - rate * gradient * tf.math.rsqrt(total), (total,)


def _adadelta(settings, weight, gradient, slots, rate, powers):
    """With TensorFlow's defaults: rho 0.95, epsilon 1e-8."""
    square, changes = slots
    square = square * 0.95 + gradient * gradient * (1 - 0.95)
    change = tf.sqrt(changes + 1e-8) * tf.math.rsqrt(square + 1e-8) * gradient
    return weight - rate * change, (square, changes * 0.95 + change * change * (1 - 0.95))


class Kind(NamedTuple):
    """An optimizer's rule. step: on tensors; slots: names of TensorFlow's slots for each weight; of_tensorflow:
    (settings, learning rate, dtype) -> TensorFlow's optimizer."""

    step: Callable
    slots: tuple[str, ...]
    of_tensorflow: Callable


def _plain(optimizer):
    return lambda settings, rate, dtype: optimizer(rate)


def _adam_of_tensorflow(settings, rate, dtype):
    """TensorFlow's Adam. Its powers take the type of the betas, so these are tensors of type `dtype`."""
    betas = (tf.constant(each, dtype) for each in (settings.beta_1, settings.beta_2))
    return tf1.train.AdamOptimizer(rate, *betas, settings.epsilon)


def _momentum_of_tensorflow(settings, rate, dtype):
    return tf1.train.MomentumOptimizer(rate, settings.momentum, use_nesterov=settings.nesterov)


KINDS = {
    "sgd": Kind(_sgd, (), _plain(tf1.train.GradientDescentOptimizer)),
    "momentum": Kind(_momentum, ("momentum",), _momentum_of_tensorflow),
    "adam": Kind(_adam, ("m", "v"), _adam_of_tensorflow),
    "rmsprop": Kind(_rmsprop, ("rms", "momentum"), _plain(tf1.train.RMSPropOptimizer)),
    "adagrad": Kind(_adagrad, ("accumulator",), _plain(tf1.train.AdagradOptimizer)),
    "adadelta": Kind(_adadelta, ("accum", "accum_update"), _plain(tf1.train.AdadeltaOptimizer)),
}


def clipped(gradient, norm, most):
    """A packed gradient of global norm `norm`, scaled down to a norm of at most `most`; NaN if its norm is infinite."""
    factor = most * tf.minimum(1 / norm, 1 / most) + (norm - norm)
    return [part * factor for part in gradient]


# ---- schedules -------------------------------------------------------------------------------------------------------

STEPPED = ("step", "exponential", "cosine")  # schedules that have a number of steps
FACTORED = ("step", "exponential", "adaptive")  # ... and a factor


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes: with the steps, or after an epoch.

    name: one of `fcclf.settings.config.SCHEDULES`. steps, factor: used by those in STEPPED and FACTORED.
    """

    name: str = "constant"
    steps: int = 1
    factor: float = 1.0

    def rate(self, initial, step):
        """The rate of a step, a scalar. initial: the kept rate, a scalar; step: int64 scalar."""
        if self.name == "cosine":
            return tf1.train.cosine_decay(initial, step, self.steps)
        if self.name in ("step", "exponential"):
            return tf1.train.exponential_decay(initial, step, self.steps, self.factor, staircase=self.name == "step")
        return initial

    def after_epoch(self, kept, exhausted, given) -> "Rated":
        """The `Rated` after an epoch. kept: the kept rate. exhausted: bool, patience has run out. given: `Given`."""
        if self.name == "invscaling":
            return Rated(given.initial / tf.cast(given.samples + 1, kept.dtype) ** given.power_t, exhausted, None)
        if self.name == "adaptive":
            slowed = tf.logical_and(exhausted, kept > SLOWEST_RATE)
            rate = tf.where(slowed, kept * self.factor, kept)
            return Rated(rate, tf.logical_and(exhausted, kept <= SLOWEST_RATE), slowed)
        return Rated(kept, exhausted, None)


class Given(NamedTuple):
    """What the kept rate depends on. initial, power_t: float; samples: int64, number of samples trained on so far."""

    initial: tf.Tensor
    power_t: tf.Tensor
    samples: tf.Tensor


class Rated(NamedTuple):
    """What an epoch does to the learning rate. rate: float, the kept rate of the next epoch. stopped: bool, training
    ends. slowed: bool, patience begins again; or None."""

    rate: tf.Tensor
    stopped: tf.Tensor
    slowed: tf.Tensor | None
