"""Processes that are killed at any moment, and at any file operation."""

import itertools
import random
import shutil
import signal

import pytest
import runs
from faults import Death, finish, flags


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
