"""How fast `fcclf serve` answers: python benchmarks/serving.py DIR, of an exported model

Requests a second and how long one takes, with batches and without, in turn in one run. Server and clients share the
machine, so the clients, which only compare lengths, take part of its time.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np

SECONDS, WARM_UP, ROUNDS = 2, 0.5, 7
LOADS = [(1, 1), (16, 1), (64, 1), (4, 1000)]  # clients, rows of a request
BATCHES = {"batches": [], "no batches": ["--batch-window", "0"]}


def main():
    directory = Path(sys.argv[1])
    print(f"{'':12}{'clients':>8}{'rows':>6}{'requests/s':>12}{'median ms':>11}{'p99 ms':>9}{'rows a call':>13}")
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(serving(directory, flags)) for name, flags in BATCHES.items()}
        for clients, rows in LOADS:
            found = {name: [] for name in servers}
            for _ in range(ROUNDS):
                for name, address in servers.items():
                    found[name].append(measured(address, clients, rows))
            for name, each in found.items():
                rate, median, slow, joined = np.median(each, axis=0)
                print(f"{name:12}{clients:8}{rows:6}{rate:12.0f}{median:11.2f}{slow:9.2f}{joined:13.1f}", flush=True)


def measured(address, clients, rows):
    """(requests a second, median and 99th percentile in milliseconds, rows in a call of the model)."""
    request, port = bytes_of(address, rows), int(re.search(r":(\d+)/", address)[1])
    asyncio.run(load(port, request, clients, WARM_UP))
    before = calls(address)
    times = np.array(asyncio.run(load(port, request, clients, SECONDS)))
    done = calls(address) - before
    return len(times) / SECONDS, *np.percentile(1000 * times, [50, 99]), done[0] / done[1]


@contextlib.contextmanager
def serving(directory, flags):
    """Starts a server and yields the address of its model."""
    command = [sys.executable, "-m", "fcclf", "serve", directory, "--port", "0", *flags]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stderr if " answers at " in line)
        yield re.search(r"http://\S+(?=:predict)", line)[0]
    finally:
        server.terminate()
        server.communicate()


def bytes_of(address, rows):
    """A request for rows of random numbers, with as many features as X has."""
    with urllib.request.urlopen(f"{address}/metadata") as answer:
        signature = json.load(answer)["metadata"]["signature_def"]["signature_def"]["serving_default"]
    width = int(signature["inputs"]["X"]["tensor_shape"]["dim"][1]["size"])
    X = np.random.default_rng(0).normal(size=(rows, width)).round(4)
    body = json.dumps({"instances": X.tolist()}).encode()
    path = address.split("/", 3)[3]
    return f"POST /{path}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def load(port, request, clients, seconds):
    """Seconds that each request took. The clients ask again as soon as they are answered."""
    loop, times = asyncio.get_running_loop(), []
    end = loop.time() + seconds
    done = [loop.create_future() for _ in range(clients)]
    for future in done:
        await loop.create_connection(lambda future=future: Client(request, end, times, future), "127.0.0.1", port)
    await asyncio.gather(*done)
    return times


class Client(asyncio.Protocol):
    """Sends the same request again and again until the end."""

    def __init__(self, request, end, times, done):
        self.request, self.end, self.times, self.done = request, end, times, done
        self.loop, self.received = asyncio.get_running_loop(), b""

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.received, self.begun = b"", self.loop.time()
        self.transport.write(self.request)

    def data_received(self, data):
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or len(body) < int(re.search(rb"content-length: (\d+)", head)[1]):
            return
        if b" 200 " not in head[:20]:
            raise RuntimeError(self.received[:1000])
        now = self.loop.time()
        self.times.append(now - self.begun)
        if now < self.end:
            self.ask()
        else:
            self.transport.close()
            self.done.set_result(None)


def calls(address):
    """The number of rows in all calls of the model, and the number of calls."""
    with urllib.request.urlopen(re.sub(r"/v1/.*", "/metrics", address)) as answer:
        found = dict(re.findall(r"^fcclf_batch_rows_(sum|count) (\S+)", answer.read().decode(), re.MULTILINE))
    return np.array([float(found["sum"]), float(found["count"])])


if __name__ == "__main__":
    main()
