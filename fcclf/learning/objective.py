"""What a network is trained for: the loss of its outputs, the score that counts right answers, and the penalties."""

from dataclasses import dataclass

import tensorflow as tf

from fcclf.network.network import class_logits

tf1 = tf.compat.v1


@dataclass(frozen=True)
class Classification:
    """One class for each sample, by the cross-entropy of the logits.

    Two classes may have one output, the logit of class 1 against 0 for class 0. label_smoothing: share of each label
    that is spread over all classes in training (Szegedy et al. 2016).
    """

    label_smoothing: float = 0.0

    label_type = tf.int32  # class numbers

    def losses(self, logits, y, smoothing: float = 0.0):
        """The loss of each sample, float32 [batch]. logits: float32 [batch, outputs]; y: int32 [batch]."""
        if logits.shape[1] == 1:
            labels = (1 - smoothing) * tf.cast(y, tf.float32) + smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits[:, 0])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        if not smoothing:
            return losses
        return (1 - smoothing) * losses - smoothing * tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)

    def scores(self, logits, y):
        """The score of each sample, float32 [batch]: 1 if the most probable class is the label, else 0."""
        return tf.cast(tf.equal(self.predictions(logits), y), tf.float32)

    def predictions(self, logits):
        """The most probable class of each sample, int32 [batch]. logits: float32 [batch, outputs]."""
        return tf.argmax(class_logits(logits), axis=1, output_type=tf.int32)


class Penalty:
    """The penalties on the kernels: l1 * sum(|W|) + (l2 + alpha / weight) / 2 * sum(W^2), each kernel with its own l1
    and l2.

    They are computed on packed weights: `l1` and `l2` hold a number for each weight, 0 where it is no kernel's, or are
    None where no kernel has such a penalty; `alpha` holds the same number for every kernel's weight.
    """

    def __init__(self, packing, l1: dict | None, l2: dict | None, alpha: dict | None):
        """packing: of the trained variables. l1, l2, alpha: {kernel name: float32 scalar}."""
        self.l1, self.l2, self.alpha = (
            None if each is None else packing.spread({name: each.get(name, 0.0) for name in packing.names})
            for each in (l1, l2, alpha)
        )

    def value_and_gradient(self, weights, weight):
        """The penalty, float32 scalar, and its gradient, packed as `weights` are. weight: of the batch, for alpha."""
        value, gradient = tf.zeros(()), [None] * len(weights)
        for number, part in enumerate(weights):
            squares = self._squares(number, weight)
            if squares is not None:
                gradient[number] = squares * part
                value += tf.reduce_sum(gradient[number] * part) / 2
            if self.l1 is not None:
                value += tf.reduce_sum(self.l1[number] * tf.abs(part))
                gradient[number] = _sum(gradient[number], self.l1[number] * tf.sign(part))
        return value, gradient

    def _squares(self, number, weight):
        """The factors of half the squares in one part of the packed weights; None if there are none."""
        l2 = None if self.l2 is None else self.l2[number]
        return l2 if self.alpha is None else _sum(l2, divided(self.alpha[number], weight))


def _sum(one, other):
    """The sum of two tensors, the first of which may be None."""
    return other if one is None else one + other


def weighted_mean(values, weights):
    """Mean of values, float32 [batch]; weights: float32 [batch], or None where all count the same."""
    if weights is None:
        return tf.reduce_mean(values)
    return divided(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def divided(value, weight):
    """value / weight, or 0 where all samples of a batch have weight 0."""
    return value / weight if isinstance(weight, float) else tf.math.divide_no_nan(value, weight)
