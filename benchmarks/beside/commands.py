"""Whole commands: how long they take, how soon they resume after a kill, and their memory."""

import contextlib
import functools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import make_moons

SCRIPT = str(Path(__file__).parents[2] / "scripts" / "train_moons.py")
PLAIN = ["--no-figures", "--image-every", "0"]
SIZES = 2_000, 2_000_000, 10_000_000
BYTES = 12  # of a sample: two features and a label
TITLE = "`train_moons.py --noise 0.3`"


def moons(rounds):
    """Times the script beside TensorFlow's import."""
    importing = functools.partial(seconds, "-c", "import tensorflow")
    plain = functools.partial(script, *PLAIN)
    return alternating(
        {"`import tensorflow`": importing, TITLE: script, f"the same with `{' '.join(PLAIN)}`": plain}, rounds
    )


def resume(rounds):
    """Times how soon a run has its next checkpoint after a kill, beside its first one."""
    importing = functools.partial(seconds, "-c", "import tensorflow")
    found = {"`import tensorflow`": [], "a new run, to its first checkpoint": [], "killed, to its next checkpoint": []}
    for _ in range(rounds):
        for times, taken in zip(found.values(), (importing(), *killed()), strict=True):
            times.append(taken)
    return {title: {"seconds": times} for title, times in found.items()}


def alternating(measured, rounds):
    """{title: {"seconds": [...]}}, measured in turn. measured: {title: function that measures}."""
    found = {title: {"seconds": []} for title in measured}
    for _ in range(rounds):
        for title, measure in measured.items():
            found[title]["seconds"].append(measure())
    return found


def script(*flags):
    """Seconds of the script with its defaults."""
    with tempfile.TemporaryDirectory() as directory:
        return seconds(SCRIPT, "--noise", "0.3", "--logdir", directory, *flags)


def killed():
    """(seconds to the first checkpoint, seconds from a kill -9 to one that is newer)."""
    with tempfile.TemporaryDirectory() as directory:
        first = to_newer_checkpoint(Path(directory))
        return first, to_newer_checkpoint(Path(directory))


def to_newer_checkpoint(directory):
    """Starts the script, and kills it a second after it has saved something new; returns the seconds until it had
    saved."""
    before, started = newest(directory), time.perf_counter()
    words = [sys.executable, SCRIPT, "--epochs", "1000000", "--quiet", "--logdir", directory]
    with contextlib.closing(Killed(words)) as process:
        while newest(directory) <= before and process.poll() is None:
            time.sleep(0.01)
        taken = time.perf_counter() - started
        time.sleep(1)
    return taken


class Killed(subprocess.Popen):
    """A process that ends by kill -9."""

    def __init__(self, words):
        super().__init__(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.kill()
        self.wait()


def newest(directory):
    """The epoch of the newest checkpoint, as a text; empty if there is none."""
    return max((each.name for each in directory.glob("*/checkpoints/epoch-*")), default="")


def memory():
    """{what: {samples: megabytes}} of the peak memory of the command, and of making the moons for it."""
    ways = {"`fcclf train moons`": from_moons, "`make_moons` alone": moons_alone, "`fcclf train packed`": from_packed}
    return {what: {str(size): measure(size) for size in SIZES} for what, measure in ways.items()}


def from_moons(n_samples):
    with tempfile.TemporaryDirectory() as directory:
        return trained_megabytes(directory, "moons", "--samples", str(n_samples))


def moons_alone(n_samples):
    return peak_megabytes("-c", f"from sklearn.datasets import make_moons; make_moons({n_samples}, noise=0.1)")


def from_packed(n_samples):
    """Peak memory of the command on moons that were packed before."""
    with tempfile.TemporaryDirectory() as directory:
        made, packed = Path(directory, "moons.npz"), Path(directory, "packed")
        X, y = make_moons(n_samples, noise=0.1, random_state=42)
        np.savez(made, X=X.astype(np.float32), y=y)
        subprocess.run([sys.executable, "-m", "fcclf", "pack", made, packed], check=True, capture_output=True)
        return trained_megabytes(directory, "packed", str(packed))


def trained_megabytes(directory, *source):
    """Peak memory of the command on samples of a source."""
    arguments = ["--batch-size", "1024", "--epochs", "3", "--quiet", "--logdir", str(Path(directory, "logs"))]
    return peak_megabytes("-m", "fcclf", "train", *source, *arguments)


def seconds(*arguments):
    """Seconds that a Python process takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def peak_megabytes(*arguments):
    """Peak memory of a Python process. It is a grandchild, because the system keeps the peak of all children so far."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, *sys.argv[1:]], check=True, capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    printed = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    return int(printed.stdout) / 1024
