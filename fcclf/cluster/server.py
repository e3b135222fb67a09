"""TensorFlow's server of one task.

It listens on every network device of the machine, whatever its address says. So its socket is bound to the loopback
device before it answers anyone, unless the user says otherwise.
"""

import contextlib
import os
import socket

import tensorflow as tf

from fcclf.cluster.addresses import Cluster
from fcclf.errors import ConfigError, RunError
from fcclf.learning.predictor import session_config, sessions_own_threads, without_own_threads
from fcclf.sharded.program import shards_config

tf1 = tf.compat.v1

JOB = "worker"  # TensorFlow's name for all tasks


def device(task: int) -> str:
    """The device of a task."""
    return f"/job:{JOB}/replica:0/task:{task}/device:CPU:0"


def filtered_config(tasks: tuple[int, ...]) -> tf1.ConfigProto:
    """The configuration of a session that reaches only `tasks`."""
    config = without_own_threads(session_config(1))
    config.device_filters.extend(f"/job:{JOB}/task:{task}" for task in tasks)
    return config


def serving(cluster: Cluster, threads: int, exposed: bool, say) -> tf1.train.Server:
    """The running server of this task. It cannot be stopped; it ends with the process.

    threads: for the work of each shard. exposed: other machines may connect. Raises RunError if it cannot listen,
    ConfigError if the addresses are on other machines and it is not exposed.
    """
    if not (exposed or cluster.is_local):
        raise ConfigError(
            "expose",
            "is needed, as the cluster has other addresses than this machine's own; mind that TensorFlow then runs "
            "whatever anyone sends who reaches its port, as your user: keep the network private.",
        )
    sessions_own_threads()  # counts threads, so it must be before the server starts some
    address = cluster.addresses[cluster.task]
    try:
        config = without_own_threads(shards_config(threads))
        server = tf1.train.Server({JOB: list(cluster.addresses)}, JOB, cluster.task, config=config, start=False)
    except tf.errors.OpError as error:
        raise RunError(f"cannot listen at {address}: another program may do so: end it, or choose another.") from error
    port = cluster.host_and_port(cluster.task)[1]
    if exposed:
        say(f"warning: port {port} is open: whoever reaches it can do on this machine whatever its user can")
    else:
        _confine(port)
    server.start()
    return server


def _confine(port):
    """Binds the sockets that listen on a port of this process to the loopback device. Raises RunError if that fails."""
    try:
        for each in listening(port):
            with each:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
                _turn_away(each)
    except OSError as error:
        raise RunError(
            f"cannot keep port {port} from other machines ({error.strerror}): give --expose if none reaches it anyway."
        ) from error


def listening(port):
    """Yields the sockets of this process that listen on a port."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # it is not a socket, or closed meanwhile
            each = socket.socket(fileno=os.dup(int(name)))
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and each.getsockname()[1] == port:
                yield each
            else:
                each.close()


def _turn_away(listener):
    """Closes the connections that were made before the socket was bound."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
