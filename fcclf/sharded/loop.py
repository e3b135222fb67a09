"""The loop over epochs and batches, whose steps are taken in shards (see `fcclf.sharded`).

The state stays with the client, on the first device. In a step the weights go to every device, each computes the sums
of its shards, and these come back, already added up where both terms are on one device.
"""

from typing import NamedTuple

import tensorflow as tf

from fcclf.data.dataset import Part
from fcclf.learning.loop import Loop, Measured, means, product
from fcclf.learning.objective import divided
from fcclf.learning.packing import Packing
from fcclf.learning.state import Learner
from fcclf.network import layers
from fcclf.network.layers import BLOCKS, Context, Phase
from fcclf.network.network import inference
from fcclf.settings import blocks

SUMS = ("loss", "score", "weight", "size")  # over the samples of a shard


class Placement(NamedTuple):
    """Which device computes which shards: consecutive ones, in numbers that differ by one at most.

    devices: as `tf.device` takes them, the client's first; (None,) for one process.
    """

    shards: int
    devices: tuple[str | None, ...] = (None,)

    def owner(self, shard: int) -> int:
        """The number of the device that computes a shard."""
        return shard * len(self.devices) // self.shards

    def owned(self, device: int) -> list[int]:
        """The shards of the device with that number."""
        return [shard for shard in range(self.shards) if self.owner(shard) == device]


class ShardedPart(NamedTuple):
    """A part of the data in shards. shards: a `Part` of variables for each. spread: what scores are relative to, or
    None."""

    shards: tuple[Part, ...]
    spread: tf.Tensor | None


class Rows(NamedTuple):
    """The rows of one shard in a batch. X, y, weights: as in a `Part`. counted: [rows], 0 for a row that is not a
    sample, or None if all are samples."""

    X: tf.Tensor
    y: tf.Tensor
    weights: tf.Tensor | None
    counted: tf.Tensor | None


