"""Several processes at one run: one writes, the others say so, readers need no lock."""

import pytest
import runs
from faults import Before, flags

from fcclf.runs.trained import TrainedRun


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [1, runs.campaign(50)])
def test_of_two_starters_at_the_same_instant_one_trains_and_the_other_names_it(tmp_path, reference, pairs):
    for pair in range(pairs):
        path, barrier = tmp_path / f"run {pair}", runs.FORKSERVER.Barrier(2)
        errors = [tmp_path / f"{pair}-{name}" for name in "ab"]
        both = [runs.start(*flags(path), faults=[barrier.wait], stderr=error) for error in errors]
        for process in both:
            process.join()
        assert sorted(process.exitcode for process in both) == [0, 1]
        winner, loser = sorted(both, key=lambda process: process.exitcode)
        assert f"in use by process {winner.pid}:" in errors[both.index(loser)].read_text()
        runs.assert_same_run(path, reference())


@pytest.mark.slow
@pytest.mark.parametrize("loads", [10, runs.campaign(200)])
def test_a_run_can_be_read_while_it_saves_and_prunes_at_every_epoch(tmp_path, loads):
    path, saved, epochs = tmp_path / "run", runs.FORKSERVER.Event(), []
    writer = runs.start(*flags(path, epochs=10**6, keep=1), faults=[Before("fcclf.runs.checkpoint.prune", saved.set)])
    try:
        assert saved.wait(timeout=60)
        for _ in range(loads):
            with TrainedRun(path) as run:
                epochs.append(run.epoch)
            assert runs.curves(path)
        assert writer.exitcode is None
    finally:
        writer.terminate()
        writer.join()
    assert epochs == sorted(epochs)
    assert epochs[0] < epochs[-1]
