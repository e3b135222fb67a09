"""The promise, end to end: a run that is killed again and again ends bit-identical to one never touched."""

import functools
import os
import random

import numpy as np
import pytest
import runs

from fcclf.runs import training, verification
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.model import Model
from fcclf.settings.sources import Table

FLAGS = ["train", "moons", "--noise", "0.3", "--epochs", "2500", "--quiet"]
FLAGS += ["--checkpoint-every", "20", "--image-every", "500", "--no-figures"]
EARLY = ["--early-stopping", "--patience", "2000", "--validation-fraction", "0.2"]


def wait_for_another_checkpoint(process, directory, saved):
    """Until there is a checkpoint that is not in `saved`, which it is added to, or the process has ended."""
    while process.exitcode is None:
        new = {path.name for path in directory.glob("epoch-*")} - set(saved)
        if new:
            saved.append(max(new))
            return
        process.join(timeout=0.01)


@pytest.mark.parametrize(
    ("kills", "flags"),
    [(1, ["--epochs", "300", "--jit", "off", *EARLY]), runs.campaign(6, EARLY), runs.campaign(6, [])],
)
def test_a_run_killed_again_and_again_equals_one_never_touched(tmp_path, kills, flags):
    """kill -9 at random moments from the start on, before and after the best epoch, the same command each time."""
    moments, saved = random.Random(7), []
    while True:
        process = runs.start(*FLAGS, *flags, "--run-name", "run", "--logdir", tmp_path / "killed")
        if len(saved) < kills:
            wait_for_another_checkpoint(process, tmp_path / "killed/run/checkpoints", saved)
            process.join(timeout=moments.uniform(0, 0.2))
        else:
            process.join()
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
    untouched = runs.start(*FLAGS, *flags, "--run-name", "run", "--logdir", tmp_path / "untouched")
    untouched.join()
    assert process.exitcode == untouched.exitcode == 0
    assert len(set(saved)) == kills
    runs.assert_same_run(tmp_path / "killed" / "run", tmp_path / "untouched" / "run")
    metrics = [(tmp_path / each / "run" / "metrics.json").read_text() for each in ("killed", "untouched")]
    assert metrics[0] == metrics[1]


@pytest.fixture
def wide(tmp_path):
    """(epochs, ...) -> the settings of a run whose bits show how products are split: 784 columns, batches of 64."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", X=rng.standard_normal((640, 784), np.float32), y=rng.integers(3, size=640))
    model, session = Model(hidden=(200, 100)), functools.partial(Session, image_every=0, histogram_every=0)
    return lambda epochs, **chosen: Config(
        Table(str(tmp_path / "wide.npz")), model, Training(batch_size=64, epochs=epochs), session(**chosen)
    )


def train_on_one_core(config, path):
    """What a process that may use one core says as it trains the run, and what its replay finds."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    said = []
    training.train(config, path, say=said.append)
    return said, verification.replay(path)


two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


@two_cores
@pytest.mark.parametrize("jit", ["off", runs.campaign("on")])
def test_a_run_goes_on_with_as_many_threads_as_it_began_with_however_many_cores_there_are(tmp_path, wide, jit):
    training.train(wide(4, jit=jit), tmp_path / "untouched")
    training.train(wide(2, jit=jit), tmp_path / "run")
    found = runs.elsewhere(train_on_one_core, wide(4, jit=jit), tmp_path / "run")
    assert found == (["going on after epoch 2"], None)
    runs.assert_same_variables(tmp_path / "run", tmp_path / "untouched")


@two_cores
@pytest.mark.campaign
@pytest.mark.parametrize("jit", ["off", "on"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_number_of_cores_changes_no_bit(tmp_path, wide, jit, threads):
    training.train(wide(3, jit=jit, threads=threads), tmp_path / "all")
    runs.elsewhere(train_on_one_core, wide(3, jit=jit, threads=threads), tmp_path / "one")
    runs.assert_same_run(tmp_path / "one", tmp_path / "all")


def test_a_run_that_goes_on_with_other_threads_says_so(tmp_path):
    said = []
    training.train(runs.config(threads=1, epochs=2), tmp_path)
    training.train(runs.config(threads=2, epochs=3), tmp_path, say=said.append)
    assert said[0] == ("the run was begun elsewhere (threads: 1 -> 2): it goes on, but may differ in the last bits")