class ShardedLoop(Loop):
    """The body of the loop; its levels are those of `Loop`.

    What a shard computes is compiled, if the plan says so, and so is the step of the optimizer; the loop around them is
    not, because it spans devices.
    """

    def __init__(self, plan, network, storage, fed, placement: Placement):
        super().__init__(plan, network, storage, fed)
        self.placement, self.seeds = placement, None
        every = list(blocks.placed(dict(plan.layers), (plan.n_features,)))
        self.moving = tuple(name for placed in every if placed.block.phased for name in placed.statistics)
        variables = {**network.trained, **{name: network.statistics[name] for name in self.moving}}
        self.packing = Packing({**{name: each.shape for name, each in variables.items()}, "sums": (len(SUMS),)})
        self.step_of_shard = self._computed(self._step_of_shard)
        self.step_of_batch = self._computed(self._step_of_batch)
        self.evaluation_of_shard = self._computed(self._evaluation_of_shard)

    def _computed(self, function):
        """The function as one operation, which can be placed in the graph many times."""
        return tf.function(function, jit_compile=self.plan.compiled or None, autograph=False)

    def run(self, parts: dict[str, ShardedPart], order, n_epochs, first, last):
        """Trains as `Loop.run` does. order: int32 [most epochs, shards, rows]."""
        if self.network.phased:
            self.seeds = tf.stack([layers.stack_seed(self.fed.seed, (BLOCKS + each,)) for each in self._shards()])
        return super().run(parts, order, n_epochs, first, last)

    def _shards(self):
        return range(self.placement.shards)

    def spread(self, part: ShardedPart):
        """What the scores of a part are relative to, which is fed."""
        return part.spread

    # ---- a step

    def numbered_batch(self, number, learner: Learner, kept_rate, part: ShardedPart, order) -> Learner:
        """One step, on batch `number` of an epoch. order: int32 [shards, rows]."""
        size, marks, sums = self.plan.batch_size // self.placement.shards, self._marks(learner.global_step), []
        order = tf.slice(order, [0, number * size], [self.placement.shards, size])
        for device, name in enumerate(self.placement.devices):
            own = self.placement.owned(device)
            taken = order[own[0] : own[-1] + 1]  # one message, not one for each shard
            with tf.device(name):
                for place, shard in enumerate(own):
                    rows = self._rows(part.shards[shard], taken[place])
                    mark = None if marks is None else marks[shard]
                    sums.append(self.step_of_shard(learner.weights, learner.statistics, rows, mark))
        return self.step_of_batch(learner, kept_rate, self._added(sums))

    def _marks(self, step):
        """What the masks of each shard are drawn by, int64 [shards, 2]: its seed and the step. None if the network does
        not behave differently in training."""
        if self.seeds is None:
            return None
        return tf.stack([tf.cast(self.seeds, tf.int64), tf.fill([self.placement.shards], step)], axis=1)

    def _rows(self, shard: Part, order) -> Rows:
        """The `Rows` of a shard that a slice of its order names."""
        samples = tf.maximum(order, 0)
        weights = tf.gather(shard.weights, samples) if "train" in self.plan.weighted else None
        short = self.plan.sizes.train % self.plan.batch_size
        counted = tf.cast(order >= 0, self.plan.dtype) if short else None
        return Rows(tf.gather(shard.X, samples), tf.gather(shard.y, samples), product(weights, counted), counted)

    def _step_of_shard(self, weights, statistics, rows: Rows, mark):
        """What a shard contributes to a batch, packed: the gradient of the weighted sum of its losses, its moving
        statistics times its weight, and its `SUMS`. weights, statistics: packed."""
        plan, size = self.plan, float(rows.X.shape[0])
        trained, statistics = self.storage.trained.unpack(weights), self.storage.statistics.unpack(statistics)
        weight = size if rows.weights is None else tf.reduce_sum(rows.weights)
        phase = None if mark is None else Phase(mark[1], _sound(rows.weights, weight), updates={})
        seed = 0 if mark is None else tf.cast(mark[0], tf.int32)
        context = Context({**trained, **statistics}, seed, plan.compiled, phase)
        logits = inference(rows.X, self.network, context)["output"]
        losses, scores = plan.objective.losses(logits, rows.y, training=True), self._scores(logits, rows.y)
        loss, score = self.weighted_sums(rows.weights, losses, scores)
        gradients = tf.gradients(loss, list(trained.values()))
        counted = size if rows.counted is None else tf.reduce_sum(rows.counted)
        return self.packing.pack(
            {
                **dict(zip(trained, gradients, strict=True)),
                **{name: phase.updates[name] * weight for name in self.moving},
                "sums": tf.stack([loss, score, weight, counted]),
            }
        )

    def _scores(self, logits, y):
        return self.plan.objective.scores(logits, y, self.spreads["train"])

    def _added(self, sums):
        """The sum of what the shards contribute, in a binary tree: neighbours first, each pair on the device that has
        both, else at the client."""
        owners = [self.placement.owner(shard) for shard in self._shards()]
        while len(sums) > 1:
            owners = [one if one == other else 0 for one, other in zip(owners[::2], owners[1::2], strict=True)]
            pairs, sums = zip(sums[::2], sums[1::2], strict=True), []
            for owner, (one, other) in zip(owners, pairs, strict=True):
                with tf.device(self.placement.devices[owner]):
                    sums.append(tf.nest.map_structure(tf.add, one, other))
        return sums[0]

    def _step_of_batch(self, learner: Learner, kept_rate, sums) -> Learner:
        """The learner after one step. sums: what all shards of a batch contribute, added up."""
        sums = self.packing.unpack(sums)
        loss, score, weight, size = tf.unstack(sums["sums"])
        mean = {name: divided(each, weight) for name, each in sums.items() if name != "sums"}
        if self.moving:
            kept = self.storage.statistics.unpack(learner.statistics)
            moved = {name: tf.where(weight > 0, mean[name], kept[name]) for name in self.moving}
            learner = learner._replace(statistics=self.storage.statistics.pack({**kept, **moved}))
        slopes = self.storage.trained.pack({name: mean[name] for name in self.storage.trained.names})
        return self.moved(learner, kept_rate, slopes, Measured(loss, score, weight, size))

    # ---- an evaluation

    def evaluate(self, name, part: ShardedPart, values):
        """Mean loss and score of a part of the data, scalars."""
        sums = []
        for shard, arrays in enumerate(part.shards):
            with tf.device(self.placement.devices[self.placement.owner(shard)]):
                read = Part(*(each if each is None else each.read_value() for each in arrays))
                sums.append(self.evaluation_of_shard(values, read, part.spread))
        return means(self._added(sums))

    def _evaluation_of_shard(self, values, shard: Part, spread):
        """The sums of `measuring` over the samples of a shard, [3]."""
        return self._summed(shard, shard.y.shape[0], self.measuring(values, spread), tf.zeros(3, self.plan.dtype))


def _sound(weights, weight):
    """Weights that moments can be computed with: ones if all samples of a shard have weight 0, whose moments are not
    used."""
    return None if weights is None else tf.where(weight > 0, weights, tf.ones_like(weights))
