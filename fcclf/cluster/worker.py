"""A worker's life: it waits for orders, loads the data that they describe, and keeps its shards in variables, where the
client's graph finds them. It ends when the training is over; if the client ends before, it waits for the next one."""

import time

import tensorflow as tf

from fcclf.cluster.addresses import Cluster
from fcclf.cluster.mail import Desk
from fcclf.cluster.server import device, filtered_config
from fcclf.data import loading
from fcclf.errors import ConfigError, RunError
from fcclf.learning import plan
from fcclf.learning.plan import Sizes
from fcclf.runs import run_directory
from fcclf.settings.config import Config
from fcclf.settings.run_config import CPU, differences
from fcclf.sharded.loop import Placement
from fcclf.sharded.program import assignment, variables_of_shard
from fcclf.sharded.shards import cut
from fcclf.system.interrupts import Interrupts

tf1 = tf.compat.v1

GLANCE_SECONDS = 0.1  # between checks for an order
GRACE_SECONDS = 5


def work(cluster: Cluster, target: str, threads: int, own: Config | None, say):
    """Works until a client says that the training is over, or for a short while after a signal: if all machines get it,
    the client must still save.

    target: of this process's server; threads: of that server. own: the settings that this worker was started with, if
    any; it refuses others.
    """
    desk, shards, handled = Desk(target, cluster.task), Shards(target, cluster.task), None
    interrupts, left = Interrupts(), GRACE_SECONDS
    say(f"{cluster.name(cluster.task)} is ready")
    with interrupts.held():
        while left > 0:
            order = desk.ordered()
            if order.get("over"):
                say("the training is over")
                return
            if order and order["token"] != handled:
                handled = order["token"]
                desk.reply({"token": handled, **_answer(order, shards, threads, own, say)})
            time.sleep(GLANCE_SECONDS)
            left -= GLANCE_SECONDS if interrupts.pending() else 0
    interrupts.raise_again()


def _answer(order, shards, threads, own, say):
    """Carries out an order and returns the answer."""
    try:
        config = Config.from_dict(order["config"])
        changes = differences(config, own) if own else []
        if changes:
            return {"problem": f"it was started with other settings ({'; '.join(changes)})"}
        facts = shards.take(config, order["tasks"], order["data"], say)
    except (ConfigError, RunError) as error:
        return {"problem": str(error).rstrip(".")}
    return {"versions": run_directory.versions(threads, CPU), "data": facts}


class Shards:
    """The shards that this task keeps."""

    def __init__(self, target: str, task: int):
        self.target, self.task = target, task
        self.taken, self.facts, self.session, self.destroying = None, None, None, []

    def take(self, config: Config, tasks: int, known: dict, say) -> dict:
        """Loads the data of a run and keeps this task's shards of them, in place of those kept before, unless they are
        the same. Returns what is known of the data. known: what the client knows of them. Raises ConfigError or
        RunError if they cannot be loaded."""
        wanted = config.identity(), tasks, known
        if wanted != self.taken:
            self._drop()
            dataset = loading.load(config, say)
            self._keep(config, dataset, Placement(config.training.shards, (None,) * tasks))
            self.taken, self.facts = wanted, dataset.facts.to_dict()
        return self.facts

    def _drop(self):
        if self.destroying:
            self.session.run(self.destroying)
            self.session.close()
        self.taken, self.destroying = None, []

    def _keep(self, config, dataset, placement):
        parts = loading.parts(config, dataset)
        planned = plan.planned(config, dataset.shape, Sizes.of(parts), plan.weighted_parts(parts))
        with tf.Graph().as_default() as graph, tf.device(device(self.task)):
            own = [
                (part, variables_of_shard(planned, name, len(part.y), shard), shard)
                for name, part in parts.items()
                for shard in placement.owned(self.task)
            ]
            self.destroying = [
                tf.raw_ops.DestroyResourceOp(resource=each.handle, ignore_lookup_error=True)
                for _, variables, _ in own
                for each in variables.arrays
            ]
            self.session = tf1.Session(self.target, graph=graph, config=filtered_config((self.task,)))
            for part, variables, shard in own:
                self.session.run(*assignment(variables, cut(part, planned.shards, shard)))
