"""Bits depend on what was asked for: not on what the process did before, on who shares it, or on cores.

Everything is done with 784 columns and batches of 64, whose bits show how a product is split over threads.
"""

import functools
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import runs

from fcclf import Config, FCClassifier, open_run, train
from fcclf.learning.predictor import sessions_own_threads
from fcclf.runs import verification
from fcclf.settings.config import Session, Training
from fcclf.settings.model import Model
from fcclf.settings.sources import Table

SESSION = """
import tensorflow as tf
with tf.Graph().as_default(), tf.compat.v1.Session(
    config=tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
) as session:
    session.run(tf.constant(1.0) + 1)
"""
EAGER = "import tensorflow as tf; tf.constant(1.0) + 1"
PREDICTION = """
from fcclf.learning.predictor import Predictor
from fcclf.settings.blocks import Dense
Predictor((("output", Dense(2)),), 2, threads=1).close()
"""
OTHER_FIT = """
import numpy as np
from fcclf import FCClassifier
FCClassifier((3,), max_iter=2).fit(np.eye(4), [0, 1, 0, 1])
"""
KERAS = """
import keras, numpy as np
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.eye(4), np.ones(4), verbose=0)
"""
BEFORE = [EAGER, SESSION, PREDICTION, OTHER_FIT, KERAS]
X = np.random.default_rng(0).standard_normal((512, 784), np.float32)


@pytest.fixture
def wide(tmp_path):
    """(epochs, ...) -> the settings of a run."""
    np.savez(tmp_path / "wide.npz", X=np.r_[X, X[:128]], y=np.random.default_rng(1).integers(3, size=640))
    model, session = Model(hidden=(200, 100)), functools.partial(Session, image_every=0, histogram_every=0)
    return lambda epochs, **chosen: Config(
        Table(str(tmp_path / "wide.npz")), model, Training(batch_size=64, epochs=epochs), session(**chosen)
    )


def assert_equal(arrays, others):
    for values, expected in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(values, expected)


# ---- what the process did before -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "epochs"),
    [
        (PREDICTION, 1),
        *(runs.campaign(each, 1) for each in BEFORE),
        *(runs.campaign(each, 520) for each in BEFORE),
    ],
)
def test_what_the_process_did_before_changes_no_bit_of_a_fit(before, epochs):
    assert_equal(*(runs.elsewhere(fit_after, each, epochs) for each in (before, "")))


def fit_after(program, epochs):
    """What a fit learns and predicts in a process that has run a program before."""
    exec(program)
    return fit(epochs)


def fit(epochs):
    y = (np.abs(X).sum(axis=1) * 1000).astype(int) % 10
    model = FCClassifier((200, 100), max_iter=epochs, batch_size=64, random_state=0, tol=0, n_iter_no_change=10**6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    return [*model.coefs_, model.predict_proba(X)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "threads", "jit"),
    [
        (OTHER_FIT, 2, "off"),
        *(runs.campaign(each, threads, jit) for each in BEFORE for threads in (1, 2, 4) for jit in ("off", "on")),
    ],
)
def test_what_the_process_did_before_changes_no_bit_of_a_run_its_replay_and_its_answers(
    tmp_path, wide, before, threads, jit
):
    config = wide(2, threads=threads, jit=jit)
    used, fresh = tmp_path / "used", tmp_path / "fresh"
    np.testing.assert_array_equal(
        runs.elsewhere(run_after, before, config, used), runs.elsewhere(run_after, "", config, fresh)
    )
    runs.assert_same_run(used, fresh)


def run_after(program, config, path):
    """The logits of a run that is trained and replayed in a process that has run a program before."""
    exec(program)
    return run(config, path)


def run(config, path):
    train(config, path)
    assert verification.replay(path) is None
    with open_run(path) as trained:
        return trained.logits(X)


# ---- who shares the process ------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_runs_and_fits_that_share_a_process_change_no_bit_of_each_other(tmp_path, wide, threads):
    config = wide(4, threads=threads)
    shared = runs.elsewhere(side_by_side, config, tmp_path)
    alone = [runs.elsewhere(run, config, tmp_path / "alone"), runs.elsewhere(fit, 2)]
    for logits, fitted in shared:
        np.testing.assert_array_equal(logits, alone[0])
        assert_equal(fitted, alone[1])
    for number in range(len(shared)):
        runs.assert_same_run(tmp_path / str(number), tmp_path / "alone")


def test_threads_that_begin_at_once_agree_that_sessions_have_their_own_threads():
    assert runs.elsewhere(asked_at_once, 8) == [True] * 8


def asked_at_once(count):
    with ThreadPoolExecutor(count) as pool:
        barrier = threading.Barrier(count)
        return list(pool.map(lambda _: barrier.wait() >= 0 and sessions_own_threads(), range(count)))


def side_by_side(config, directory):
    """[(logits of a run, what a fit learns), ...] of four threads at once."""
    with ThreadPoolExecutor(4) as pool:
        trained = [pool.submit(run, config, directory / str(number)) for number in range(4)]
        fitted = [pool.submit(fit, 2) for _ in range(4)]
        return [(one.result(), other.result()) for one, other in zip(trained, fitted, strict=True)]


# ---- how many cores there are ----------------------------------------------------------------------------------------


def train_on_one_core(config, path):
    """What a process that may use one core says as it trains the run, and what its replay finds."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    said = []
    train(config, path, say=said.append)
    return said, verification.replay(path)


two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


@pytest.mark.slow
@two_cores
@pytest.mark.parametrize("jit", ["off", runs.campaign("on")])
def test_a_run_goes_on_with_as_many_threads_as_it_began_with_however_many_cores_there_are(tmp_path, wide, jit):
    train(wide(4, jit=jit), tmp_path / "untouched")
    train(wide(2, jit=jit), tmp_path / "run")
    found = runs.elsewhere(train_on_one_core, wide(4, jit=jit), tmp_path / "run")
    assert found == (["going on after epoch 2"], None)
    runs.assert_same_variables(tmp_path / "run", tmp_path / "untouched")


@two_cores
@pytest.mark.campaign
@pytest.mark.parametrize("jit", ["off", "on"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_number_of_cores_changes_no_bit(tmp_path, wide, jit, threads):
    train(wide(3, jit=jit, threads=threads), tmp_path / "all")
    runs.elsewhere(train_on_one_core, wide(3, jit=jit, threads=threads), tmp_path / "one")
    runs.assert_same_run(tmp_path / "one", tmp_path / "all")
