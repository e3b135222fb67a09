"""The network and what is done with it, in four steps: inference -> loss -> training -> evaluation.

Tensors in, tensors out. One definition serves the fed step, the epoch loop and prediction: the layers share their
variables by name, however often a step is built.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.network import layers
from fcclf.network.layers import Context, Phase
from fcclf.settings.blocks import Block, Conv2D, Dense
from fcclf.settings.config import Config

tf1 = tf.compat.v1


class Network(NamedTuple):
    """The blocks of a model under their names, with the seed of their initial values and masks.

    phased: some block does another thing in training than in prediction. dropout: as in `layers.Context`.
    """

    layers: dict[str, Block]
    seed: tf.Tensor
    phased: bool
    dropout: tf.Tensor | float | None = None


class Loss(NamedTuple):
    """float32 scalars. data: mean cross-entropy; penalty: L1 and L2 of all kernels; total: what is trained on."""

    data: tf.Tensor
    penalty: tf.Tensor
    total: tf.Tensor


class Evaluation(NamedTuple):
    """On the fed `Inputs`. loss, accuracy: float32 scalars; predictions: int32 [batch];
    probabilities: float32 [batch, classes]; summaries: a serialized Summary of loss, accuracy and all variables."""

    loss: tf.Tensor
    accuracy: tf.Tensor
    predictions: tf.Tensor
    probabilities: tf.Tensor
    summaries: tf.Tensor


def inference(X, network: Network, fused=False, phase: Phase | None = None) -> dict:
    """{layer name: its outputs, float32 [batch, ...]} of X, float32 [batch, features]; "output" has the logits.

    fused: the graph will be compiled. phase: of training; None to predict.
    """
    outputs, *hidden, last = {}, *network.layers
    context = Context(network.seed, fused, phase, network.dropout)
    with tf1.name_scope("full-connect-layer"):
        for number, name in enumerate(hidden):
            X = outputs[name] = layers.call(network.layers[name], X, name, number, context)
    outputs[last] = layers.call(network.layers[last], X, last, len(hidden), context)
    return outputs


def loss(logits, y, network: Network, weights=None, smoothing=0.0) -> Loss:
    """Mean cross-entropy of logits, float32 [batch, outputs], against y, int32 [batch], and the penalties.

    weights: float32 [batch], or None where every sample counts the same. smoothing: share of each label that is spread
    over all classes (Szegedy et al. 2016).
    """
    with tf1.name_scope("loss"):
        losses = cross_entropy(logits, y, smoothing)
        data = tf.reduce_mean(losses) if weights is None else _weighted_mean(losses, weights)
        penalties = penalty(network)
        return Loss(data, penalties, total=data + penalties)


def penalty(network: Network):
    """The penalties of all layers together: float32 scalar."""
    weighted = {name: block for name, block in network.layers.items() if isinstance(block, Dense | Conv2D)}
    return tf.add_n([layers.penalty(block, name) for name, block in weighted.items()])


def training(total_loss, optimizer, global_step, clip_norm):
    """The operation that takes one step down the gradient of `total_loss` and counts it in `global_step`, and the
    norm of that gradient before it is clipped: float32 scalar."""
    with tf1.name_scope("train"):
        gradients, variables = zip(*optimizer.compute_gradients(total_loss), strict=True)
        norm = tf.linalg.global_norm(gradients)
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
        return optimizer.apply_gradients(zip(gradients, variables, strict=True), global_step=global_step), norm


def evaluation(logits, y, data_loss, histograms) -> Evaluation:
    """Loss, accuracy, predictions, probabilities and summaries of a fed batch."""
    with tf1.name_scope("eval"):
        accuracy = tf.reduce_mean(tf.cast(correct(logits, y), tf.float32))
        scalars = [tf1.summary.scalar("loss", data_loss), tf1.summary.scalar("accuracy", accuracy)]
        return Evaluation(
            loss=data_loss,
            accuracy=accuracy,
            predictions=tf.argmax(class_logits(logits), axis=1, output_type=tf.int32, name="predictions"),
            probabilities=tf.nn.softmax(class_logits(logits), name="probabilities"),
            summaries=tf1.summary.merge([*scalars, histograms], name="summaries"),
        )


def network_for(config: Config, n_features: int, n_classes: int) -> Network:
    """The network that `config` describes. Raises ConfigError if it does not fit the data."""
    named = config.layers(n_features, n_classes)
    phased = any(isinstance(block, layers.PHASED) for block in named.values())
    return Network(named, tf1.placeholder_with_default(config.training.seed, (), "seed"), phased)


def class_logits(logits):
    """float32 [batch, classes]. A single output is that of class 1 against 0 for class 0, which makes the softmax of
    the two a sigmoid."""
    return logits if logits.shape[1] > 1 else tf.concat([tf.zeros_like(logits), logits], axis=1)


def cross_entropy(logits, y, smoothing=0.0):
    """float32 [batch]: softmax cross-entropy, or sigmoid cross-entropy where there is one output for two classes."""
    if logits.shape[1] == 1:
        labels = (1 - smoothing) * tf.cast(y, tf.float32) + smoothing / 2
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits[:, 0])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
    if not smoothing:
        return losses
    return (1 - smoothing) * losses - smoothing * tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)


def correct(logits, y):
    """bool [batch]: the prediction is the label."""
    return tf.equal(tf.argmax(class_logits(logits), axis=1, output_type=tf.int32), y)


def _weighted_mean(values, weights):
    return tf.reduce_sum(values * weights) / tf.reduce_sum(weights)
