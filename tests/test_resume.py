"""The promise, end to end: a run that is killed again and again ends bit-identical to one never touched."""

import random

import pytest
import runs

from fcclf.runs import training
from fcclf.settings.sources import Table

MOONS, CURVE = ["moons", "--noise", "0.3"], ["curve", "--noise", "0.2"]
FLAGS = ["--epochs", "2500", "--quiet", "--checkpoint-every", "20", "--image-every", "500", "--no-figures"]
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
    ("kills", "data", "flags"),
    [
        (1, MOONS, ["--epochs", "300", "--jit", "off", *EARLY]),
        *(runs.campaign(6, data, flags) for data in (MOONS, CURVE) for flags in (EARLY, [])),
    ],
)
def test_a_run_killed_again_and_again_equals_one_never_touched(tmp_path, kills, data, flags):
    """kill -9 at random moments from the start on, before and after the best epoch, the same command each time."""
    moments, saved, command = random.Random(7), [], ["train", *data, *FLAGS, *flags, "--run-name", "run", "--logdir"]
    while True:
        process = runs.start(*command, tmp_path / "killed")
        if len(saved) < kills:
            wait_for_another_checkpoint(process, tmp_path / "killed/run/checkpoints", saved)
            process.join(timeout=moments.uniform(0, 0.2))
        else:
            process.join()
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
    untouched = runs.start(*command, tmp_path / "untouched")
    untouched.join()
    assert process.exitcode == untouched.exitcode == 0
    assert len(set(saved)) == kills
    runs.assert_same_run(tmp_path / "killed" / "run", tmp_path / "untouched" / "run")
    metrics = [(tmp_path / each / "run" / "metrics.json").read_text() for each in ("killed", "untouched")]
    assert metrics[0] == metrics[1]


@pytest.mark.slow
@pytest.mark.parametrize("jit", ["on", "off"])
def test_a_run_on_texts_and_missing_numbers_goes_on_exactly(tmp_path, jit):
    rows = [f"w{row * 7 % 30},{'fm'[row % 2]},{row % 9 or ''},{row // 2 % 2}" for row in range(90)]
    (tmp_path / "table.csv").write_text("\n".join(["word,sex,age,kind", *rows]))
    settings = {"data": Table(str(tmp_path / "table.csv")), "standardize": "features", "jit": jit}
    training.train(runs.config(epochs=3, **settings), tmp_path / "cut")
    training.train(runs.config(epochs=6, **settings), tmp_path / "cut")
    training.train(runs.config(epochs=6, **settings), tmp_path / "whole")
    runs.assert_same_run(tmp_path / "cut", tmp_path / "whole")
    assert runs.variables(tmp_path / "whole")["encode1/embedding1"].shape[1] == 6


@pytest.mark.slow
def test_a_run_that_goes_on_with_other_threads_says_so(tmp_path):
    said = []
    training.train(runs.config(threads=1, epochs=2), tmp_path)
    training.train(runs.config(threads=2, epochs=3), tmp_path, say=said.append)
    assert said[0] == ("the run was begun elsewhere (threads: 1 -> 2): it goes on, but may differ in the last bits")
