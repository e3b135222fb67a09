"""The epoch loop: one `Session.run` does what a fed loop does in thousands.

It runs whole epochs, or parts of them, and returns each finished epoch's metrics as vectors. It may begin and end at
any batch; where it is cut changes no bit of the result. Compiled by XLA it takes 1/45 of the time of a fed loop on
small nets.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.learning.state import Best, State, learning_rate
from fcclf.network.layers import Phase, network_variables
from fcclf.network.network import correct, inference, loss, penalty, training
from fcclf.settings.blocks import Conv2D
from fcclf.settings.config import Config, Training

tf1 = tf.compat.v1

MOST_EPOCHS_PER_RUN = 64  # rows of the fed order, at most
MOST_SAMPLES_PER_RUN = 2_000_000  # entries of the fed order, at most (but one epoch always fits)
EVALUATION_BATCH = 4096  # test samples evaluated at once; bounds the memory of a large test part


class EpochResults(NamedTuple):
    """metrics: {name: float32 [most epochs]}, of `metric_names`; the rows of epochs that did not end are zero.
    global_step: int64, where the stretch ended; finite: bool, all float variables are; stopped: bool, it ends the run.

    train_loss, train_accuracy, gradient_norm: means over an epoch's batches, as they were trained on; penalty,
    learning_rate and the validation and test metrics: after its last batch."""

    metrics: dict[str, tf.Tensor]
    global_step: tf.Tensor
    finite: tf.Tensor
    stopped: tf.Tensor


class EpochLoop(NamedTuple):
    """Placeholders and results of a stretch of epochs.

    arrays: those of a `Dataset`, in its order.
    order: int32 [most epochs, train samples], a row for each epoch of the stretch; other rows are not read.
    n_epochs: int32 scalar, rows to run. first: int32 scalar, batch of the first row to begin with.
    last: int32 scalar, batch of the last row to end before.
    results: what the stretch gave.
    """

    arrays: list[tf.Tensor]
    order: tf.Tensor
    n_epochs: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor
    results: EpochResults

    def feed(self, dataset, order, n_epochs: int, first: int, last: int) -> dict:
        """The feed of a stretch; dataset: a `Dataset`."""
        scalars = {self.order: order, self.n_epochs: n_epochs, self.first: first, self.last: last}
        return {**dict(zip(self.arrays, dataset.arrays, strict=True)), **scalars}


def build(config: Config, network, optimizer, state: State, best: Best | None, n_features, sizes) -> EpochLoop:
    """The epoch loop over `network`, whose variables and optimizer slots must exist in the current graph already."""
    rows = min(MOST_EPOCHS_PER_RUN, max(1, MOST_SAMPLES_PER_RUN // sizes[0]))
    with tf1.name_scope("epoch-loop"):
        arrays = []
        for part, size in zip(("train", "validation", "test"), sizes, strict=True):
            arrays.append(tf1.placeholder(tf.float32, (size, n_features), f"X_{part}"))
            arrays.append(tf1.placeholder(tf.int32, (size,), f"y_{part}"))
        order = tf1.placeholder(tf.int32, (rows, sizes[0]), "order")
        scalars = [tf1.placeholder(tf.int32, (), name) for name in ("n_epochs", "first", "last")]
        compiled = is_compiled(config)
        body = _Epochs(config.training, network, optimizer, state, best, sizes, fused=compiled)
        metrics, *after = tf.function(body.run, jit_compile=compiled, autograph=False)(*arrays, order, *scalars)
        columns = dict(zip(metric_names(best is not None), tf.unstack(metrics, axis=1), strict=True))
        return EpochLoop(arrays, order, *scalars, results=EpochResults(columns, *after))


def is_compiled(config: Config) -> bool:
    """Whether XLA compiles the loop; by itself not where there are convolutions, which it makes ten times slower."""
    if config.session.jit == "auto":
        return not any(isinstance(block, Conv2D) for block in config.model.layers)
    return config.session.jit == "on"


def batches_per_epoch(train_size: int, batch_size: int) -> int:
    """How many batches an epoch has, the short last one counted."""
    return -(-train_size // batch_size)


def metric_names(early_stopping: bool) -> tuple[str, ...]:
    """Names of the metrics of an epoch."""
    validation = ("validation_loss", "validation_accuracy") if early_stopping else ()
    train = ("train_loss", "train_accuracy", "penalty", "gradient_norm", "learning_rate")
    return (*train, *validation, "test_loss", "test_accuracy")


class _Epochs:
    """The body of the epoch loop. The methods are its levels: run -> epoch -> batch, and finish at an epoch's end."""

    def __init__(self, training: Training, network, optimizer, state, best, sizes, fused):
        self.training, self.network, self.optimizer, self.fused = training, network, optimizer, fused
        self.state, self.best = state, best
        self.n_train = sizes[0]
        self.n_batches = batches_per_epoch(self.n_train, training.batch_size)

    def run(self, X_train, y_train, X_validation, y_validation, X_test, y_test, order, n_epochs, first, last):
        """Metrics, float32 [rows of order, metrics]; then as in `EpochResults`: global_step, finite, stopped."""

        def epoch(row, stopped, metrics):
            start = tf.where(tf.equal(row, 0), first, 0)
            stop = tf.where(tf.equal(row, n_epochs - 1), last, self.n_batches)

            def finished():
                values, stopped = self.finish(X_validation, y_validation, X_test, y_test)
                return stopped, tf.tensor_scatter_nd_update(metrics, [[row]], [values])

            with tf.control_dependencies(self.begin(start)):
                trained = in_batches(self.batch, (X_train, y_train), order[row], self.training.batch_size, start, stop)
            with tf.control_dependencies([trained]):
                whole = tf.equal(stop, self.n_batches)
                return row + 1, *tf.cond(whole, finished, lambda: (tf.identity(stopped), tf.identity(metrics)))

        metrics = tf.zeros((order.shape[0], len(metric_names(self.best is not None))))
        stopped = self.best.stopped.read_value() if self.best else tf.constant(False)
        _, stopped, metrics = tf.while_loop(
            lambda row, stopped, _: tf.logical_and(row < n_epochs, tf.logical_not(stopped)),
            epoch,
            (0, stopped, metrics),
        )
        with tf.control_dependencies([metrics]):
            return metrics, self.state.global_step.read_value(), _all_finite(), stopped

    def begin(self, start):
        """Notes the weights that an epoch begins with; `start`, int32: the batch that begins now."""
        return [
            kept.assign(tf.where(tf.equal(start, 0), weight, kept))
            for kept, weight in zip(self.state.epoch_start, tf1.trainable_variables(), strict=True)
        ]

    def batch(self, X, y, weights):
        """One training step; also adds to the sums of the epoch."""
        phase = Phase(self.state.global_step.read_value(), weights, updates=[])
        logits = inference(X, self.network, self.fused, phase)["output"]
        losses = loss(logits, y, self.network, weights, self.training.label_smoothing)
        train_op, norm = training(losses.total, self.optimizer, self.state.global_step, self.training.clip_norm)
        return [
            train_op,
            *phase.updates,
            self.state.loss_sum.assign_add(losses.data * _count(y, weights)),
            self.state.correct_sum.assign_add(_count_correct(logits, y, weights)),
            self.state.gradient_norm_sum.assign_add(norm),
        ]

    def finish(self, X_validation, y_validation, X_test, y_test):
        """Counts the epoch and resets its sums. Returns its metrics, float32 [metrics], and whether to stop, bool."""
        state = self.state
        train = state.loss_sum / self.n_train, tf.cast(state.correct_sum, tf.float32) / self.n_train
        after = penalty(self.network), state.gradient_norm_sum / self.n_batches, learning_rate(self.training, state)
        validation = self.evaluate(X_validation, y_validation) if self.best else ()
        metrics = tf.stack([*train, *after, *validation, *self.evaluate(X_test, y_test)])
        with tf.control_dependencies([metrics]):
            epoch = state.epoch.assign_add(1, read_value=True)
            sums = [sum_.assign(0) for sum_ in (state.loss_sum, state.correct_sum, state.gradient_norm_sum)]
        with tf.control_dependencies(sums):
            stopped = self.compare(validation[0], epoch) if self.best else tf.constant(False)
            return tf.identity(metrics), tf.identity(stopped)

    def compare(self, validation_loss, epoch):
        """Notes whether this epoch is the best so far, with its weights; bool: too long ago, stop."""
        best = self.best
        improved = validation_loss < best.loss - self.training.min_delta
        wait = tf.where(improved, tf.zeros((), tf.int64), best.wait + 1)
        stopped = wait >= self.training.patience
        kept = [
            kept.assign(tf.where(improved, weight, kept))
            for kept, weight in zip(best.weights, network_variables(), strict=True)
        ]
        kept += [
            best.loss.assign(tf.where(improved, validation_loss, best.loss)),
            best.epoch.assign(tf.where(improved, epoch, best.epoch)),
            best.wait.assign(wait),
            best.stopped.assign(stopped),
        ]
        with tf.control_dependencies(kept):
            return tf.identity(stopped)

    def evaluate(self, X_all, y_all):
        """Mean cross-entropy and accuracy of a part of the data, at most EVALUATION_BATCH samples at a time."""
        total = y_all.shape.num_elements()
        size = min(EVALUATION_BATCH, total)

        def batch(number, loss_sum, correct_sum):
            first, weights = window(number, size, total)
            X, y = tf.slice(X_all, [first, 0], [size, X_all.shape[1]]), tf.slice(y_all, [first], [size])
            logits = inference(X, self.network, self.fused)["output"]
            data_loss = loss(logits, y, self.network, weights).data
            loss_sum += data_loss * _count(y, weights)
            return number + 1, loss_sum, correct_sum + _count_correct(logits, y, weights)

        n_batches = batches_per_epoch(total, size)
        sums = tf.while_loop(lambda number, *_: number < n_batches, batch, (0, 0.0, 0))[1:]
        return sums[0] / total, tf.cast(sums[1], tf.float32) / total


