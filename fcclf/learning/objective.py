"""What a network is trained for: the loss of its outputs, the score of its answers, and the penalties.

An objective is one of `Classification`, `Multilabel` and `Regression`, which have the same members. label_type(dtype),
label_shape: of the y of one sample, where the network's numbers have type dtype. score: the name of what `scores`
gives, in metrics and curves. averaged: number of outputs that the loss is the mean of, while steps follow their sum.
Losses and scores have the type of the logits.
"""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from fcclf.network.network import class_logits
from fcclf.network.sums import total

tf1 = tf.compat.v1


@dataclass(frozen=True)
class Classification:
    """One class for each sample, by the cross-entropy of the logits.

    Two classes may have one output, the logit of class 1 against 0 for class 0. label_smoothing: the share of each
    label that is spread over all classes in training (Szegedy et al. 2016).
    """

    label_smoothing: float = 0.0

    label_shape: ClassVar[tuple[int, ...]] = ()
    score: ClassVar[str] = "accuracy"
    averaged: ClassVar[int] = 1

    def label_type(self, dtype: str) -> str:
        """The type of class numbers."""
        return "int32"

    def spread(self, y, weights):
        """None: scores are not relative to anything."""

    def losses(self, logits, y, training=False):
        """The loss of each sample, [batch]. logits: [batch, outputs]; y: int32 [batch]."""
        smoothing = self.label_smoothing if training else 0.0
        if logits.shape[1] == 1:
            labels = (1 - smoothing) * tf.cast(y, logits.dtype) + smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits[:, 0])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        if not smoothing:
            return losses
        return (1 - smoothing) * losses - smoothing * tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)

    def scores(self, logits, y, spread=None):
        """The score of each sample, [batch]: 1 if the most probable class is the label, else 0."""
        return tf.cast(tf.equal(self.predictions(logits), y), logits.dtype)

    def predictions(self, logits):
        """The most probable class of each sample, int32 [batch]. logits: [batch, outputs]."""
        return tf.argmax(class_logits(logits), axis=1, output_type=tf.int32)

    def probabilities(self, logits):
        """The probabilities of the classes, [batch, classes]; each row sums to 1."""
        return tf.nn.softmax(class_logits(logits), name="probabilities")


