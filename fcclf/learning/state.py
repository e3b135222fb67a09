"""What training changes: variables of the graph (`Storage`) between stretches, tensors (`State`) inside the loop.

Everything that must survive a crash is a variable, so that one Saver file holds it. A stretch reads the variables when
it begins and assigns them when it ends; in between a `State` is carried from step to step.
"""

import contextlib
from typing import NamedTuple

import tensorflow as tf

from fcclf.learning.packing import Packing
from fcclf.learning.plan import Plan
from fcclf.network.network import Network

tf1 = tf.compat.v1

SUMS = ("loss", "total", "score", "weight", "gradient_norm")  # over the samples, or the batches, of an unfinished epoch


class Learner(NamedTuple):
    """The part of the state that every step changes.

    weights, statistics: packed. slots: packed, one item for each slot of the optimizer. powers: {name: scalar}.
    global_step: int64, number of batches trained on. sums: in the order of SUMS.
    """

    weights: tuple[tf.Tensor, ...]
    statistics: tuple[tf.Tensor, ...]
    slots: tuple[tuple[tf.Tensor, ...], ...]
    powers: dict[str, tf.Tensor]
    global_step: tf.Tensor
    sums: tf.Tensor


class Best(NamedTuple):
    """The best epoch so far. value: its value of the rule's metric. epoch: int64, its number. wait: int64,
    epochs without improvement. stopped: bool, training is over. weights, statistics: of that epoch, packed, or () where
    they are not kept."""

    value: tf.Tensor
    epoch: tf.Tensor
    wait: tf.Tensor
    stopped: tf.Tensor
    weights: tuple[tf.Tensor, ...]
    statistics: tuple[tf.Tensor, ...]


class State(NamedTuple):
    """Everything that a stretch changes. Numbers have the plan's type.

    epoch: int64, number of epochs finished. learning_rate: the kept rate, which a schedule by steps scales.
    epoch_start: packed weights that the epoch began with. best: () without a rule.
    """

    learner: Learner
    epoch: tf.Tensor
    learning_rate: tf.Tensor
    epoch_start: tuple[tf.Tensor, ...]
    best: Best | tuple


class Storage:
    """The variables of a `State`, made in the current graph.

    trained, statistics: `Packing`s of the network's variables. optimizer: TensorFlow's, which has made the slots.
    """

    def __init__(self, network: Network, plan: Plan, learning_rate):
        """learning_rate: a scalar, the kept rate in the beginning."""
        self.network, self.schedule = network, plan.schedule
        self.trained = Packing({name: tuple(each.shape) for name, each in network.trained.items()})
        self.statistics = Packing({name: tuple(each.shape) for name, each in network.statistics.items()})
        self.global_step = tf1.train.get_or_create_global_step()
        with tf1.variable_scope("state"):
            self.epoch = _scalar("epoch", tf.int64)
            self.learning_rate = tf1.get_variable("learning_rate", initializer=learning_rate, trainable=False)
            self.sums = tf1.get_variable("sums", initializer=tf.zeros(len(SUMS), plan.dtype), trainable=False)
            self.epoch_start = _copies("epoch_start", network.trained)
        self._make_slots(plan.optimizer, plan.dtype)
        self._make_best(plan.rule, plan.keeps_best, plan.dtype)

    def _make_slots(self, optimizer, dtype):
        """Makes the slots of TensorFlow's optimizer, under its own names, without a step that uses them."""
        variables = self.network.trained
        with tf1.name_scope("train"):
            self.optimizer = optimizer.of_tensorflow(self._rate, dtype)
            self.optimizer._create_slots(list(variables.values()))
        self.slots = [
            {name: self.optimizer.get_slot(each, slot) for name, each in variables.items()} for slot in optimizer.slots
        ]
        others = {each.op.name.rpartition("/")[2]: each for each in self.optimizer.variables()}
        self.powers = {name: others[name] for name in optimizer.powers}

    def _rate(self):
        """The learning rate of a fed step."""
        return self.schedule.rate(self.learning_rate.read_value(), self.global_step.read_value())

    def _make_best(self, rule, keeps_best, dtype):
        self.best = ()
        if rule:
            with tf1.variable_scope("best"):
                self.best = Best(
                    value=_scalar("score" if rule.rising else "loss", dtype, rule.worst),
                    epoch=_scalar("epoch", tf.int64),
                    wait=_scalar("wait", tf.int64),
                    stopped=_scalar("stopped", tf.bool, False),
                    weights=_copies("", self.network.trained) if keeps_best else {},
                    statistics=_copies("", self.network.statistics) if keeps_best else {},
                )

    def read(self) -> State:
        """The values of the variables as a `State`."""
        learner = Learner(
            weights=self.trained.pack(self.network.trained),
            statistics=self.statistics.pack(self.network.statistics),
            slots=tuple(self.trained.pack(slot) for slot in self.slots),
            powers={name: each.read_value() for name, each in self.powers.items()},
            global_step=self.global_step.read_value(),
            sums=self.sums.read_value(),
        )
        return State(
            learner=learner,
            epoch=self.epoch.read_value(),
            learning_rate=self.learning_rate.read_value(),
            epoch_start=self.trained.pack(self.epoch_start),
            best=self._read_best(),
        )

    def _read_best(self):
        if not self.best:
            return ()
        *scalars, weights, statistics = self.best
        return Best(
            *(each.read_value() for each in scalars),
            weights=self.trained.pack(weights) if weights else (),
            statistics=self.statistics.pack(statistics) if statistics else (),
        )

    def assign(self, state: State) -> list[tf.Operation]:
        """The operations that assign a state to the variables."""
        learner, best = state.learner, state.best
        pairs = [
            *self._pairs(self.trained, self.network.trained, learner.weights),
            *self._pairs(self.statistics, self.network.statistics, learner.statistics),
            *(
                pair
                for slot, packed in zip(self.slots, learner.slots, strict=True)
                for pair in self._pairs(self.trained, slot, packed)
            ),
            *((self.powers[name], value) for name, value in learner.powers.items()),
            (self.global_step, learner.global_step),
            (self.sums, learner.sums),
            (self.epoch, state.epoch),
            (self.learning_rate, state.learning_rate),
            *self._pairs(self.trained, self.epoch_start, state.epoch_start),
        ]
        if self.best:
            *scalars, weights, statistics = self.best
            pairs += zip(scalars, best[:4], strict=True)
            pairs += self._pairs(self.trained, weights, best.weights) if weights else []
            pairs += self._pairs(self.statistics, statistics, best.statistics) if statistics else []
        return [variable.assign(value) for variable, value in pairs]

    @staticmethod
    def _pairs(packing, variables, packed):
        return [(variables[name], value) for name, value in packing.unpack(packed).items()]


def _scalar(name, dtype, value=0):
    return tf1.get_variable(name, (), dtype, initializer=tf1.constant_initializer(value), trainable=False)


def _copies(scope, variables):
    """{name: variable}, initially zero, with the shapes and names of the given ones, inside a scope, or "" for none."""
    with tf1.variable_scope(scope) if scope else contextlib.nullcontext():
        return {
            name: tf1.get_variable(name, initializer=tf.zeros(each.shape, each.dtype), trainable=False)
            for name, each in variables.items()
        }
