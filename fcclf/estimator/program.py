"""Programs: a graph in a session for fits, or predictions, of one shape, kept for the next one that asks for it.

A program holds nothing between two uses that counts: whoever borrows it loads its variables first and takes them away,
as numpy, after. So an estimator is plain data, threads borrow different programs, and what was built and compiled once
serves every later fit of that shape in the process.
"""

import contextlib
import functools
import math
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fcclf.data.loading import epoch_order
from fcclf.errors import RunError
from fcclf.estimator.fit_loop import BEST, Dials, FitEpochs, dials, fit_state, metric_names
from fcclf.learning.epoch_loop import MOST_EPOCHS_PER_RUN, MOST_SAMPLES_PER_RUN, batches_per_epoch
from fcclf.learning.graph import OPTIMIZERS
from fcclf.learning.trainer import predict, session_config
from fcclf.network.layers import PHASED, network_variables
from fcclf.network.network import Network, class_logits, inference
from fcclf.runs import checkpoint
from fcclf.runs.checkpoint import Checkpoint
from fcclf.settings.blocks import Block

tf1 = tf.compat.v1

MOST_IDLE = 32  # programs that are kept
THREADS = 1  # how a sum is split over threads changes its last bits; more threads gain nothing on small nets
MOST_STEPS = 20_000  # batches in a stretch, so that an interrupt is answered soon
MOST_PRODUCTS = 10**10  # products of a sample and a weight in a stretch, for the same reason


@dataclass(frozen=True)
class Solver:
    """An optimizer of `fcclf.learning.graph`, or one with scikit-learn's parameters. schedule: of the learning rate."""

    name: str
    schedule: str
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float

    def optimizer(self, learning_rate):
        """The tf.compat.v1.train optimizer."""
        if self.name == "adam":
            return tf1.train.AdamOptimizer(learning_rate, self.beta_1, self.beta_2, self.epsilon)
        if self.name == "sgd" and self.momentum:
            return tf1.train.MomentumOptimizer(learning_rate, self.momentum, use_nesterov=self.nesterovs_momentum)
        return OPTIMIZERS[self.name](learning_rate)


@dataclass(frozen=True)
class Plan:
    """The shape of a fit: all that its program is made for. layers: (name, block) of a network; sizes: training and
    validation samples, 0 where there is no validation; weighted: samples have weights; dropout, l1: they are
    not 0."""

    layers: tuple[tuple[str, Block], ...]
    n_features: int
    solver: Solver
    batch_size: int
    sizes: tuple[int, int]
    weighted: bool
    dropout: bool
    l1: bool
    compiled: bool

    @property
    def most_epochs(self) -> int:
        """In one stretch."""
        n_train, shape, products = self.sizes[0], (self.n_features,), 0
        for _, block in self.layers:
            products += n_train * sum(map(math.prod, block.trained(shape).values()))
            shape = block.output_shape(shape)
        n_batches = batches_per_epoch(n_train, self.batch_size)
        limits = MOST_SAMPLES_PER_RUN // n_train, MOST_STEPS // n_batches, MOST_PRODUCTS // products
        return max(1, min(MOST_EPOCHS_PER_RUN, *limits))


class Stretch(NamedTuple):
    """Epochs trained at once. metrics: {name: float32 [epochs]}, as `fit_loop` has them; stopped: the fit is over."""

    metrics: dict[str, np.ndarray]
    stopped: bool

    @property
    def epochs(self) -> int:
        """How many."""
        return len(self.metrics["train_total"])


class Program:
    """A network in a session. X: placeholder, float32 [batch, features]."""

    def __init__(self, layers, n_features: int):
        with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
            self.build(dict(layers), n_features)
            self.variables = {each.op.name: each for each in tf1.global_variables()}
            self.initializer = tf1.global_variables_initializer()
        self.session = tf1.Session(graph=graph, config=session_config(THREADS))

    def load(self, values: dict[str, np.ndarray]):
        """Gives variables their values, by name."""
        assigns = [self.variables[name].initializer for name in values]
        feeds = {assign.inputs[1]: value for assign, value in zip(assigns, values.values(), strict=True)}
        self.session.run(assigns, feeds)

    def values(self) -> dict[str, np.ndarray]:
        """{name: values} of every variable."""
        return self.session.run(self.variables)


class Predictor(Program):
    """A network that predicts."""

    def build(self, layers, n_features):
        """Placeholder and logits, in the current graph."""
        network = Network(layers, tf.zeros((), tf.int32), phased=False)
        self.X = tf1.placeholder(tf.float32, (None, n_features), "X")
        self.outputs = class_logits(inference(self.X, network)["output"])

    def logits(self, X) -> np.ndarray:
        """float32 [samples, classes] of X, [samples, features]."""
        return predict(self.session, self.X, self.outputs, X)


