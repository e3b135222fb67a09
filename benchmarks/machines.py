"""What several tasks cost and gain, on one machine, and what follows for many.

    python benchmarks/machines.py                 tasks that share all cores
    python benchmarks/machines.py --tasks 0 2     some numbers of tasks; 0 is one process without a server
    python benchmarks/machines.py --pinned        each task on one core of its own, like a machine; extrapolates to 64

Prints microseconds a step, and bytes a step on the loopback device, for training in 8 shards. If tasks are pinned,
prints two more things, from a model: the time of a step on 2 to 64 machines of one core, and how long a step in one
process must take for that many machines to be faster:

    T(W) = T(one process) / W + (W - 1) * (each + bytes / speed)

each: how much longer a step of the smallest network takes on 2 tasks than half of that in one process; bytes: what goes
to a worker and comes back, all of which passes the client; speed: of the connection, or that measured here if it is
lower.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from fcclf.cluster.addresses import Cluster
from fcclf.cluster.client import Workers
from fcclf.cluster.launch import free_ports
from fcclf.cluster.server import serving
from fcclf.data import loading
from fcclf.data.order import Order
from fcclf.runs import training
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.model import Model
from fcclf.settings.sources import Moons, Table

SHARDS, ROUNDS, SECONDS = 8, 3, 1.5
SPEEDS = {"1 Gbit/s": 117e6, "10 Gbit/s": 1.17e9}  # bytes a second
MACHINES = (2, 4, 8, 16, 32, 64)


class Found(NamedTuple):
    """Measurements of a step. seconds: its time; sent: bytes sent over the loopback device."""

    seconds: float
    sent: float


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[0, 1, 2, 4], metavar="INT")
    parser.add_argument("--pinned", action="store_true", help="each task on a core of its own")
    arguments, found = parser.parse_args(), {}
    if arguments.pinned:
        os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as directory:
        for tasks in arguments.tasks:
            with workers_of(tasks, arguments.pinned) as workers:
                for name, config in workloads(Path(directory)).items():
                    each = found.setdefault(name, {})[tasks] = measured(config, workers)
                    shown = f"{each.seconds * 1e6:9.0f} us {each.sent / 1e3:9.1f} kB a step"
                    print(f"{name:34}{tasks or 'no':>3} tasks {shown}", flush=True)
    if arguments.pinned and {0, 2} <= {*arguments.tasks}:
        work_out(found)


def workloads(directory):
    """{name: config}: the moons, and 784-512-512-10 on random numbers, at two sizes of a batch."""
    generator, file = np.random.default_rng(0), directory / "random.npz"
    X, y = generator.standard_normal((10240, 784), dtype=np.float32), generator.integers(0, 10, 10240)
    np.savez(file, X=X, y=y)
    moons = Config(Moons(), training=Training(shards=SHARDS))
    found = {"moons 2-6-4-2, batch 64": moons}
    for size in (128, 2048):
        trained = Training(shards=SHARDS, batch_size=size)
        found[f"784-512-512-10, batch {size}"] = Config(Table(str(file)), Model(hidden=(512, 512)), trained, Session())
    return found


@contextlib.contextmanager
def workers_of(tasks, pinned):
    """Yields the client's view of the workers of a cluster with `tasks` tasks, which end with the block; None for 0
    tasks."""
    if not tasks:
        yield None
        return
    cluster = Cluster(tuple(f"127.0.0.1:{port}" for port in free_ports(tasks)), 0)
    words = [sys.executable, "-m", "fcclf", "worker", "--quiet", "--cluster", ",".join(cluster.addresses)]
    cores = {task: ["taskset", "-c", str(task)] if pinned else [] for task in cluster.workers}
    processes = [
        subprocess.Popen([*cores[task], *words, "--task-index", str(task)], stderr=subprocess.DEVNULL)
        for task in cluster.workers
    ]
    workers = Workers(cluster, serving(cluster, 1, False, print).target, 1, 60, str)
    yield workers
    workers.over()
    for process in processes:
        process.wait()


def measured(config, workers) -> Found:
    """The fastest of some rounds."""
    dataset = loading.load(config)
    planned, parts = training.plan_on(config, dataset), loading.parts(config, dataset)
    if workers:
        workers.gather(config, planned, dataset.facts)
    program = (workers.program if workers else training.program_for(planned))(planned)
    training.begin(program, config, dataset)
    order = Order(program.given.seed, planned.sizes.train)
    with contextlib.closing(program), contextlib.closing(program.ahead(parts, order)) as orders:
        program.compile(parts)
        program.advance(parts, orders, 2)
        steps = steps_in(program, parts, orders)
        return min(round_of(program, parts, orders, steps) for _ in range(ROUNDS))


def steps_in(program, parts, orders):
    """The approximate number of steps that fill a round."""
    started = time.perf_counter()
    program.advance(parts, orders, program.step + 20)
    return max(5, int(20 * SECONDS / (time.perf_counter() - started)))


def round_of(program, parts, orders, steps) -> Found:
    began, sent, done = time.perf_counter(), loopback_bytes(), program.step
    while program.step < done + steps:
        program.advance(parts, orders, min(done + steps, program.furthest_stop))
    return Found((time.perf_counter() - began) / steps, (loopback_bytes() - sent) / steps)


def loopback_bytes():
    """Bytes sent over the loopback device since it exists."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


def work_out(found):
    """Prints what follows from the model in the module's docstring."""
    smallest = next(iter(found.values()))
    each = smallest[2].seconds - smallest[0].seconds / 2
    print(f"each worker: {each * 1e6:.0f} us")
    for name, of in found.items():
        here = of[2].seconds - of[0].seconds / 2 - each  # what the bytes take
        for network, speed in SPEEDS.items():
            later = {W: (W - 1) * (each + max(here, of[2].sent / speed)) for W in MACHINES}
            times = {W: of[0].seconds / W + seconds for W, seconds in later.items()}
            least = {W: W / (W - 1) * seconds for W, seconds in later.items()}
            for what, values in (("a step takes", times), ("pays from", least)):
                shown = (f"{W}: {seconds * 1e3:.1f}" for W, seconds in values.items())
                print(f"{name:34}{network:10} {what:12}", *shown, "ms")


if __name__ == "__main__":
    main()
