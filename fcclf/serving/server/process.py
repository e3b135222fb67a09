"""`fcclf serve` as a process: the socket, the signals, the shutdown.

After SIGTERM or SIGINT no new request is accepted, those already begun are answered, and the exit code is 0.
"""

import signal
import socket
import threading
from pathlib import Path
from urllib.parse import quote

import tensorflow as tf
import uvicorn

from fcclf.errors import RunError
from fcclf.serving.server.app import Server
from fcclf.serving.server.metrics import Metrics
from fcclf.serving.server.versions import Versions
from fcclf.settings.serving import Serving
from fcclf.system.durable import reason

BACKLOG = 2048  # connections that wait to be accepted
IDLE = 75.0  # seconds that a connection may wait for its next request: longer than load balancers allow
PATIENCE = 5.0  # seconds after the last answer was due
LOOPBACK = ("127.", "::1", "localhost")


def serve(directory: Path, settings: Serving, say) -> int:
    """Serves what is in `directory` until a signal comes; returns the exit code. say: called with sentences. Raises
    RunError if there is nothing to serve, or the server cannot listen at its address."""
    tf.get_logger().setLevel("ERROR")  # hides deprecations of what is used on purpose
    with _listening(settings) as listener:
        metrics = Metrics()
        versions = Versions(directory, settings.threads, settings.name, say, metrics.heard)
        _check_name(versions.name)
        versions.look()
        if versions.current is None:
            raise RunError(_nothing(versions))
        server = Server(versions, settings, say, metrics)
        listener.listen(BACKLOG)
        _greet(say, versions, listener)
        watching = versions.watch()
        _run(server, listener, settings)
        versions.stop()
        watching.join()
    say(f"stopped: {server.answered} requests are answered, and none is left")
    return 0


def _listening(settings):
    """A socket that is bound to its address, but does not listen yet."""
    address = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise RunError(f"cannot listen at {address}: {reason(error)}: name an address of this machine.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise RunError(f"cannot listen at {address}: {reason(error)}: choose another --host or --port.") from None
    return listener


def _check_name(name):
    if not name.isprintable() or not name or set(name) & set("/:"):
        raise RunError(f"{name!r} cannot be the name of a model in addresses: give another by --name.")


def _nothing(versions):
    if versions.refused:
        return max(versions.refused.items())[1][1]
    return f"{versions.directory} has no version folder such as 1: make one with fcclf export RUN {versions.directory}."


def _greet(say, versions, listener):
    host, port = listener.getsockname()[:2]
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if not host.startswith(LOOPBACK):
        say(f"warning: {host} can be reached from other machines, and whoever reaches it may ask: it has no password")
    name, number = quote(versions.name), versions.current.number
    say(f"version {number} of {name} answers at {place}/v1/models/{name}:predict; for people {place}/")


def _run(server, listener, settings):
    """Runs until a signal comes, and then until all requests begun are answered."""
    config = uvicorn.Config(
        server.app,
        log_level="critical",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=settings.timeout + PATIENCE,
    )
    running = _Uvicorn(config, server)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again after shutdown
            signal.signal(number, lambda *_: None)
    running.run(sockets=[listener])
    server.batcher.close()


class _Uvicorn(uvicorn.Server):
    """Tells the server when its shutdown begins."""

    def __init__(self, config, server):
        super().__init__(config)
        self.server = server

    def handle_exit(self, sig, frame):
        self.server.stopping = True
        super().handle_exit(sig, frame)
