"""The network and what is done with it, in four steps: inference -> loss -> training -> evaluation.

Tensors in, tensors out. One definition serves the fed step, the epoch loop and prediction: the layers share their
variables by name, however often a step is built.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.config import Config
from fcclf.layers import Dense

tf1 = tf.compat.v1


class Network(NamedTuple):
    """The layers of a model under their names, with the seed of their initial values."""

    layers: dict[str, Dense]
    seed: tf.Tensor


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


def inference(X, network: Network, fused=False) -> dict:
    """{layer name: its outputs, float32 [batch, units]} of X, float32 [batch, features]; "output" has the logits."""
    outputs, *hidden, last = {}, *network.layers
    with tf1.name_scope("full-connect-layer"):
        for index, name in enumerate(hidden):
            X = outputs[name] = network.layers[name](X, name, seed=(network.seed, index), fused=fused)
    outputs[last] = network.layers[last](X, last, seed=(network.seed, len(hidden)), fused=fused)
    return outputs


def loss(logits, y, network: Network, weights=None) -> Loss:
    """Mean cross-entropy of logits, float32 [batch, classes], against y, int32 [batch], and the penalties.

    weights: float32 [batch], or None where every sample counts the same.
    """
    with tf1.name_scope("loss"):
        losses = cross_entropy(logits, y)
        data = tf.reduce_mean(losses) if weights is None else _weighted_mean(losses, weights)
        penalties = penalty(network)
        return Loss(data, penalties, total=data + penalties)


def penalty(network: Network):
    """The penalties of all layers together: float32 scalar."""
    return tf.add_n([layer.penalty(name) for name, layer in network.layers.items()])


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
            predictions=tf.argmax(logits, axis=1, output_type=tf.int32, name="predictions"),
            probabilities=tf.nn.softmax(logits, name="probabilities"),
            summaries=tf1.summary.merge([*scalars, histograms], name="summaries"),
        )


def network(config: Config, n_classes: int) -> Network:
    """The layers that `config.model` describes."""
    model = config.model
    penalties = {"l1": model.l1, "l2": model.l2}
    layers = {
        f"fc{number}": Dense(units, model.activation, model.initializer, **penalties)
        for number, units in enumerate(model.hidden, start=1)
    }
    layers["output"] = Dense(n_classes, "identity", model.initializer, **penalties)
    return Network(layers, seed=tf1.placeholder_with_default(config.training.seed, (), "seed"))


def cross_entropy(logits, y):
    """float32 [batch]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


def correct(logits, y):
    """bool [batch]: the prediction is the label."""
    return tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), y)


def _weighted_mean(values, weights):
    return tf.reduce_sum(values * weights) / tf.reduce_sum(weights)
