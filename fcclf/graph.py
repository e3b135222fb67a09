"""The graph of a run: inference -> loss -> training -> evaluation, and the epoch loop over the same pieces.

`build` returns a `Graph`, a tree of named tuples and the only handle to its tensors: `Session.run` takes any part of it
and gives back the same part filled with numbers. Every graph lives in its own `tf.Graph`; nothing global is touched.

Everything that must survive a crash is a variable of the graph (`Graph.state`, the weights, the optimizer's slots), so
one Saver file holds it all. Randomness is stateless: initial weights are a function of the seed, the order of an epoch
is fed.

The epoch loop does in one `Session.run` what a fed loop does in thousands: it runs whole epochs, or parts of them, and
returns each finished epoch's metrics as vectors. It may begin and end at any batch; where it is cut changes no bit of
the result. Compiled by XLA it takes 1/45 of the time of a fed loop on small nets.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.config import Config, Training
from fcclf.layers import Dense

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

MOST_EPOCHS_PER_RUN = 64  # rows of the fed order, at most
MOST_SAMPLES_PER_RUN = 2_000_000  # entries of the fed order, at most (but one epoch always fits)
EVALUATION_BATCH = 4096  # test samples evaluated at once; bounds the memory of a large test part


class Inputs(NamedTuple):
    """Placeholders of the fed graph. X: float32 [batch, features]; y: int32 [batch], class numbers."""

    X: tf.Tensor
    y: tf.Tensor


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


class State(NamedTuple):
    """Where training stands. global_step: int64, batches trained on; epoch: int64, epochs finished;
    learning_rate: float32; loss_sum: float32 and correct_sum: int32, over the samples of the unfinished epoch."""

    global_step: tf.Variable
    epoch: tf.Variable
    learning_rate: tf.Variable
    loss_sum: tf.Variable
    correct_sum: tf.Variable


class Best(NamedTuple):
    """Early stopping. loss: float32, the lowest validation loss; epoch: int64, after which it was; wait: int64, epochs
    since then; stopped: bool; weights: those of that epoch, in the order of the trained variables; saver: saves them
    under the names of those; restore: gives them to the network."""

    loss: tf.Variable
    epoch: tf.Variable
    wait: tf.Variable
    stopped: tf.Variable
    weights: list[tf.Variable]
    saver: tf1.train.Saver
    restore: tf.Operation


class EpochResults(NamedTuple):
    """metrics: {name: float32 [most epochs]}, of `metric_names`; the rows of epochs that did not end are zero.
    global_step: int64, where the stretch ended; finite: bool, all float variables are; stopped: bool, it ends the run.

    train_loss, train_accuracy: means over an epoch's batches, as they were trained on; penalty and the validation and
    test metrics: after its last batch."""

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


class Graph(NamedTuple):
    """A built graph.

    seed: int32 scalar placeholder, of the initial weights; the configuration's where it is not fed.
    logits: float32 [batch, classes]. histograms: a serialized Summary of all trained variables.
    best: None without early stopping. loop: None where `build` was given no sizes.
    """

    inputs: Inputs
    seed: tf.Tensor
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


class Network(NamedTuple):
    """The layers of a model under their names, with the seed of their initial values."""

    layers: dict[str, Dense]
    seed: tf.Tensor


# ---- the four steps --------------------------------------------------------------------------------------------------


def inference(X, network: Network, fused=False):
    """Logits, float32 [batch, classes], of X, float32 [batch, features]."""
    outputs = X
    with tf1.name_scope("full-connect-layer"):
        for index, (name, layer) in enumerate(network.layers.items()):
            if name != "output":
                outputs = layer(outputs, name, seed=(network.seed, index), fused=fused)
    return network.layers["output"](outputs, "output", seed=(network.seed, len(network.layers) - 1), fused=fused)


def loss(logits, y, network: Network, weights=None) -> Loss:
    """Mean cross-entropy of logits, float32 [batch, classes], against y, int32 [batch], and the penalties.

    weights: float32 [batch], or None where every sample counts the same.
    """
    with tf1.name_scope("loss"):
        cross_entropy = _cross_entropy(logits, y)
        data = tf.reduce_mean(cross_entropy) if weights is None else _weighted_mean(cross_entropy, weights)
        penalty = tf.add_n([layer.penalty(name) for name, layer in network.layers.items()])
        return Loss(data, penalty, total=data + penalty)


def training(total_loss, optimizer, global_step, clip_norm):
    """The operation that takes one step down the gradient of `total_loss` and counts it in `global_step`."""
    with tf1.name_scope("train"):
        gradients, variables = zip(*optimizer.compute_gradients(total_loss), strict=True)
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        return optimizer.apply_gradients(zip(gradients, variables, strict=True), global_step=global_step)


def evaluation(logits, y, data_loss, histograms) -> Evaluation:
    """Loss, accuracy, predictions, probabilities and summaries of a fed batch."""
    with tf1.name_scope("eval"):
        accuracy = tf.reduce_mean(tf.cast(_correct(logits, y), tf.float32))
        scalars = [tf1.summary.scalar("loss", data_loss), tf1.summary.scalar("accuracy", accuracy)]
        return Evaluation(
            loss=data_loss,
            accuracy=accuracy,
            predictions=tf.argmax(logits, axis=1, output_type=tf.int32, name="predictions"),
            probabilities=tf.nn.softmax(logits, name="probabilities"),
            summaries=tf1.summary.merge([*scalars, histograms], name="summaries"),
        )


# ---- building --------------------------------------------------------------------------------------------------------


def build(config: Config, n_features: int, n_classes: int, sizes: tuple[int, int, int] | None = None) -> Graph:
    """The graph of a run on data of `n_features` columns and `n_classes` classes.

    sizes: numbers of training, validation and test samples, for the epoch loop; None builds the fed graph alone.
    """
    with tf.Graph().as_default(), tf1.variable_scope("", use_resource=True):
        network = _network(config, n_classes)
        with tf1.name_scope("input"):
            X = tf1.placeholder(tf.float32, (None, n_features), name="X")
            y = tf1.placeholder(tf.int32, (None,), name="y")
        logits = inference(X, network)
        losses = loss(logits, y, network)
        histograms = _histograms(tf1.trainable_variables())
        state = _state(config.training.learning_rate)
        optimizer = OPTIMIZERS[config.training.optimizer](learning_rate=state.learning_rate)
        train_op = training(losses.total, optimizer, state.global_step, config.training.clip_norm)
        best = _best() if config.training.early_stopping else None
        loop = epoch_loop(config, network, optimizer, state, best, n_features, sizes) if sizes else None
        return Graph(
            inputs=Inputs(X, y),
            seed=network.seed,
            logits=logits,
            loss=losses,
            train_op=train_op,
            evaluation=evaluation(logits, y, losses.data, histograms),
            state=state,
            best=best,
            loop=loop,
            histograms=histograms,
            initializer=tf1.global_variables_initializer(),
            saver=tf1.train.Saver(max_to_keep=None),
        )


def batches_per_epoch(train_size: int, batch_size: int) -> int:
    """How many batches an epoch has, the short last one counted."""
    return -(-train_size // batch_size)


def metric_names(early_stopping: bool) -> tuple[str, ...]:
    """Names of the metrics of an epoch."""
    validation = ("validation_loss", "validation_accuracy") if early_stopping else ()
    return ("train_loss", "train_accuracy", "penalty", *validation, "test_loss", "test_accuracy")


def _network(config, n_classes):
    model = config.model
    penalties = {"l1": model.l1, "l2": model.l2}
    layers = {
        f"fc{number}": Dense(units, model.activation, model.initializer, **penalties)
        for number, units in enumerate(model.hidden, start=1)
    }
    layers["output"] = Dense(n_classes, "identity", model.initializer, **penalties)
    return Network(layers, seed=tf1.placeholder_with_default(config.training.seed, (), "seed"))


def _counter(name, dtype, value=0):
    return tf1.get_variable(name, (), dtype, initializer=tf1.constant_initializer(value), trainable=False)


def _best():
    weights = tf1.trainable_variables()
    with tf1.variable_scope("best"):
        kept = [
            tf1.get_variable(weight.op.name, initializer=tf.zeros(weight.shape), trainable=False) for weight in weights
        ]
        return Best(
            loss=_counter("loss", tf.float32, tf.float32.max),
            epoch=_counter("epoch", tf.int64),
            wait=_counter("wait", tf.int64),
            stopped=_counter("stopped", tf.bool, False),
            weights=kept,
            saver=tf1.train.Saver({weight.op.name: best for weight, best in zip(weights, kept, strict=True)}),
            restore=tf.group(*(weight.assign(best) for weight, best in zip(weights, kept, strict=True))),
        )


def _state(learning_rate):
    global_step = tf1.train.get_or_create_global_step()
    with tf1.variable_scope("state"):
        return State(
            global_step=global_step,
            epoch=_counter("epoch", tf.int64),
            learning_rate=_counter("learning_rate", tf.float32, learning_rate),
            loss_sum=_counter("loss_sum", tf.float32),
            correct_sum=_counter("correct_sum", tf.int32),
        )


def _cross_entropy(logits, y):
    """float32 [batch]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


