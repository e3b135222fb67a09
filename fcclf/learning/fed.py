"""The graph as tutorials of TensorFlow 1 teach it: inference -> loss -> training -> evaluation of fed samples.

The loop does the same on its own tensors, without a call for each batch. This graph exists to be read, to be drawn in
TensorBoard, and to be compared with the loop in the tests.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.learning.objective import weighted_mean
from fcclf.learning.plan import Hyperparameters, Plan
from fcclf.learning.state import Storage
from fcclf.network.layers import Context, Phase
from fcclf.network.network import Network, inference

tf1 = tf.compat.v1


class Loss(NamedTuple):
    """Scalars. data: mean loss of the samples; penalty: of all kernels; total: their sum, which is minimised."""

    data: tf.Tensor
    penalty: tf.Tensor
    total: tf.Tensor


class Evaluation(NamedTuple):
    """Measurements of the network, in prediction, on the fed samples.

    loss, score: scalars. predictions: as the objective gives them. probabilities: [batch, classes], of a
    classification. summaries: a serialized Summary of loss and score.
    """

    loss: tf.Tensor
    score: tf.Tensor
    predictions: tf.Tensor
    probabilities: tf.Tensor | tuple
    summaries: tf.Tensor


class FedStep(NamedTuple):
    """The only handle to the tensors: `Session.run` takes any part of it and returns that part filled with numbers.

    X: [batch, features]; y: [batch]; given: placeholders of the hyperparameters; loss: in training.
    """

    X: tf.Tensor
    y: tf.Tensor
    given: Hyperparameters
    loss: Loss
    train_op: tf.Operation
    evaluation: Evaluation

    def feed(self, given: Hyperparameters, X, y) -> dict:
        """The feed_dict of a training step or an evaluation."""
        return {self.X: X, self.y: y, **dict(zip(self.given, given, strict=True))}


def build(plan: Plan, network: Network, storage: Storage, given: Hyperparameters, X, logits) -> FedStep:
    """Adds what follows inference to the current graph. given: placeholders; X: placeholder, [batch, features]; logits:
    of X in prediction."""
    with tf1.name_scope("input/"):
        y = tf1.placeholder(plan.objective.label_type(plan.dtype), (None, *plan.objective.label_shape), "y")
    answered, updates = logits, {}
    if network.phased:
        with tf1.name_scope("train/"):
            phase = Phase(storage.global_step.read_value(), None, updates)
        dropout = given.dropout if plan.fed_dropout else None
        context = Context(network.variables, given.seed, False, phase, dropout)
        with tf1.name_scope("in-training"):
            answered = inference(X, network, context)["output"]
    trained = loss(plan, network, given, answered, y)
    train_op = training(plan, network, storage, trained.total, updates)
    return FedStep(X, y, given, trained, train_op, evaluation(plan, logits, y))


def loss(plan: Plan, network: Network, given: Hyperparameters, logits, y) -> Loss:
    """The mean loss of the samples, and the penalties of the kernels."""
    with tf1.name_scope("loss"):
        data = weighted_mean(plan.objective.losses(logits, y, training=True), None)
        alpha = given.alpha / tf.cast(tf.shape(y)[0], plan.dtype) if plan.alpha else 0.0
        penalty = tf.zeros((), plan.dtype)
        for number, name in enumerate(plan.kernels):
            kernel = network.trained[name]
            penalty += (given.l2[number] + alpha) * tf.nn.l2_loss(kernel)
            penalty += given.l1[number] * tf.reduce_sum(tf.abs(kernel))
        return Loss(data, penalty, total=data + penalty)


def training(plan: Plan, network: Network, storage: Storage, total_loss, updates) -> tf.Operation:
    """One step of TensorFlow's optimizer down the gradient of `total_loss`. updates: {statistic: its new value}."""
    with tf1.name_scope("train/"):  # the scope of the optimizer's variables
        gradients, variables = zip(*storage.optimizer.compute_gradients(total_loss), strict=True)
        if plan.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, plan.clip_norm)
        step = storage.optimizer.apply_gradients(zip(gradients, variables, strict=True), storage.global_step)
        return tf.group(step, *(network.statistics[name].assign(value) for name, value in updates.items()))


def evaluation(plan: Plan, logits, y) -> Evaluation:
    """Loss, score, predictions and probabilities of the fed samples."""
    objective = plan.objective
    with tf1.name_scope("eval"):
        measured = tf.reduce_mean(objective.losses(logits, y))
        score = tf.reduce_mean(objective.scores(logits, y, objective.spread(y, None)))
        return Evaluation(
            loss=measured,
            score=score,
            predictions=tf.identity(objective.predictions(logits), name="predictions"),
            probabilities=objective.probabilities(logits),
            summaries=tf1.summary.merge(
                [tf1.summary.scalar("loss", measured), tf1.summary.scalar(objective.score, score)], name="summaries"
            ),
        )