def in_batches(step, arrays, order, batch_size, start, stop):
    """Runs `step` on batches start to stop of an epoch; the returned tensor is there once they are done.

    step(*rows, weights): operations of one step on the rows of each of `arrays` that a batch has, with the weights that
    `window` gives them. order: int32 [samples], of the epoch. start, stop: int32 scalars, or 0 and an int.
    """
    total = order.shape.num_elements()

    def batch(number):
        first, weights = window(number, batch_size, total)
        samples = tf.slice(order, [first], [batch_size])
        with tf.control_dependencies(step(*(tf.gather(array, samples) for array in arrays), weights)):
            return (tf.identity(number + 1),)

    if isinstance(stop, int) and stop == 1:
        return batch(0)[0]  # what would begin and end a loop takes a tenth of a small step's time
    return tf.while_loop(lambda number: number < stop, batch, (start,))[0]


def window(number, size, total):
    """Where batch `number` of `size` out of `total` samples begins, and the weights of its samples, float32 [size].

    All batches have one shape, as XLA wants it. If the last would run over the end it begins earlier, and the samples
    that the batch before it has had already weigh nothing. Without such a batch the weights are None.
    """
    if total % size == 0:
        return number * size, None
    first = tf.minimum(number * size, total - size)
    return first, tf.cast(first + tf.range(size) >= number * size, tf.float32)


def _count(y, weights):
    """How many samples count: a float."""
    return float(y.shape.num_elements()) if weights is None else tf.reduce_sum(weights)


def _count_correct(logits, y, weights):
    """How many of the samples that count are predicted right: int32."""
    counted = correct(logits, y) if weights is None else tf.logical_and(correct(logits, y), weights > 0)
    return tf.reduce_sum(tf.cast(counted, tf.int32))


def _all_finite():
    floats = [variable for variable in tf1.global_variables() if variable.dtype.is_floating]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in floats])
