"""Processes that are killed at any moment, and at any file operation."""

import itertools
import random
import shutil
import signal

import pytest
import runs
from faults import Death, finish, flags

from fcclf.runs import figures


@pytest.mark.campaign
@pytest.mark.parametrize(("kills", "epochs"), [(200, 400)])
def test_a_run_killed_at_random_moments_ends_bit_identical_to_an_untouched_one(tmp_path, reference, kills, epochs):
    moments, done = random.Random(kills), 0
    for number in itertools.count():
        path = tmp_path / f"run {number}"
        done += kill_until_finished(path, epochs, moments, kills - done)
        runs.assert_same_run(path, reference(epochs))
        if done == kills:
            break


def kill_until_finished(path, epochs, moments, most):
    """Starts the run again after each kill, until it finishes or was killed `most` times; how often it was."""
    for kills in range(most):
        process = runs.start(*flags(path, epochs=epochs))
        process.join(timeout=moments.uniform(0.1, 1.2))
        process.kill()
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL
    finish(path, epochs=epochs)
    return most


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [500])
def test_runs_of_every_kind_killed_also_while_they_draw_end_bit_identical(tmp_path, kills):
    """Random settings; early stopping and figures are always on."""
    moments, done = random.Random(kills), 0
    for number in itertools.count():
        path, untouched, settings = tmp_path / f"run {number}", tmp_path / f"untouched {number}", drawn(moments)
        done += kill_until_drawn(path, settings, moments, kills - done)
        finish(untouched, **settings)
        runs.assert_same_run(path, untouched)
        assert {each.name for each in (path / "figures").iterdir()} == FIGURES
        shutil.rmtree(untouched)
        if done == kills:
            break


FIGURES = {f"{name}.{suffix}" for name in figures.AT_THE_END for suffix in figures.FORMATS}


def drawn(random):
    """The settings of a run that keeps everything that a run can keep."""
    return {
        "early_stopping": True,
        "patience": random.choice([2, 50]),
        "hidden": random.choice([(6, 4), (5,), (8, 8, 8)]),
        "batch_norm": random.choice(["none", "before", "after"]),
        "dropout": random.choice([0.0, 0.2]),
        "optimizer": random.choice(["adam", "sgd", "nesterov", "rmsprop"]),
        "schedule": random.choice(["constant", "exponential", "adaptive", "invscaling"]),
        "class_weight": random.choice([None, "balanced"]),
        "batch_size": random.choice([7, 16, 72]),
        "image_every": random.choice([0, 10]),
        "checkpoint_every": random.choice([0, 1, 7]),
        "epochs": random.choice([40, 200]),
        "seed": random.randrange(1000),
    }


def kill_until_drawn(path, settings, moments, most):
    """Starts the run again after each kill, until it finishes, or a last time after `most` kills; how often it was."""
    errors = path.with_suffix(".errors")
    for kills in range(most + 1):
        process = runs.start(*flags(path, figures=True, **settings), stderr=errors)
        process.join(timeout=moments.uniform(0.1, 3) if kills < most else None)
        process.kill()
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL, errors.read_text()
    raise AssertionError("the last start was not killed and did not finish")


@pytest.mark.parametrize("stride", [113, runs.campaign(1)])
def test_death_at_any_file_operation_leaves_the_old_or_the_new_state(tmp_path, reference, stride):
    settings = {"epochs": 2, "keep": 1}
    for number in itertools.count(stride, stride):
        path = tmp_path / f"run {number}"
        process = runs.start(*flags(path, **settings), faults=[Death(at=number)])
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        finish(path, **settings)
        runs.assert_same_run(path, reference(2))
        shutil.rmtree(path)
    assert number > 2 * stride
