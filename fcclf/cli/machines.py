"""Training on several machines from the command line: `fcclf worker`, `fcclf launch`, and their part of `fcclf train`.

The same command line may run on every machine: the task that TF_CONFIG or --task-index names says which is the client.
"""

import argparse
import functools
import os

from fcclf.cli.terminal import quiet_tensorflow, say
from fcclf.cluster import addresses
from fcclf.cluster.addresses import Cluster
from fcclf.errors import ConfigError
from fcclf.settings.config import Config


def add_cluster_flags(parser):
    """Adds the flags of `fcclf train` for several machines."""
    group = _add_address_flags(parser)
    group.add_argument(
        "--wait-for-workers",
        type=_seconds,
        metavar="SECONDS",
        help="wait so long for workers to come, and to come back (default: 60, and not at all)",
    )


def _add_address_flags(parser):
    group = parser.add_argument_group("machines")
    group.add_argument(
        "--cluster", metavar="HOST:PORT,...", help="the tasks that train, the client first (default: as TF_CONFIG says)"
    )
    group.add_argument(
        "--task-index", type=_number, metavar="INT", help="which of them this is (default: 0, the client)"
    )
    group.add_argument(
        "--expose",
        action="store_true",
        help="let other machines connect: WHOEVER REACHES THE PORT CAN DO WHAT YOU CAN, so keep the network private",
    )
    return group


def add_machine_commands(subparsers):
    """Adds `fcclf worker` and `fcclf launch`."""
    parser = subparsers.add_parser("worker", help="compute shards for a client", description=worker.__doc__)
    _add_address_flags(parser).add_argument(
        "--threads",
        type=_number,
        default=1,
        metavar="INT",
        help="for the work of each shard, as at the client (default: 1)",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing while TensorFlow is imported")
    parser.set_defaults(command=worker)
    parser = subparsers.add_parser("launch", help="train on several processes", description=launch.__doc__)
    parser.add_argument(
        "--workers", type=_number, required=True, metavar="INT", help="processes, the client among them"
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- train ...", help="what the client is to do")
    parser.set_defaults(command=launch)


def cluster(arguments, config: Config) -> Cluster | None:
    """The cluster that `fcclf train` must train on; None without one. Raises ConfigError."""
    found = addresses.found(arguments.cluster, arguments.task_index, os.environ)
    if found is None:
        for name in ("expose", "wait_for_workers"):
            if getattr(arguments, name):
                raise ConfigError(name, "has no effect without --cluster or TF_CONFIG: add that, or leave it out.")
        return None
    tasks, shards = len(found.addresses), config.training.shards
    if shards is None:
        raise ConfigError(
            "shards", f"is needed, as there are {tasks} tasks (--cluster, or TF_CONFIG): give {_power(tasks)}."
        )
    if shards < tasks:
        raise ConfigError(
            "shards", f"is {shards}, but must be at least the number of tasks, {tasks}: give {_power(tasks)}."
        )
    return found


def _power(tasks):
    """The smallest power of two that is at least `tasks`."""
    return 1 << (tasks - 1).bit_length()


def _number(text):
    if not text.isdecimal() or len(text) > 4:
        raise argparse.ArgumentTypeError(f"is {text!r}, but must be a whole number from 0 to 9999.")
    return int(text)


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"is {text!r}, but must be a number of seconds above 0.")
    return seconds


def training_on(cluster: Cluster, arguments, config: Config):
    """A `train` function that uses the workers of a cluster, whose client this process becomes."""
    with quiet_tensorflow(arguments.quiet):
        from fcclf.cluster import server, training
        from fcclf.cluster.client import Workers
    threads = config.session.threads or 1
    served = server.serving(cluster, threads, arguments.expose, say)
    workers = Workers(cluster, served.target, threads, arguments.wait_for_workers, say)
    return functools.partial(training.train, workers=workers)


def worker(arguments) -> int:
    """`fcclf worker`: computes shards of the batches of a training, whose settings the client sends."""
    found = addresses.found(arguments.cluster, arguments.task_index, os.environ)
    if found is None:
        raise ConfigError("cluster", "is needed, or a TF_CONFIG that names more than one task.")
    if found.is_client:
        raise ConfigError("task_index", "is 0, which is the client's: give that of a worker.")
    return work(arguments, found, arguments.threads)


def work(arguments, cluster: Cluster, threads: int, own: Config | None = None) -> int:
    """Runs the worker that `cluster` says this process is. It refuses settings other than its own, if it has any."""
    with quiet_tensorflow(arguments.quiet):
        from fcclf.cluster import server
        from fcclf.cluster import worker as workers
    served = server.serving(cluster, threads, arguments.expose, say)
    workers.work(cluster, served.target, threads, own, say)
    return 0


def launch(arguments) -> int:
    """`fcclf launch --workers N -- train ...`: trains on N processes of this machine, and ends all when one ends."""
    from fcclf.cluster.launch import launch as run

    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if words[:1] != ["train"]:
        raise ConfigError("workers", "is for training: write -- train and what follows it behind.")
    if not 2 <= arguments.workers <= addresses.MOST_TASKS:
        most = addresses.MOST_TASKS
        raise ConfigError("workers", f"is {arguments.workers}, but must be a whole number from 2 to {most}.")
    return run(arguments.workers, words)
