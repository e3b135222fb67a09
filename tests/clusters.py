"""Clusters of processes on this machine, and what may come between them."""

import contextlib
import socket
import threading

import runs
from faults import flags

from fcclf.cluster.launch import free_ports


class Cluster:
    """A cluster whose processes end with the block. addresses: as each task knows them."""

    def __init__(self, tasks):
        self.ports = free_ports(tasks)
        self.addresses = [f"127.0.0.1:{port}" for port in self.ports]
        self.workers, self.clients = {}, []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in [*self.workers.values(), *self.clients]:
            process.kill()
            process.join()

    def start_workers(self, **options):
        """All of them; options: as `runs.start` has them."""
        for task in range(1, len(self.addresses)):
            self.start_worker(task, **options)

    def start_worker(self, task=1, command=("worker", "--quiet"), threads=1, addresses=None, **options):
        """command: what it runs, if it is no plain worker."""
        more = ["--threads", threads] if threads > 1 else []
        self.workers[task] = runs.start(*command, *more, *self.flags(task, addresses), **options)

    def start_client(self, path, *more, addresses=None, **settings):
        """Trains the run `faults.small(**settings)` in directory `path`; what it says is in PATH.errors."""
        words = flags(path, **settings), self.flags(0, addresses), more
        client = runs.start(*(word for each in words for word in each), stderr=errors(path))
        self.clients.append(client)
        return client

    def train(self, path, *more, **settings):
        """Trains a run to its end."""
        client = self.start_client(path, *more, **settings)
        client.join()
        assert client.exitcode == 0, errors(path).read_text()

    def flags(self, task, addresses=None):
        return ["--cluster", ",".join(addresses or self.addresses), "--task-index", str(task)]


def errors(path):
    """Where a client's standard error goes."""
    return path.with_suffix(".errors")


class Proxy:
    """A way to a port of this machine that can be held up: bytes then wait, as where a cable is pulled."""

    def __init__(self, port):
        self.port, self.open = port, threading.Event()
        self.open.set()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self):
        self.open.clear()

    def release(self):
        self.open.set()

    def _accept(self):
        while True:
            near, _ = self.listening.accept()
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near):
        self.open.wait()
        with contextlib.suppress(OSError):
            far = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self._copy, args=(far, near), daemon=True).start()
            self._copy(near, far)
        near.close()

    def _copy(self, source, destination):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.open.wait()
                destination.sendall(data)
        for each in (source, destination):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
