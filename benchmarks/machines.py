"""What several tasks cost and gain, on one machine, and what follows for many.

    python benchmarks/machines.py                 measures, and works out 64 machines from that
    python benchmarks/machines.py --tasks 0 2     some numbers of tasks; 0 is one process without a server

Prints microseconds a step, and bytes a step on the loopback device, for training in 8 shards. Then the time of a step
on 2 to 64 machines by this model: the work of one process divided by the machines, a fixed time for a step with
messages and one for each worker, as measured, and the bytes at the speed of a network, as all of them pass the client:

    T(W) = work / W + fixed + (W - 1) * (each + bytes / speed)
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
    """seconds, sent: of a step; sent in bytes, over the loopback device."""

    seconds: float
    sent: float


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[0, 1, 2, 4], metavar="INT")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for name, config in workloads(Path(directory)).items():
            found = {tasks: measured(config, tasks) for tasks in arguments.tasks}
            for tasks, each in found.items():
                print(
                    f"{name:34}{tasks or 'no':>3} tasks {each.seconds * 1e6:9.0f} us {each.sent / 1e3:9.1f} kB a step"
                )
            if {0, 2, 4} <= found.keys():
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


def measured(config, tasks) -> Found:
    """The best of some rounds."""
    dataset = loading.load(config)
    planned, parts = training.plan_on(config, dataset), loading.parts(config, dataset)
    with contextlib.ExitStack() as around:
        program = around.enter_context(trained_by(config, planned, dataset.facts, tasks))
        training.begin(program, config, dataset)
        orders = around.enter_context(
            contextlib.closing(program.ahead(parts, Order(program.given.seed, planned.sizes.train)))
        )
        program.compile(parts)
        program.advance(parts, orders, 2)
        steps = steps_in(program, parts, orders)
        return min(round_of(program, parts, orders, steps) for _ in range(ROUNDS))


@contextlib.contextmanager
def trained_by(config, planned, facts, tasks):
    """A program on so many tasks, whose workers end with the block."""
    if not tasks:
        program = training.program_for(planned)(planned)
        yield program
        program.close()
        return
    cluster = Cluster(tuple(f"127.0.0.1:{port}" for port in free_ports(tasks)), 0)
    words = [sys.executable, "-m", "fcclf", "worker", "--quiet", "--cluster", ",".join(cluster.addresses)]
    processes = [
        subprocess.Popen([*words, "--task-index", str(task)], stderr=subprocess.DEVNULL) for task in cluster.workers
    ]
    workers = Workers(cluster, serving(cluster, planned.threads, False, print).target, planned.threads, 60, str)
    workers.gather(config, planned, facts)
    yield workers.program(planned)
    workers.over()
    for process in processes:
        process.wait()


def steps_in(program, parts, orders):
    """About how many steps take a round's time."""
    started = time.perf_counter()
    program.advance(parts, orders, program.step + 20)
    return max(5, int(20 * SECONDS / (time.perf_counter() - started)))


def round_of(program, parts, orders, steps) -> Found:
    began, sent, done = time.perf_counter(), loopback_bytes(), program.step
    while program.step < done + steps:
        program.advance(parts, orders, min(done + steps, program.furthest_stop))
    return Found((time.perf_counter() - began) / steps, (loopback_bytes() - sent) / steps)


def loopback_bytes():
    """Sent over the loopback device since it is there."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


def work_out(found):
    """The model of the docstring, with what was measured: the fixed time and that of each worker are what 2 and 4 tasks
    take beyond one process, all of them on this machine's cores, so at most as much."""
    alone, two, four = (found[tasks] for tasks in (0, 2, 4))
    each = max(0.0, (four.seconds - two.seconds) / 2)
    fixed = max(0.0, two.seconds - alone.seconds - each)
    print(
        f"    model: work {alone.seconds * 1e6:.0f}, fixed {fixed * 1e6:.0f}, each worker {each * 1e6:.0f} us,", end=" "
    )
    print(f"{two.sent / 1e3:.1f} kB")
    for name, speed in SPEEDS.items():
        times = [alone.seconds / W + fixed + (W - 1) * (each + two.sent / speed) for W in MACHINES]
        least = [W / (W - 1) * (fixed + (W - 1) * (each + two.sent / speed)) for W in MACHINES]
        for what, values in (("a step takes", times), ("pays from steps of", least)):
            shown = (f"{W}: {seconds * 1e3:.1f} ms" for W, seconds in zip(MACHINES, values, strict=True))
            print(f"    {name:10} {what:20}", *shown)


if __name__ == "__main__":
    main()
