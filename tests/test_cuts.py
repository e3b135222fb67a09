"""Where a run is cut into starts and stretches changes no bit of it."""

import itertools
import random

import pytest
import runs
from faults import After, finish, flags, small

from fcclf.runs import training
from fcclf.runs.recorder import Recorder


@pytest.mark.campaign
def test_more_epochs_go_on_as_one_long_run_and_fewer_are_past_already(tmp_path, reference):
    path, errors = tmp_path / "run", tmp_path / "errors"
    for epochs in (7, 40):
        finish(path, epochs=epochs)
        runs.assert_same_run(path, reference(epochs))
    process = runs.start(*flags(path, epochs=5), stderr=errors)
    process.join()
    assert process.exitcode == 0
    assert "finished 40 epochs, past the 5 asked for" in errors.read_text()
    runs.assert_same_run(path, reference())


PARTITIONS = [  # where the 6 epochs of 5 batches are cut
    [5 * epoch for epoch in range(1, 6) if mask & 1 << epoch - 1] for mask in range(32)
]


@pytest.mark.parametrize("every", [1, runs.campaign(5), runs.campaign(0)])
@pytest.mark.parametrize("masks", [(10,), runs.campaign(range(32))])
def test_all_partitions_of_the_epochs_into_starts_give_the_same_bits(tmp_path, reference, monkeypatch, masks, every):
    for mask in masks:
        path = tmp_path / f"run {mask}"
        in_stretches(monkeypatch, path, [[cut] for cut in PARTITIONS[mask]], every)
        runs.assert_same_run(path, reference(6))


@pytest.mark.parametrize("count", [1, runs.campaign(50)])
def test_random_cuts_inside_epochs_into_chunks_and_starts_give_the_same_bits(tmp_path, reference, monkeypatch, count):
    places = random.Random(count)
    for number in range(count):
        path = tmp_path / f"run {number}"
        cuts = sorted(places.sample(range(1, 30), places.randint(1, 12)))
        stops = sorted(places.sample(range(len(cuts)), min(len(cuts), places.randint(1, 4))))
        starts = [cuts[first:last] for first, last in itertools.pairwise([0, *stops, len(cuts)])]
        in_stretches(monkeypatch, path, [each for each in starts if each], places.choice((0, 1, 5)))
        runs.assert_same_run(path, reference(6))


def in_stretches(monkeypatch, path, starts, every):
    """Trains 6 epochs: one start for each list of steps, stopped at its last step, chunks ending at the others too."""
    settings = {"epochs": 6, "checkpoint_every": every}
    with monkeypatch.context() as patch:
        for cuts in starts:
            stretch = Stretch(cuts)
            patch.setattr(Recorder, "next_stop", lambda recorder, stretch=stretch: stretch.next_stop(recorder))
            outcome = training.train(small(**settings), path, interrupts=stretch, longest_stretch=30)
            assert outcome.interrupted
    finish(path, **settings)


NEXT_STOP = Recorder.next_stop


class Stretch(After):
    """Interrupts that end a run at the last of the steps `cuts`; `next_stop` ends its chunks at all of them."""

    def __init__(self, cuts):
        self.cuts, self.reached = cuts, 0

    def next_stop(self, recorder):
        self.reached = min([NEXT_STOP(recorder), *(cut for cut in self.cuts if cut > recorder.program.step)])
        return self.reached

    def pending(self):
        return self.reached == self.cuts[-1]
