"""The promise, end to end: a run that is killed again and again ends bit-identical to one never touched."""

import random

import pytest
import runs

FLAGS = ["train", "moons", "--noise", "0.3", "--epochs", "2000", "--checkpoint-every", "20", "--quiet"]
EARLY = ["--early-stopping", "--patience", "900", "--validation-fraction", "0.2"]


@pytest.mark.parametrize("flags", [[], EARLY])
def test_a_run_killed_six_times_equals_one_never_touched(tmp_path, flags):
    """kill -9 at random moments from the start on, before and after the best epoch, the same command each time."""
    moments, kills = random.Random(7), 0
    while True:
        process = runs.start(*FLAGS, *flags, "--run-name", "run", "--logdir", tmp_path / "killed")
        process.join(timeout=moments.uniform(0.1, 1.6) if kills < 6 else None)
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
    untouched = runs.start(*FLAGS, *flags, "--run-name", "run", "--logdir", tmp_path / "untouched")
    untouched.join()
    assert process.exitcode == untouched.exitcode == 0
    assert kills == 6
    runs.assert_same_run(tmp_path / "killed" / "run", tmp_path / "untouched" / "run")
    metrics = [(tmp_path / each / "run" / "metrics.json").read_text() for each in ("killed", "untouched")]
    assert metrics[0] == metrics[1]
