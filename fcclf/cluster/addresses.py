"""Which tasks are in a cluster, as TF_CONFIG or flags say. Standard library only.

TF_CONFIG is TensorFlow's convention, and that of the tools which start it on many machines:

    {"cluster": {"worker": ["node1:2222", "node2:2222"]}, "task": {"type": "worker", "index": 0}}

Worker 0 is the client, or the "chief" if there is one.
"""

import ipaddress
import json
import re
from typing import NamedTuple

from fcclf.errors import ConfigError

ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")
MOST_TASKS = 64
TYPES = ("chief", "worker")  # of tasks, in the order of their numbers


class Cluster(NamedTuple):
    """The tasks that train together. addresses: "host:port" of every task, the client's first. task: the number of this
    one."""

    addresses: tuple[str, ...]
    task: int

    @property
    def is_client(self) -> bool:
        """Whether this task is the client."""
        return self.task == 0

    @property
    def workers(self) -> range:
        """The numbers of the workers."""
        return range(1, len(self.addresses))

    def name(self, task: int) -> str:
        """The name of a worker in messages."""
        return f"worker {task} ({self.addresses[task]})"

    def host_and_port(self, task: int) -> tuple[str, int]:
        """The host and the port that a task listens on."""
        host, _, port = self.addresses[task].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Whether every address is on the loopback device."""
        return all(_is_loopback(self.host_and_port(task)[0]) for task in range(len(self.addresses)))


def found(cluster: str | None, task: int | None, environment) -> Cluster | None:
    """The cluster that the flags --cluster and --task-index name, or TF_CONFIG in the environment; None without either,
    or if that names only one task. Raises ConfigError if it cannot be understood."""
    if cluster is not None:
        return _checked("cluster", cluster.split(","), 0 if task is None else task, "task_index")
    if task is not None:
        raise ConfigError("task_index", "has no effect without --cluster: add that, or leave it out.")
    if not environment.get("TF_CONFIG"):
        return None
    addresses, task = _of_tf_config(environment["TF_CONFIG"])
    return _checked("TF_CONFIG", addresses, task, "TF_CONFIG") if len(addresses) > 1 else None


def tf_config(cluster: Cluster) -> str:
    """The TF_CONFIG that describes a cluster."""
    task = {"type": "worker", "index": cluster.task}
    return json.dumps({"cluster": {"worker": list(cluster.addresses)}, "task": task})


def _of_tf_config(text):
    """(addresses, number of the task) in the text of TF_CONFIG."""
    try:
        document = json.loads(text)
        jobs, task = document["cluster"], document["task"]
        strange = [name for name in (*jobs, task["type"]) if name not in TYPES]
        addresses = [address for name in TYPES for address in jobs.get(name, ())]
        before = len(jobs.get("chief", ())) if task["type"] == "worker" else 0
        number = before + int(task["index"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError("TF_CONFIG", f"cannot be read ({error!r}): see docs/many_machines.md.") from None
    if strange:
        raise ConfigError("TF_CONFIG", f"has tasks of the type {strange[0]!r}, but must have chief and worker alone.")
    return addresses, number


def _checked(setting, addresses, task, setting_of_task):
    for address in addresses:
        matched = ADDRESS.fullmatch(str(address))
        if not matched or not 0 < int(matched["port"]) < 65536:
            raise ConfigError(setting, f"names {address!r}, but must name addresses such as node1:2222.")
    if len(set(addresses)) < len(addresses):
        raise ConfigError(setting, "names an address twice: give each task its own.")
    if not 1 < len(addresses) <= MOST_TASKS:
        raise ConfigError(setting, f"names {len(addresses)} tasks, but must name 2 to {MOST_TASKS}.")
    if not 0 <= task < len(addresses):
        raise ConfigError(setting_of_task, f"has task {task}, but there are tasks 0 to {len(addresses) - 1}.")
    return Cluster(tuple(addresses), task)


def _is_loopback(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
