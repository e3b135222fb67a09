"""The graph of a run: inference -> loss -> training -> evaluation, and the epoch loop over the same pieces.

`build` returns a `Graph`, a tree of named tuples and the only handle to its tensors: `Session.run` takes any part of it
and gives back the same part filled with numbers. Every graph lives in its own `tf.Graph`; nothing global is touched.

Everything that must survive a crash is a variable of the graph (`Graph.state`, the weights, the optimizer's slots), so
one Saver file holds it all. Randomness is stateless: initial weights are a function of the seed, the order of an epoch
is fed.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.learning import epoch_loop
from fcclf.learning.epoch_loop import EpochLoop
from fcclf.learning.state import Best, State, best, learning_rate, state
from fcclf.network.layers import Phase
from fcclf.network.network import Evaluation, Loss, class_logits, evaluation, inference, loss, network_for, training
from fcclf.settings.config import Config

tf1 = tf.compat.v1

OPTIMIZERS = {
    "adam": tf1.train.AdamOptimizer,
    "sgd": tf1.train.GradientDescentOptimizer,
    "momentum": lambda learning_rate: tf1.train.MomentumOptimizer(learning_rate, momentum=0.9),
    "nesterov": lambda learning_rate: tf1.train.MomentumOptimizer(learning_rate, momentum=0.9, use_nesterov=True),
    "rmsprop": tf1.train.RMSPropOptimizer,
    "adagrad": tf1.train.AdagradOptimizer,
    "adadelta": tf1.train.AdadeltaOptimizer,
}


class Inputs(NamedTuple):
    """Placeholders of the fed graph. X: float32 [batch, features]; y: int32 [batch], class numbers."""

    X: tf.Tensor
    y: tf.Tensor


class Graph(NamedTuple):
    """A built graph.

    seed: int32 scalar placeholder, of the initial weights and the masks; the configuration's where it is not fed.
    outputs: {layer: float32 [batch, units]}, in prediction; logits, float32 [batch, classes], are those of the last.
    loss: in training. histograms: a serialized Summary of all trained variables, their change since the epoch began,
    and the outputs.
    best: None without early stopping. loop: None where `build` was given no sizes.
    """

    inputs: Inputs
    seed: tf.Tensor
    outputs: dict[str, tf.Tensor]
    logits: tf.Tensor
    loss: Loss
    train_op: tf.Operation
    evaluation: Evaluation
    state: State
    best: Best | None
    loop: EpochLoop | None
    histograms: tf.Tensor
    initializer: tf.Operation
    saver: tf1.train.Saver


def build(config: Config, n_features: int, n_classes: int, sizes: tuple[int, int, int] | None = None) -> Graph:
    """The graph of a run on data of `n_features` columns and `n_classes` classes.

    sizes: numbers of training, validation and test samples, for the epoch loop; None builds the fed graph alone.
    """
    with tf.Graph().as_default(), tf1.variable_scope("", use_resource=True):
        layers = network_for(config, n_features, n_classes)
        with tf1.name_scope("input"):
            X = tf1.placeholder(tf.float32, (None, n_features), name="X")
            y = tf1.placeholder(tf.int32, (None,), name="y")
        outputs = inference(X, layers)
        measured = loss(outputs["output"], y, layers)
        progress = state(config.training.learning_rate)
        losses, updates = _trained_loss(config, layers, Inputs(X, y), progress.global_step) or (measured, [])
        optimizer = OPTIMIZERS[config.training.optimizer](
            learning_rate=lambda: learning_rate(config.training, progress)
        )
        histograms = _histograms(progress.epoch_start, outputs)
        train_op, _ = training(losses.total, optimizer, progress.global_step, config.training.clip_norm)
        kept = best() if config.training.early_stopping else None
        loop = epoch_loop.build(config, layers, optimizer, progress, kept, n_features, sizes) if sizes else None
        return Graph(
            inputs=Inputs(X, y),
            seed=layers.seed,
            outputs=outputs,
            logits=class_logits(outputs["output"]),
            loss=losses,
            train_op=tf.group(train_op, *updates) if updates else train_op,
            evaluation=evaluation(outputs["output"], y, measured.data, histograms),
            state=progress,
            best=kept,
            loop=loop,
            histograms=histograms,
            initializer=tf1.global_variables_initializer(),
            saver=tf1.train.Saver(max_to_keep=None),
        )


def _trained_loss(config, network, inputs, step):
    """The loss in training and what each step must run besides, or None where it is the same as in prediction."""
    smoothing = config.training.label_smoothing
    if not network.phased and not smoothing:
        return None
    phase = Phase(step.read_value(), None, updates=[])
    logits = inference(inputs.X, network, phase=phase)["output"]
    return loss(logits, inputs.y, network, smoothing=smoothing), phase.updates


def _histograms(epoch_start, outputs):
    """Of every trained variable, its change since the epoch began, and every layer's outputs."""
    variables, histogram = tf1.trainable_variables(), tf1.summary.histogram
    with tf1.name_scope("variables"):
        values = [histogram(variable.op.name, variable) for variable in variables]
    with tf1.name_scope("updates"):
        starts = zip(variables, epoch_start, strict=True)
        updates = [histogram(variable.op.name, variable - start) for variable, start in starts]
    with tf1.name_scope("outputs"):
        activations = [histogram(f"{name}/activation", tensor) for name, tensor in outputs.items()]
        return tf1.summary.merge([*values, *updates, *activations])
