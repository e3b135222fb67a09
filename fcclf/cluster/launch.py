"""A cluster on one machine: a client and workers as separate processes, with their output after a prefix.

They end when this process ends, however it does. Signals go to the client, which saves; the workers end after it.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from fcclf.cluster.addresses import Cluster, tf_config
from fcclf.system.interrupts import SIGNALS

GLANCE_SECONDS = 0.1
GRACE_SECONDS = 30  # that the client may take to notice, to save and to end
FAREWELL_SECONDS = 2  # ... and a worker whose training is over
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def launch(tasks: int, arguments: list[str]) -> int:
    """Runs `fcclf ARGUMENTS` as the client of a cluster with `tasks` tasks. Returns its exit code."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(tasks))
    commands = [arguments, *([["worker"]] * (tasks - 1))]
    processes = [_started(command, Cluster(addresses, task)) for task, command in enumerate(commands)]
    readers = [reader for task, process in enumerate(processes) for reader in _shown(process, f"[{task}] ")]
    client, *workers = processes
    try:
        with _passed_on(client):
            while client.poll() is None and not any(worker.poll() for worker in workers):
                time.sleep(GLANCE_SECONDS)
            _wait(client, GRACE_SECONDS)  # it says which worker it lost
    finally:
        client.terminate()
        _wait(client, GRACE_SECONDS)
        for worker in workers:
            _wait(worker, 0 if client.returncode else FAREWELL_SECONDS)
        for process in processes:
            process.kill()
            process.wait()
        for reader in readers:
            reader.join()
    return client.returncode if client.returncode >= 0 else 128 - client.returncode


def free_ports(count):
    """`count` ports that nobody listens on now."""
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _started(command, cluster):
    """A process that ends with this one. It is in its own session, so that Ctrl-C at a terminal does not reach it."""
    environment = {**os.environ, "TF_CONFIG": tf_config(cluster), "PYTHONUNBUFFERED": "1"}
    libc = ctypes.CDLL(None)
    return subprocess.Popen(
        [sys.executable, "-m", "fcclf", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: libc.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL),
    )


def _shown(process, prefix):
    """Starts the threads that copy the output of a process, and returns them."""
    pairs = (process.stdout, sys.stdout), (process.stderr, sys.stderr)
    threads = [threading.Thread(target=_copy, args=(*pair, prefix), daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    return threads


def _copy(source, destination, prefix):
    for line in source:
        with contextlib.suppress(OSError):  # nobody reads it
            destination.write(f"{prefix}{line.decode(errors='replace')}")
            destination.flush()


@contextlib.contextmanager
def _passed_on(client):
    """Passes signals on to the client inside the block."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: client.send_signal(number))
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _wait(process, seconds):
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
