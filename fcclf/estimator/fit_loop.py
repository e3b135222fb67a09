"""The epoch loop of an estimator's fit: the network and the steps of a run, with scikit-learn's rules around them.

What a grid search varies (learning rate, penalties, dropout, tolerance) is fed, as `Dials`: one compiled program serves
all its values. Whether to stop is decided in the graph, so a fit ends after the same epoch however its epochs are cut
into stretches.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from fcclf.learning.epoch_loop import EVALUATION_BATCH, batches_per_epoch, in_batches, window
from fcclf.network.layers import Phase, network_variables
from fcclf.network.network import correct, cross_entropy, inference

tf1 = tf.compat.v1

SLOWEST_RATE = 1e-6  # below it the adaptive schedule ends the fit
BEST = "fit/best/"  # before the names of the best weights
ADAPTIVE_FACTOR = 5  # by which that schedule divides the learning rate


class Dials(NamedTuple):
    """Settings that are fed: float32 scalars, but for seed, int32, n_iter_no_change and t, int64. Named as the
    parameters of `FCClassifier`; l1 may be None, no such penalty. t: samples trained on before this stretch."""

    seed: tf.Tensor
    learning_rate_init: tf.Tensor
    power_t: tf.Tensor
    alpha: tf.Tensor
    l1: tf.Tensor | None
    l2: tf.Tensor
    dropout: tf.Tensor
    tol: tf.Tensor
    n_iter_no_change: tf.Tensor
    t: tf.Tensor


class FitState(NamedTuple):
    """What a fit keeps besides weights and slots. global_step: int64, batches trained on; learning_rate: float32;
    loss_sum: float32, over the samples of the unfinished epoch; best: float32, the highest validation score or,
    negated, the lowest loss; wait: int64, epochs since it rose by `tol`; best_weights: with validation data, those of
    the highest score, in the order of `layers.network_variables`."""

    global_step: tf.Variable
    learning_rate: tf.Variable
    loss_sum: tf.Variable
    best: tf.Variable
    wait: tf.Variable
    best_weights: list[tf.Variable]


def metric_names(early_stopping: bool) -> tuple[str, ...]:
    """Names of the metrics of an epoch: the loss with its penalties, the learning rate, the epochs without improvement
    and, with validation data, the score."""
    return ("train_total", "learning_rate", "wait", *(["validation_accuracy"] if early_stopping else []))


def dials() -> Dials:
    """The placeholders, in the current graph."""
    types = {"seed": tf.int32, "n_iter_no_change": tf.int64, "t": tf.int64}
    with tf1.name_scope("dials"):
        return Dials(*(tf1.placeholder(types.get(name, tf.float32), (), name) for name in Dials._fields))


def fit_state(early_stopping: bool) -> FitState:
    """The beginning of a fit, in the current graph, whose network must be there."""
    weights = network_variables() if early_stopping else []
    with tf1.variable_scope("fit"):
        return FitState(
            global_step=_variable("global_step", tf.int64),
            learning_rate=_variable("learning_rate"),
            loss_sum=_variable("loss_sum"),
            best=_variable("best", value=tf.float32.min),
            wait=_variable("wait", tf.int64),
            best_weights=[_variable(f"best/{each.op.name}", shape=each.shape) for each in weights],
        )


def _variable(name, dtype=tf.float32, value=0, shape=()):
    return tf1.get_variable(name, shape, dtype, initializer=tf1.constant_initializer(value), trainable=False)


class FitEpochs:
    """The body of the loop. The methods are its levels: run -> epoch -> batch, and finish at an epoch's end.

    Training arrays: X, y and, where they are given, the weights of the samples. Held-out arrays: none, or X, y and
    weights of the validation data. Metrics: those of `metric_names`.
    """

    def __init__(self, network, optimizer, state: FitState, dials: Dials, schedule, batch_size, fused):
        self.network, self.optimizer, self.state, self.dials = network, optimizer, state, dials
        self.schedule, self.batch_size, self.fused = schedule, batch_size, fused

    def run(self, train, held_out, order, n_epochs):
        """Trains for n_epochs rows of order, int32 [most epochs, samples], or until the fit stops.

        Returns metrics, float32 [most epochs, metrics]; how many epochs those are; whether the fit is over.
        """

        def epoch(row, stopped, metrics):
            trained = self.epoch(train, order[row])
            with tf.control_dependencies([trained]):
                values, stopped = self.finish(row, order.shape[1], *held_out)
            return row + 1, stopped, tf.tensor_scatter_nd_update(metrics, [[row]], [values])

        n_epochs, stopped, metrics = tf.while_loop(
            lambda row, stopped, _: tf.logical_and(row < n_epochs, tf.logical_not(stopped)),
            epoch,
            (0, False, tf.zeros((order.shape[0], len(metric_names(bool(held_out)))))),
        )
        return metrics, n_epochs, stopped

    def epoch(self, train, order):
        """Trains on all batches; the returned tensor is there once they are done."""
        n_batches = batches_per_epoch(order.shape.num_elements(), self.batch_size)
        return in_batches(self.batch, train, order, self.batch_size, 0, n_batches)

    def batch(self, X, y, *weights):
        """One training step. weights: of the samples, if there are any, and those that `window` gives the batch."""
        *given, counted = weights
        size = float(self.batch_size) if counted is None else tf.reduce_sum(counted)
        weights = _product([*given, counted])
        mass = size if weights is None else tf.reduce_sum(weights)
        phase = Phase(self.state.global_step.read_value(), weights, updates=[])
        losses = cross_entropy(inference(X, self.network, self.fused, phase)["output"], y)
        data = tf.reduce_sum(losses if weights is None else losses * weights)
        total = _divided(data, mass) + self.penalty(mass)
        train_op = self.optimizer.minimize(total, self.state.global_step)
        return [train_op, *phase.updates, self.state.loss_sum.assign_add(total * size)]

    def penalty(self, mass):
        """l1 * sum(|kernels|) + (l2 + alpha / mass) / 2 * sum(kernels^2); mass: weight of the batch."""
        kernels = [each for each in tf1.trainable_variables() if each.op.name.endswith("/kernel")]
        squares = tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
        l2 = (self.dials.l2 + _divided(self.dials.alpha, mass)) * squares
        if self.dials.l1 is None:
            return l2
        return l2 + self.dials.l1 * tf.add_n([tf.reduce_sum(tf.abs(kernel)) for kernel in kernels])

    def finish(self, row, n_train, *held_out):
        """Ends epoch `row` of the stretch. Returns its metrics, float32 [metrics], and whether to stop, bool."""
        loss, rate = self.state.loss_sum / n_train, self.state.learning_rate.read_value()
        score = [self.score(*held_out)] if held_out else []
        with tf.control_dependencies([loss, rate, *score]):
            exhausted = self.compare(score[0] if held_out else -loss)
            reset = self.state.loss_sum.assign(0)
        with tf.control_dependencies([exhausted, reset]):
            stopped = self.adapt(exhausted, self.dials.t + tf.cast(row + 1, tf.int64) * n_train)
        with tf.control_dependencies([stopped]):
            return tf.stack([loss, rate, tf.cast(self.state.wait.read_value(), tf.float32), *score]), stopped

    def compare(self, quality):
        """Notes whether this epoch is the best so far; bool: none was better by `tol` for too long."""
        state, best = self.state, self.state.best.read_value()
        waited = tf.where(quality < best + self.dials.tol, state.wait + 1, tf.zeros((), tf.int64))
        kept = [
            each.assign(tf.where(quality > best, weight, each))
            for each, weight in zip(state.best_weights, network_variables() if state.best_weights else [], strict=True)
        ]
        with tf.control_dependencies([waited, *kept]):
            noted = [state.wait.assign(waited), state.best.assign(tf.maximum(best, quality))]
        with tf.control_dependencies(noted):
            return tf.identity(waited > self.dials.n_iter_no_change)

    def adapt(self, exhausted, t):
        """Sets the learning rate of the next epoch; bool: stop. t: samples trained on, int64."""
        rate = self.state.learning_rate
        if self.schedule == "constant":
            return tf.identity(exhausted)
        if self.schedule == "invscaling":
            slower = self.dials.learning_rate_init / tf.cast(t + 1, tf.float32) ** self.dials.power_t
            with tf.control_dependencies([rate.assign(slower)]):
                return tf.identity(exhausted)
        stopped = tf.logical_and(exhausted, rate <= SLOWEST_RATE)
        slowed = tf.logical_and(exhausted, rate > SLOWEST_RATE)
        with tf.control_dependencies([stopped, slowed]):
            wait = self.state.wait.assign(tf.where(slowed, tf.zeros((), tf.int64), self.state.wait))
            adapted = rate.assign(tf.where(slowed, rate / ADAPTIVE_FACTOR, rate))
        with tf.control_dependencies([wait, adapted]):
            return tf.identity(stopped)

    def score(self, X_all, y_all, weights_all):
        """Weighted accuracy, at most EVALUATION_BATCH samples at a time."""
        total = y_all.shape.num_elements()
        size = min(EVALUATION_BATCH, total)

        def batch(number, right):
            first, counted = window(number, size, total)
            X = tf.slice(X_all, [first, 0], [size, X_all.shape[1]])
            y, weights = (tf.slice(each, [first], [size]) for each in (y_all, weights_all))
            weights = _product([weights, counted])
            logits = inference(X, self.network, self.fused)["output"]
            return number + 1, right + tf.reduce_sum(tf.where(correct(logits, y), weights, 0.0))

        n_batches = batches_per_epoch(total, size)
        right = tf.while_loop(lambda number, _: number < n_batches, batch, (0, 0.0))[1]
        return right / tf.reduce_sum(weights_all)


def _divided(value, mass):
    """value / mass; 0 where all samples of a batch weigh nothing."""
    return value / mass if isinstance(mass, float) else tf.math.divide_no_nan(value, mass)


def _product(factors):
    """Of the factors that are not None; None if all are."""
    factors = [each for each in factors if each is not None]
    return functools.reduce(tf.multiply, factors) if factors else None
