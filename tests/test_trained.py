"""Trained runs, opened from their directory alone."""

import json
import shutil

import numpy as np
import pytest
import runs

from fcclf.data import loading
from fcclf.errors import RunError
from fcclf.learning import predictor
from fcclf.learning.program import Program, borrowed
from fcclf.learning.stretches import stretches
from fcclf.runs import checkpoint, recorder, run_directory, training
from fcclf.runs.trained import TrainedRun
from fcclf.system import durable


def test_probabilities_are_what_the_weights_say(finished_run):
    X = loading.load(runs.config()).test.X
    with TrainedRun(finished_run) as run:
        outputs, weights = X, run.weights()
        for name in ("fc1", "fc2"):
            outputs = outputs @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]
            outputs = np.where(outputs > 0, outputs, np.expm1(outputs))
        logits = outputs @ weights["output/kernel"] + weights["output/bias"]
        np.testing.assert_allclose(run.logits(X), logits, rtol=1e-4, atol=1e-5)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(run.probabilities(X), shares, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(run.predictions(X), logits.argmax(axis=1))
        assert run.epoch == 6


def test_its_accuracy_is_the_last_one_of_the_history(finished_run):
    dataset = loading.load(runs.config())
    with TrainedRun(finished_run) as run:
        accuracy = np.mean(run.predictions(dataset.test.X) == dataset.test.y)
    assert str(np.float32(accuracy)) == runs.history(finished_run)[-1][-1]


def test_large_inputs_go_through_piece_by_piece(finished_run, monkeypatch):
    X = np.random.default_rng(0).standard_normal((1000, 2), np.float32)
    with TrainedRun(finished_run) as run:
        whole = run.logits(X)
        monkeypatch.setattr(predictor, "MOST_BLOCKS", 1)
        np.testing.assert_array_equal(run.logits(X), whole)
        assert run.logits(X[:0]).shape == (0, 2)


def test_a_row_has_the_same_answer_alone_and_in_any_company(finished_run):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 2), np.float32)
    with TrainedRun(finished_run) as run:
        whole, order = run.logits(X), rng.permutation(1000)
        np.testing.assert_array_equal(run.logits(X[order]), whole[order])
        np.testing.assert_array_equal(run.logits(X[7:8]), whole[7:8])


def test_two_runs_are_open_side_by_side(finished_run):
    X = loading.load(runs.config()).test.X
    with TrainedRun(finished_run) as first, TrainedRun(finished_run) as second:
        np.testing.assert_array_equal(first.logits(X), second.logits(X))


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="is not a run directory"):
            TrainedRun(path)


def test_a_run_without_checkpoint_is_refused(finished_run, tmp_path):
    path = shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(RunError, match="has no checkpoint yet"):
        TrainedRun(path)


def test_the_golden_run_loads_and_predicts_what_it_always_did():
    """A run of version 0.1.0, kept in the repository: it must load for ever."""
    golden = runs.GOLDEN
    expected = np.loadtxt(golden / "probabilities.csv", delimiter=",", dtype=np.float32)
    with TrainedRun(golden / "moons") as run:
        np.testing.assert_allclose(run.probabilities(expected[:, :2]), expected[:, 2:], rtol=1e-5, atol=1e-6)
        assert run.epoch == 200


def test_the_golden_run_can_be_trained_on():
    description = run_directory.read(runs.GOLDEN / "moons")
    found = checkpoint.newest(runs.GOLDEN / "moons/checkpoints", description.fingerprint)
    config, dataset = description.config, loading.load(description.config)
    with borrowed(Program, training.plan_on(config, dataset)) as program:
        training.begin(program, config, dataset)
        recorder.restore(found, program)
        *_, last = stretches(program, loading.parts(config, dataset), found.epoch + 1)
    assert last.finite
    assert last.metrics["test_accuracy"][0] > 0.98


def test_a_configuration_that_describes_other_data_is_refused(finished_run, tmp_path):
    path = shutil.copytree(finished_run, tmp_path / "run")
    stored = json.loads((path / "config.json").read_text())
    stored.pop("sha256")
    stored["config"]["data"]["noise"] = 0.9
    (path / "config.json").write_text(durable.seal(stored))
    with TrainedRun(path) as run, pytest.raises(RunError, match="are not those the run was trained on"):
        run.dataset()
