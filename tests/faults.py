"""Faults on processes and storage, and the small run that they are done to.

Whatever ends a run, the next start goes on to the same bits as a run that was never touched. Campaigns are the same
tests with larger counts.
"""

import functools
import itertools
import os
import pkgutil
import shlex
import signal
from contextlib import contextmanager
from dataclasses import dataclass

import runs

from fcclf.runs import training

SMALL = {
    "samples": 100,
    "noise": 0.2,
    "batch_size": 16,
    "hidden": (6, 4),
    "epochs": 40,
    "checkpoint_every": 1,
    "histogram_every": 5,
    "image_every": 0,
    "jit": "off",
}
EARLY = {"early_stopping": True, "patience": 1000}  # with all that is kept of the best epoch, but never stopped
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def small(**changes):
    return runs.config(**SMALL | changes)


def flags(path, figures=False, **changes):
    """The arguments of `fcclf` for the run `small(**changes)` in directory `path`; figures: draw them at the end."""
    _, *arguments = shlex.split(small(**changes).command())
    arguments += ["--quiet", "--logdir", str(path.parent), "--run-name", path.name]
    return arguments + ([] if figures else ["--no-figures"])


def finish(path, **changes):
    """Goes on with a run in this process; what it said."""
    sentences = []
    training.train(small(**changes), path, say=sentences.append)
    return sentences


@dataclass(frozen=True)
class Before:
    """A fault: `action()` is called before the `call`-th call of the function `where`, such as "os.rename"."""

    where: str
    action: object
    call: int = 1

    def __call__(self):
        calls = itertools.count(1)
        wrap(self.where, before=lambda: next(calls) == self.call and self.action())


@dataclass(frozen=True)
class Death:
    """A fault: kill -9 at the `at`-th point of `FILE_OPERATIONS`, each of which has one before and one after it."""

    at: int

    def __call__(self):
        points = itertools.count(1)
        for where in FILE_OPERATIONS:
            wrap(where, before=lambda: self._reach(points), after=lambda: self._reach(points))

    def _reach(self, points):
        if next(points) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


FILE_OPERATIONS = [
    *(f"os.{name}" for name in ("open", "fsync", "rename", "mkdir", "unlink", "rmdir", "truncate", "ftruncate")),
    "tensorflow.compat.v1.train.Saver.save",
    "tensorflow.io.TFRecordWriter.write",
    "tensorflow.io.TFRecordWriter.flush",
]


def wrap(where, before=bool, after=bool):
    """Replaces the function `where` by one that also calls `before()` and `after()`."""
    owner, _, name = where.rpartition(".")
    owner = pkgutil.resolve_name(owner)
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments, **options):
        before()
        result = original(*arguments, **options)
        after()
        return result

    setattr(owner, name, wrapped)


@dataclass(frozen=True)
class SignalSelf:
    """A fault, and an action: the process sends itself a signal."""

    number: int
    times: int = 1

    def __call__(self):
        for _ in range(self.times):
            os.kill(os.getpid(), self.number)


class After:
    """Interrupts that end a run after `chunks` chunks."""

    def __init__(self, chunks):
        self.left = chunks

    @contextmanager
    def held(self):
        yield

    def pending(self):
        self.left -= 1
        return self.left < 0