def _correct(logits, y):
    """bool [batch]: the prediction is the label."""
    return tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), y)


def _weighted_mean(values, weights):
    return tf.reduce_sum(values * weights) / tf.reduce_sum(weights)


def _histograms(variables):
    with tf1.name_scope("variables"):
        return tf1.summary.merge([tf1.summary.histogram(variable.op.name, variable) for variable in variables])


# ---- the epoch loop --------------------------------------------------------------------------------------------------


def epoch_loop(config: Config, network, optimizer, state: State, best: Best | None, n_features, sizes) -> EpochLoop:
    """The epoch loop over `network`, whose variables and optimizer slots must exist in the current graph already."""
    rows = min(MOST_EPOCHS_PER_RUN, max(1, MOST_SAMPLES_PER_RUN // sizes[0]))
    with tf1.name_scope("epoch-loop"):
        arrays = []
        for part, size in zip(("train", "validation", "test"), sizes, strict=True):
            arrays.append(tf1.placeholder(tf.float32, (size, n_features), f"X_{part}"))
            arrays.append(tf1.placeholder(tf.int32, (size,), f"y_{part}"))
        order = tf1.placeholder(tf.int32, (rows, sizes[0]), "order")
        scalars = [tf1.placeholder(tf.int32, (), name) for name in ("n_epochs", "first", "last")]
        compiled = config.session.jit != "off"
        body = _Epochs(config.training, network, optimizer, state, best, sizes, fused=compiled)
        metrics, *after = tf.function(body.run, jit_compile=compiled, autograph=False)(*arrays, order, *scalars)
        columns = dict(zip(metric_names(best is not None), tf.unstack(metrics, axis=1), strict=True))
        return EpochLoop(arrays, order, *scalars, results=EpochResults(columns, *after))


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

            with tf.control_dependencies([self.batches(X_train, y_train, order[row], start, stop)]):
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

    def batches(self, X_train, y_train, order, start, stop):
        """Trains on batches start to stop of an epoch; the returned tensor is there once they are done."""

        def batch(number):
            first, weights = _window(number, self.training.batch_size, self.n_train)
            samples = tf.slice(order, [first], [self.training.batch_size])
            trained = self.batch(tf.gather(X_train, samples), tf.gather(y_train, samples), weights)
            with tf.control_dependencies(trained):
                return (number + 1,)

        return tf.while_loop(lambda number: number < stop, batch, (start,))[0]

    def batch(self, X, y, weights):
        """One training step; also adds to the sums of the epoch."""
        logits = inference(X, self.network, self.fused)
        losses = loss(logits, y, self.network, weights)
        train_op = training(losses.total, self.optimizer, self.state.global_step, self.training.clip_norm)
        loss_sum, correct_sum = losses.data * _count(y, weights), _count_correct(logits, y, weights)
        return [train_op, self.state.loss_sum.assign_add(loss_sum), self.state.correct_sum.assign_add(correct_sum)]

    def finish(self, X_validation, y_validation, X_test, y_test):
        """Counts the epoch and resets its sums. Returns its metrics, float32 [metrics], and whether to stop, bool."""
        penalty = tf.add_n([layer.penalty(name) for name, layer in self.network.layers.items()])
        train = self.state.loss_sum / self.n_train, tf.cast(self.state.correct_sum, tf.float32) / self.n_train
        validation = self.evaluate(X_validation, y_validation) if self.best else ()
        metrics = tf.stack([*train, penalty, *validation, *self.evaluate(X_test, y_test)])
        with tf.control_dependencies([metrics]):
            epoch = self.state.epoch.assign_add(1, read_value=True)
            sums = [self.state.loss_sum.assign(0), self.state.correct_sum.assign(0)]
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
            for kept, weight in zip(best.weights, tf1.trainable_variables(), strict=True)
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
            first, weights = _window(number, size, total)
            X, y = tf.slice(X_all, [first, 0], [size, X_all.shape[1]]), tf.slice(y_all, [first], [size])
            logits = inference(X, self.network, self.fused)
            data_loss = loss(logits, y, self.network, weights).data
            loss_sum += data_loss * _count(y, weights)
            return number + 1, loss_sum, correct_sum + _count_correct(logits, y, weights)

        n_batches = batches_per_epoch(total, size)
        sums = tf.while_loop(lambda number, *_: number < n_batches, batch, (0, 0.0, 0))[1:]
        return sums[0] / total, tf.cast(sums[1], tf.float32) / total


def _window(number, size, total):
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
    correct = _correct(logits, y) if weights is None else tf.logical_and(_correct(logits, y), weights > 0)
    return tf.reduce_sum(tf.cast(correct, tf.int32))


def _all_finite():
    floats = [variable for variable in tf1.global_variables() if variable.dtype.is_floating]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in floats])