@dataclass(frozen=True)
class Multilabel:
    """Any number of labels for each sample, one output for each label, by the sum of their cross-entropies."""

    outputs: int

    score: ClassVar[str] = "accuracy"
    averaged: ClassVar[int] = 1

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of the y of one sample: 1 for each label that it has, 0 for the others."""
        return (self.outputs,)

    def label_type(self, dtype: str) -> str:
        """The type of ones and zeros."""
        return "int32"

    def spread(self, y, weights):
        """None: scores are not relative to anything."""

    def losses(self, logits, y, training=False):
        """The loss of each sample, [batch]. logits: [batch, outputs]; y: int32 [batch, outputs]."""
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(y, logits.dtype), logits=logits)
        return tf.reduce_sum(losses, axis=1)

    def scores(self, logits, y, spread=None):
        """The score of each sample, [batch]: 1 if all its labels are predicted and no other, else 0."""
        return tf.cast(tf.reduce_all(tf.equal(self.predictions(logits), y), axis=1), logits.dtype)

    def predictions(self, logits):
        """1 for each label that is more probable than not, else 0: int32 [batch, outputs]."""
        return tf.cast(logits > 0, tf.int32)

    def probabilities(self, logits):
        """The probability of each label independently of the others, [batch, outputs]."""
        return tf.sigmoid(logits, name="probabilities")


@dataclass(frozen=True)
class Regression:
    """Numbers for each sample, one for each output.

    loss: "squared_error", half of the square; "poisson", half of the deviance, for numbers of at least 0, where the
    outputs are logarithms; "absolute_error"; "huber", quadratic up to an error of delta and linear beyond (Huber 1964).
    As in `sklearn.neural_network.MLPRegressor`, steps follow the gradient of the sum over the outputs; the value of the
    loss is their mean, except that of "poisson", which is their sum.
    """

    loss: str = "squared_error"
    delta: float = 1.0
    outputs: int = 1

    score: ClassVar[str] = "r2"

    def label_type(self, dtype: str) -> str:
        """The type of the network's outputs."""
        return dtype

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of the y of one sample: a number for each output."""
        return (self.outputs,)

    @property
    def averaged(self) -> int:
        """Number of outputs that the loss is the mean of; 1 if it is their sum."""
        return 1 if self.loss == "poisson" else self.outputs

    def spread(self, y, weights):
        """The variance of each output in a part of the data, [outputs]. weights: [samples] or None."""
        mean = weighted_mean(y, weights)
        return weighted_mean(tf.square(y - mean), weights)

    def losses(self, logits, y, training=False):
        """The loss of each sample, [batch]. logits, y: [batch, outputs]."""
        total = tf.reduce_sum(LOSSES[self.loss](logits, y, self.delta), axis=1)
        return total if self.averaged == 1 else total - tf.stop_gradient(total - total / self.averaged)

    def scores(self, logits, y, spread):
        """The score of each sample, [batch], whose mean over a part is R2, averaged over the outputs. An output whose
        labels are all equal counts 1 if it is predicted exactly, else 0."""
        squares = tf.square(y - self.predictions(logits))
        constant = tf.cast(tf.equal(squares, 0), squares.dtype)
        return tf.reduce_mean(tf.where(spread > 0, 1 - tf.math.divide_no_nan(squares, spread), constant), axis=1)

    def predictions(self, logits):
        """The predicted numbers, [batch, outputs]."""
        return tf.exp(logits) if self.loss == "poisson" else logits

    def probabilities(self, logits):
        """An empty tuple, which `Session.run` accepts: there are no probabilities."""
        return ()


Objective = Classification | Multilabel | Regression


def _squared_error(outputs, y, delta):
    return tf.square(outputs - y) / 2


def _absolute_error(outputs, y, delta):
    return tf.abs(outputs - y)


def _huber(outputs, y, delta):
    error = tf.abs(outputs - y)
    return tf.where(error <= delta, error * error / 2, delta * (error - delta / 2))


def _poisson(outputs, y, delta):
    return tf.exp(outputs) - y * outputs + tf.math.xlogy(y, y) - y


LOSSES = {
    "squared_error": _squared_error,
    "absolute_error": _absolute_error,
    "huber": _huber,
    "poisson": _poisson,
}


class Penalty:
    """The penalties on the kernels: l1 * sum(|W|) + (l2 + alpha / weight) / 2 * sum(W^2), each kernel with its own l1
    and l2.

    They are computed on packed weights: `l1` and `l2` hold a number for each weight, 0 for weights outside kernels, or
    are None if no kernel has such a penalty; `alpha` holds the same number for every weight of a kernel.
    """

    def __init__(self, packing, dtype: str, compiled: bool, l1: dict | None, l2: dict | None, alpha: dict | None):
        """packing: of the trained variables, whose type is dtype. compiled: by XLA. l1, l2, alpha: {kernel name:
        scalar}."""
        self.compiled = compiled
        self.l1, self.l2, self.alpha = (
            None if each is None else packing.spread({name: each.get(name, 0.0) for name in packing.names}, dtype)
            for each in (l1, l2, alpha)
        )

    def value_and_gradient(self, weights, weight):
        """The penalty, a scalar, and its gradient, packed like `weights`. weight: total weight of the batch, for
        alpha."""
        value, gradient = tf.zeros((), weights[0].dtype), [None] * len(weights)
        for number, part in enumerate(weights):
            squares = self._squares(number, weight)
            if squares is not None:
                gradient[number] = squares * part
                value += total(gradient[number] * part, self.compiled) / 2
            if self.l1 is not None:
                value += total(self.l1[number] * tf.abs(part), self.compiled)
                gradient[number] = _sum(gradient[number], self.l1[number] * tf.sign(part))
        return value, gradient

    def _squares(self, number, weight):
        """The factors of W^2 / 2 in one part of the packed weights; None if there are none."""
        l2 = None if self.l2 is None else self.l2[number]
        return l2 if self.alpha is None else _sum(l2, divided(self.alpha[number], weight))


def _sum(one, other):
    """The sum of two tensors, the first of which may be None."""
    return other if one is None else one + other


def weighted_mean(values, weights):
    """Mean of values, [batch, ...], over the batch; weights: [batch], or None if all samples count the same."""
    if weights is None:
        return tf.reduce_mean(values, axis=0)
    weights = tf.reshape(weights, [-1] + [1] * (len(values.shape) - 1))
    return divided(tf.reduce_sum(values * weights, axis=0), tf.reduce_sum(weights))


def divided(value, weight):
    """value / weight, or 0 where all samples of a batch have weight 0."""
    return value / weight if isinstance(weight, float) else tf.math.divide_no_nan(value, weight)
