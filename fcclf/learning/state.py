"""What training keeps besides the weights and the optimizer's slots: where it stands, and the best epoch so far.

All of it is variables of the graph, so that one Saver file holds everything that must survive a crash.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.network.layers import network_variables
from fcclf.settings.config import Training

tf1 = tf.compat.v1


class State(NamedTuple):
    """Where training stands. global_step: int64, batches trained on; epoch: int64, epochs finished;
    learning_rate: float32; loss_sum: float32 and correct_sum: int32, over the samples of the unfinished epoch;
    gradient_norm_sum: float32, over its batches; epoch_start: the trained variables as they were when it began."""

    global_step: tf.Variable
    epoch: tf.Variable
    learning_rate: tf.Variable
    loss_sum: tf.Variable
    correct_sum: tf.Variable
    gradient_norm_sum: tf.Variable
    epoch_start: list[tf.Variable]


class Best(NamedTuple):
    """Early stopping. loss: float32, the lowest validation loss; epoch: int64, after which it was; wait: int64, epochs
    since then; stopped: bool; weights: those of that epoch, statistics included, in the order of
    `layers.network_variables`; saver: saves them under the names of those; restore: gives them to the network."""

    loss: tf.Variable
    epoch: tf.Variable
    wait: tf.Variable
    stopped: tf.Variable
    weights: list[tf.Variable]
    saver: tf1.train.Saver
    restore: tf.Operation


def state(learning_rate: float) -> State:
    """The beginning of a run, made in the current graph, whose trained variables must be there."""
    weights = tf1.trainable_variables()
    global_step = tf1.train.get_or_create_global_step()
    with tf1.variable_scope("state"):
        return State(
            global_step=global_step,
            epoch=_counter("epoch", tf.int64),
            learning_rate=_counter("learning_rate", tf.float32, learning_rate),
            loss_sum=_counter("loss_sum", tf.float32),
            correct_sum=_counter("correct_sum", tf.int32),
            gradient_norm_sum=_counter("gradient_norm_sum", tf.float32),
            epoch_start=_copies("epoch_start", weights),
        )


def learning_rate(training: Training, state: State):
    """float32 scalar: the learning rate of the next step, by the schedule."""
    rate, step, steps = state.learning_rate.read_value(), state.global_step.read_value(), training.decay_steps
    if training.schedule == "constant":
        return rate
    if training.schedule == "cosine":
        return tf1.train.cosine_decay(rate, step, steps)
    return tf1.train.exponential_decay(rate, step, steps, training.decay_rate, staircase=training.schedule == "step")


def best() -> Best:
    """No epoch yet; made in the current graph, whose network must be there."""
    weights = network_variables()
    kept = _copies("best", weights)
    with tf1.variable_scope("best"):
        return Best(
            loss=_counter("loss", tf.float32, tf.float32.max),
            epoch=_counter("epoch", tf.int64),
            wait=_counter("wait", tf.int64),
            stopped=_counter("stopped", tf.bool, False),
            weights=kept,
            saver=tf1.train.Saver({weight.op.name: best for weight, best in zip(weights, kept, strict=True)}),
            restore=tf.group(*(weight.assign(best) for weight, best in zip(weights, kept, strict=True))),
        )


def _counter(name, dtype, value=0):
    return tf1.get_variable(name, (), dtype, initializer=tf1.constant_initializer(value), trainable=False)


def _copies(scope, variables):
    """Variables like the given ones, with the same names in a scope of their own; zero at first."""
    with tf1.variable_scope(scope):
        return [tf1.get_variable(each.op.name, initializer=tf.zeros(each.shape), trainable=False) for each in variables]
