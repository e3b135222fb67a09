"""A network that learns in shards (see `fcclf.sharded`), in a session."""

import numpy as np
import tensorflow as tf

from fcclf.data.dataset import Part
from fcclf.data.order import Order
from fcclf.learning.plan import Plan, cores
from fcclf.learning.predictor import session_config
from fcclf.learning.program import Program
from fcclf.sharded.loop import Placement, ShardedLoop, ShardedPart
from fcclf.sharded.shards import ShardedOrders, cut, is_even, length

tf1 = tf.compat.v1

SPARE_THREADS = 2  # for distributing the work, and for answering a client that asks meanwhile


def shards_config(threads: int) -> tf1.ConfigProto:
    """The configuration for computing shards in parallel on all cores, each with `threads` threads. How many shards are
    computed at once changes no bit."""
    config = session_config(threads)
    config.inter_op_parallelism_threads = cores() + SPARE_THREADS
    return config


class ShardedProgram(Program):
    """A program whose data are in variables, a few for each shard, instead of being fed. They are not part of its
    state.

    Shards are computed in parallel, each with the threads of the plan.
    """

    def __init__(self, plan: Plan, devices: tuple[str | None, ...] = (None,)):
        """devices: as in `Placement`."""
        self.placement, self.held = Placement(plan.shards, devices), None
        super().__init__(plan)

    def build(self):
        """Builds the program. Everything except the shards is on the client's device."""
        with tf.device(self.placement.devices[0]):
            super().build()

    def build_loop(self):
        """Makes the loop with its placeholders and the variables of the shards."""
        plan = self.plan
        with tf1.name_scope("epoch-loop"):
            sizes = {name: size for name, size in plan.sizes._asdict().items() if size}
            self.parts = {name: self.part_placeholders(name, size) for name, size in sizes.items()}
            self.spreads = {name: plan.objective.spread(part.y, part.weights) for name, part in self.parts.items()}
            self.fed_spreads = self.spread_placeholders(self.spreads)
            self.order = tf1.placeholder(tf.int32, (plan.most_epochs, plan.shards, self._rows), "order")
            self.bounds = [tf1.placeholder(tf.int32, (), name) for name in ("n_epochs", "first", "last")]
        self.shards = {name: self._shards(name, size) for name, size in sizes.items()}
        with tf1.name_scope("epoch-loop/"):
            body = ShardedLoop(plan, self.network, self.storage, self.fed, self.placement)
            parts = {name: ShardedPart(self.shards[name], self.fed_spreads[name]) for name in sizes}
            self.results = body.run(parts, self.order, *self.bounds)

    @property
    def _rows(self):
        """Number of rows of a shard in all batches of an epoch."""
        return self.plan.n_batches * self.plan.batch_size // self.plan.shards

    def _shards(self, name, size):
        """The variables of each shard of a part with `size` samples."""
        found = []
        for shard in range(self.plan.shards):
            with tf.device(self.placement.devices[self.placement.owner(shard)]):
                found.append(variables_of_shard(self.plan, name, size, shard))
        return tuple(found)

    def open_session(self, graph: tf.Graph) -> tf1.Session:
        """A session of this process."""
        return tf1.Session(graph=graph, config=shards_config(self.threads))

    def ahead(self, parts: dict[str, Part], order: Order) -> ShardedOrders:
        """What `advance` needs of the coming epochs, as in `Program`: the orders in every shard."""
        return ShardedOrders(order, self.plan.most_epochs, self.plan.shards, self._rows)

    def run_loop(self, parts: dict[str, Part], *bounds):
        """Runs the loop as in `Program`; the shards are stored again only if `parts` are not those of the last call."""
        if parts is not self.held:
            self.hold(parts)
            self.held = parts
        return super().run_loop(parts, *bounds)

    def hold(self, parts: dict[str, Part]):
        """Stores the shards that the client computes in their variables, and computes the spreads of the parts."""
        for name, part in parts.items():
            for shard in self.placement.owned(0):
                self.run(*assignment(self.shards[name][shard], cut(part, self.plan.shards, shard)))
        spreads = {name: each for name, each in self.spreads.items() if each is not None}
        self.measured = self.run(spreads, super().feed_parts(parts)) if spreads else {}

    def feed_parts(self, parts: dict[str, Part]) -> dict:
        """The feed of the spreads of the data."""
        return {self.fed_spreads[name]: value for name, value in self.measured.items()}


def variables_of_shard(plan: Plan, name: str, size: int, shard: int) -> Part:
    """The variables that hold one shard of a part of `size` samples, in the current graph, on the current device. Their
    names and shapes depend on the arguments alone, so that every caller finds the same variables."""
    rows, objective = length(size, plan.shards), plan.objective
    weighted = name in plan.weighted or not is_even(size, plan.shards)
    kinds = {
        "X": ((rows, plan.n_features), plan.dtype),
        "y": ((rows, *objective.label_shape), objective.label_type(plan.dtype)),
        "weights": ((rows,), plan.dtype) if weighted else None,
    }
    return Part(
        *(
            None if kind is None else _variable(f"shards/{name}/{shard}/{array}/{kind[1]}", *kind)
            for array, kind in kinds.items()
        )
    )


def _variable(name, shape, dtype):
    """A variable in no collection, because it is not part of a program's state, and in a container that all sessions
    share."""
    with tf1.get_default_graph().container("shards"):
        zeros = tf1.zeros_initializer()
        return tf1.get_variable(name, shape, dtype, zeros, trainable=False, collections=[], use_resource=True)


def assignment(variables: Part, arrays: Part) -> tuple[list[tf.Operation], dict]:
    """(operations, feed) that give the variables of a shard their values."""
    assigns = [each.initializer for each in variables.arrays]
    feed = {assign.inputs[1]: np.asarray(each) for assign, each in zip(assigns, arrays.arrays, strict=True)}
    return assigns, feed
