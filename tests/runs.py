"""How the tests run commands, and what they read of a run directory: with TensorFlow and TensorBoard, not fcclf."""

import contextlib
import csv
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import directory_watcher, event_file_loader, io_wrapper

from fcclf.cli import entry
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.model import Model, Stack
from fcclf.settings.sources import Moons

VARYING = {"training/epochs_per_second", "_hparams_/session_start_info", "command/text_summary"}  # when and how it ran
GOLDEN = Path(__file__).parent / "golden"
FORKSERVER = multiprocessing.get_context("forkserver")
PRELOADED = ["fcclf.cli.entry", "fcclf.runs.training", "fcclf.runs.trained", "fcclf.views.evaluation"]
PRELOADED += ["fcclf.cluster.training", "fcclf.cluster.worker"]
FORKSERVER.set_forkserver_preload(PRELOADED)


def config(
    samples=100, noise=0.2, batch_size=16, epochs=6, hidden=(6, 4), jit="off", image_every=0, threads=1, **settings
):
    """A small run: 80 training samples, 5 batches; not compiled, one thread.

    Other settings go to the section that has them. data: a source instead of the moons; layers or preset: a `Stack`
    instead of the hidden layers.
    """
    model = Stack if {"layers", "preset"} & settings.keys() else Model
    sections = {"data": Moons, "model": model, "training": Training, "session": Session}
    settings |= {
        "samples": samples,
        "noise": noise,
        "batch_size": batch_size,
        "epochs": epochs,
        "hidden": hidden,
        "jit": jit,
        "image_every": image_every,
        "threads": threads,
    }
    made = {
        name: section(**{key: value for key, value in settings.items() if key in section.__dataclass_fields__})
        for name, section in sections.items()
    }
    return Config(**made | {name: settings[name] for name in ("data",) if name in settings})


def variables(path: Path) -> dict[str, np.ndarray]:
    """{name: values} of the newest checkpoint of a run, slots and counters included."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(path / "checkpoints")))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def history(path: Path) -> list[list[str]]:
    """The rows of history.csv, heading included, without the wall-clock column."""
    with open(path / "history.csv", newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def curves(path: Path) -> dict:
    """{(directory, tag): [(step, value), ...]} of every event in the files, in the order TensorBoard reads them.

    The values of `VARYING` are left out.
    """
    found = {}
    for name in ("", "train", "validation", "test"):
        if not (path / name).is_dir():
            continue
        loader = directory_watcher.DirectoryWatcher(
            str(path / name), event_file_loader.LegacyEventFileLoader, io_wrapper.IsTensorFlowEventsFile
        )
        for event in loader.Load():
            for value in event.summary.value:
                content = b"" if value.tag in VARYING else value.SerializeToString()
                found.setdefault((name, value.tag), []).append((event.step, content))
    return found


def scalars(path: Path) -> dict:
    """`curves` without histograms and pictures."""
    return {
        key: points
        for key, points in curves(path).items()
        if tf.compat.v1.Summary.Value.FromString(points[0][1]).HasField("simple_value")
    }


def assert_same_run(path: Path, reference: Path):
    """Both runs have equal variables, history and curves, bit for bit."""
    assert_same_variables(path, reference)
    assert history(path) == history(reference)
    assert curves(path) == curves(reference)


def assert_same_variables(path: Path, reference: Path):
    """Both runs have equal variables in their newest checkpoints, bit for bit."""
    expected, actual = variables(reference), variables(path)
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(actual[name], values, err_msg=name)


def start(*arguments, stdout=os.devnull, stderr=os.devnull, faults=()):
    """A process that runs `fcclf ARGUMENTS` in a fork of a server that has TensorFlow imported already.

    faults: called in the new process before anything else.
    """
    process = FORKSERVER.Process(
        target=_main, args=([str(each) for each in arguments], str(stdout), str(stderr), faults)
    )
    process.start()
    return process


def _main(arguments, stdout, stderr, faults):
    os.setsid()
    heed_signals()
    for number, path in ((1, stdout), (2, stderr)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.orig_argv = ["fcclf", *arguments]
    for fault in faults:
        fault()
    try:
        code = entry.main(arguments)
    except SystemExit as leaving:
        code = leaving.code
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def campaign(*values):
    """The long version of a parametrised test."""
    return pytest.param(*values, marks=[pytest.mark.campaign, pytest.mark.timeout(3600)])


def some_of(values, quick):
    """Parameters of a test, of which the campaign tries all, and every other run of the tests those in `quick`."""
    return [value if value in quick else campaign(value) for value in values]


def assert_one_sentence(error):
    """It can be shown as the one line of a command that failed."""
    assert len(str(error)) < 1000, str(error)
    assert "\n" not in str(error)


def heed_signals():
    """Default handling, also where the tests run in the background and so ignore some signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def elsewhere(function, *arguments):
    """What function(*arguments) returns in a process of its own that has TensorFlow imported and nothing built."""
    ours, theirs = FORKSERVER.Pipe(duplex=False)
    process = FORKSERVER.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    answer = ours.recv()
    process.join()
    return answer


def _answer(connection, function, arguments):
    connection.send(function(*arguments))


def python(program: str) -> str:
    """What a new Python process prints that runs `program` in this directory. Fails the test if the program fails."""
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