class Fitter(Program):
    """A network that learns."""

    def __init__(self, plan: Plan):
        self.plan = plan
        super().__init__(plan.layers, plan.n_features)

    def build(self, layers, n_features):
        """The epoch loop with its placeholders, in the current graph."""
        plan, self.dials = self.plan, dials()
        phased = any(isinstance(block, PHASED) for block in layers.values())
        network = Network(layers, self.dials.seed, phased, self.dials.dropout if plan.dropout else 0.0)
        inference(tf1.placeholder(tf.float32, (None, n_features), "X"), network)
        self.network_names = [each.op.name for each in network_variables()]
        state = fit_state(early_stopping=bool(plan.sizes[1]))
        optimizer = plan.solver.optimizer(lambda: state.learning_rate.read_value())
        _make_slots(optimizer)
        fed = self.dials if plan.l1 else self.dials._replace(l1=None)
        body = FitEpochs(network, optimizer, state, fed, plan.solver.schedule, plan.batch_size, fused=plan.compiled)
        run = tf.function(body.run, jit_compile=plan.compiled, autograph=False)
        with tf1.name_scope("epoch-loop"):
            self.train = _placeholders("train", plan.sizes[0], n_features, plan.weighted)
            self.held_out = _placeholders("validation", plan.sizes[1], n_features, True) if plan.sizes[1] else []
            self.order = tf1.placeholder(tf.int32, (plan.most_epochs, plan.sizes[0]), "order")
            self.n_epochs = tf1.placeholder(tf.int32, (), "n_epochs")
            self.results = run(self.train, self.held_out, self.order, self.n_epochs)

    def begin(self, dials: Dials, values: dict[str, np.ndarray], epoch: int):
        """Gives the variables `values`, by name, and the others their initial ones. epoch: epochs trained before."""
        self.fed, self.done = dials, epoch
        self.session.run(self.initializer, {self.dials.seed: dials.seed})
        self.load({name: value for name, value in values.items() if name in self.variables})

    def restore(self, found: Checkpoint):
        """The state of a fit that began as this one did. Raises RunError if it is not that of the checkpoint's name."""
        checkpoint.restore(found, self.session, self.saver)
        self._count(found.epoch)
        step = int(self.session.run(self.variables["fit/global_step"]))
        if step != found.epoch * batches_per_epoch(self.plan.sizes[0], self.plan.batch_size):
            raise RunError(f"{found.path} holds step {step}, which is not what its name says.")

    @functools.cached_property
    def saver(self) -> tf1.train.Saver:
        """Of every variable."""
        with self.session.graph.as_default():
            return tf1.train.Saver(max_to_keep=None)

    def advance(self, arrays, shuffle: bool, n_epochs: int) -> Stretch:
        """Trains for `n_epochs`, or until the fit stops, on the training arrays and the held-out ones."""
        feeds = dict(zip([*self.dials, *self.train, *self.held_out], [*self.fed, *arrays], strict=True))
        feeds |= {self.order: self._orders(shuffle, n_epochs), self.n_epochs: n_epochs}
        metrics, count, stopped = self.session.run(self.results, feeds)
        self._count(count)
        names = metric_names(early_stopping=bool(self.held_out))
        return Stretch(dict(zip(names, metrics[:count].T, strict=True)), bool(stopped))

    def finite_values(self) -> dict[str, np.ndarray]:
        """`values`. Raises ValueError if a weight is no number."""
        values = self.values()
        if not all(np.isfinite(values[name]).all() for name in self.network_names):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed, or learning_rate_init is too high."
            )
        return values

    def _count(self, epochs):
        self.done, self.fed = self.done + epochs, self.fed._replace(t=self.fed.t + epochs * self.plan.sizes[0])

    def _orders(self, shuffle, n_epochs):
        """int32 [most epochs, train samples]: a row for each epoch; the rows after them are not read."""
        orders = np.zeros(self.order.shape, np.int32)
        for row in range(n_epochs):
            size = orders.shape[1]
            orders[row] = epoch_order(self.fed.seed, self.done + row, size, "shuffle") if shuffle else np.arange(size)
        return orders


def _make_slots(optimizer):
    """Makes the optimizer's variables, which the compiled loop cannot."""
    optimizer.apply_gradients([(tf.zeros_like(each), each) for each in tf1.trainable_variables()])


def _placeholders(part, size, n_features, weighted):
    """X, y and, if `weighted`, the weights of a part of the data."""
    X = tf1.placeholder(tf.float32, (size, n_features), f"X_{part}")
    y = tf1.placeholder(tf.int32, (size,), f"y_{part}")
    return [X, y, tf1.placeholder(tf.float32, (size,), f"weights_{part}")] if weighted else [X, y]


def with_best(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values of a `Fitter`, with the best weights, if it keeps some, as those of the network."""
    return values | {name.removeprefix(BEST): value for name, value in values.items() if name.startswith(BEST)}


# ---- the programs that are kept --------------------------------------------------------------------------------------

_idle: list[tuple[object, Program]] = []  # the last used at the end
_lock = threading.Lock()


@contextlib.contextmanager
def borrowed(make, *key):
    """A program make(*key) that nobody else uses inside the block. One whose use fails is not kept."""
    key = (make, *key)
    with _lock:
        found = next((item for item in reversed(_idle) if item[0] == key), None)
        if found:
            _idle.remove(found)
    program = found[1] if found else make(*key[1:])
    yield program
    with _lock:
        _idle.append((key, program))
        dropped = [_idle.pop(0)[1] for _ in range(len(_idle) - MOST_IDLE)]
    for each in dropped:
        each.session.close()
