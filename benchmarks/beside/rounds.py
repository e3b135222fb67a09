"""Peers asked in turn, round after round, so that other work of the machine affects them all alike."""

import contextlib
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from beside.workloads import Workload

BENCHMARKS = Path(__file__).parent.parent
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}  # a peer that waits must not take cores from others


class Entry(NamedTuple):
    """A peer. title: its name in tables; module, kind: `beside.MODULE`, and which of its kinds; most_rows: with more it
    takes too long."""

    title: str
    module: str
    kind: str
    most_rows: float = math.inf


class Peer:
    """A process that measures when it is asked to."""

    def __init__(self, entry: Entry):
        self.entry = entry
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"beside.{entry.module}", entry.kind],
            cwd=BENCHMARKS,  # where Python looks for modules
            env=os.environ | QUIET,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, workload: Workload) -> tuple[float, int] | None:
        """(what was measured, peak bytes of memory so far); None, after printing why, if it cannot measure."""
        with contextlib.suppress(BrokenPipeError):  # the peer has ended
            print(workload.words(), file=self.process.stdin, flush=True)
        value, *peak = self.read()
        if not peak:
            print(f"{self.entry.title} is left out: it ended with status {value}.", flush=True)
            return None
        if value == "missing":
            print(f"{self.entry.title} is left out: there is no {peak[0]} here.", flush=True)
            return None
        return float(value), int(peak[0])

    def read(self):
        """The words of its next line; only its exit status if it has ended."""
        return self.process.stdout.readline().split() or [self.process.wait()]


@contextlib.contextmanager
def started(entries: list[Entry]):
    """Yields the peers once all are ready."""
    peers = [Peer(entry) for entry in entries]
    try:
        for peer in peers:
            peer.read()
        yield list(peers)
    finally:
        for peer in peers:
            with contextlib.suppress(BrokenPipeError):
                peer.process.stdin.close()
        for peer in peers:
            peer.process.wait()


def asked(entries: list[Entry], workload: Workload, rounds: int) -> dict[str, dict]:
    """{title: {"seconds": one for each round, "bytes": most memory}} of the peers that can measure."""
    with started(entries) as peers:
        return in_turn(peers, workload, rounds)


def asked_once(entries: list[Entry], workload: Workload, rounds: int) -> dict[str, dict]:
    """{title: {"seconds": one for each round}} of peers that start again in each round, without warming up."""
    found = {}
    for _ in range(rounds):
        with started(entries) as peers:
            for title, times in in_turn(peers, workload, 1, warm=False).items():
                found.setdefault(title, {"seconds": []})["seconds"] += times["seconds"]
    return found


def asked_sizes(entries: list[Entry], workloads: dict[str, Workload], rounds: int) -> dict[str, dict[str, dict]]:
    """{size: what `asked` returns}. workloads: {size: workload}, smaller ones first."""
    with started(entries) as peers:
        return {size: in_turn(peers, workload, rounds) for size, workload in workloads.items()}


def in_turn(peers, workload, rounds, warm=True):
    """{title: times}. warm: whether a first round is not counted. Peers that cannot measure are removed."""
    found = {}
    for number in range(rounds + warm):
        for peer in [each for each in peers if workload.n_rows <= each.entry.most_rows]:
            measured = peer.measure(workload)
            if measured is None:
                peers.remove(peer)
                found.pop(peer.entry.title, None)
                continue
            times = found.setdefault(peer.entry.title, {"seconds": []})
            times["seconds"] += [measured[0]] if number >= warm else []
            times["bytes"] = measured[1]
    return found


def median(times: dict) -> float:
    """The median of the seconds."""
    return statistics.median(times["seconds"])


def ratio(times: dict, others: dict) -> str:
    """How many times the others' seconds, round by round: the median, and in brackets the lowest and the highest."""
    each = [one / other for one, other in zip(times["seconds"], others["seconds"], strict=True)]
    return "{} ({}-{})".format(*map(short, (statistics.median(each), min(each), max(each))))


def short(value: float) -> str:
    """A number with three digits, or with all those before the decimal point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
