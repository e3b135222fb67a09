"""What it costs to see a run learn, measured in one run, alternating.

    python benchmarks/seeing.py

Prints, as medians over the rounds: seconds of 5000 epochs with and without curves (history.csv and scalars) and
histograms, pictures off; and seconds of the whole command at defaults with and without pictures and figures.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from fcclf.runs import training
from fcclf.runs.record import Record
from fcclf.settings.config import Config, Session, Training

ROUNDS = 5
PLAIN = ["--image-every", "0", "--no-figures"]


def main():
    rounds = [(recorded(), unrecorded()) for _ in range(ROUNDS)]
    written, bare = (statistics.median(times) for times in zip(*rounds, strict=True))
    share = statistics.median(1 - without / whole for whole, without in rounds)
    print(f"5000 epochs {written:.2f} s, without curves and histograms {bare:.2f} s: they are {share:.0%} of the time")
    rounds = [(command(), command(*PLAIN)) for _ in range(ROUNDS)]
    drawn, plain = (statistics.median(times) for times in zip(*rounds, strict=True))
    extra = statistics.median(whole - without for whole, without in rounds)
    print(f"the command at defaults {drawn:.1f} s, without pictures and figures {plain:.1f} s: they take {extra:.2f} s")


def recorded(**session):
    """Seconds of 5000 epochs, checkpoints included. session: settings other than the defaults."""
    config = Config(training=Training(epochs=5000), session=Session(image_every=0, **session))
    moments = []
    with tempfile.TemporaryDirectory() as directory:
        training.train(config, Path(directory) / "run", progress=lambda *_: moments.append(time.perf_counter()))
    return moments[-1] - moments[0]


def unrecorded():
    """The same, but without recording the epochs."""
    with mock.patch.object(Record, "epochs"):
        return recorded(histogram_every=0)


def command(*flags):
    """Seconds of the whole command."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = ["train", "moons", "--quiet", "--logdir", directory, *flags]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "fcclf", *arguments], check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
