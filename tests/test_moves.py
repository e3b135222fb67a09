"""A run directory that is moved, deleted or replaced while it is trained: nothing is written into another run."""

import contextlib
import itertools
import shutil

import pytest
import runs
from faults import finish, small

from fcclf import FCClassifier
from fcclf.errors import RunError
from fcclf.learning import stretches
from fcclf.learning.program import Program
from fcclf.runs import checkpoint, overview, run_directory, training
from fcclf.runs.recorder import Recorder

SETTINGS = {"epochs": 8, "checkpoint_every": 2}


def contents(path):
    """{relative path: bytes} of every file."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def move(path, aside):
    path.rename(aside)


def move_and_come_back_through_a_link(path, aside):
    path.rename(aside)
    (path.parent / "other").mkdir()
    path.symlink_to(path.parent / "other")


def replace_lock(path, aside):
    shutil.copytree(path, aside)
    (path / ".lock").unlink()
    (path / ".lock").touch()


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    """The directory of another run, that comes to stand where the first one was."""
    path = tmp_path_factory.mktemp("another") / "run"
    training.train(small(seed=1, epochs=2), path)
    return path


DEEDS = itertools.product((0, 3, 4, 7), (move, move_and_come_back_through_a_link, replace_lock), (False, True))


@pytest.fixture
def waits(monkeypatch):
    """Training goes on only when a save has ended."""
    save = Recorder.save
    monkeypatch.setattr(Recorder, "save", lambda recorder: (save(recorder), recorder.wait()))


@pytest.mark.parametrize(
    ("epoch", "deed", "replaced"),
    [(4, move, True), (3, replace_lock, False), *(runs.campaign(*each) for each in DEEDS)],
)
def test_a_writer_whose_directory_is_gone_stops_and_what_it_saved_goes_on(
    tmp_path, reference, another, epoch, deed, replaced, waits
):
    path, aside, seen = tmp_path / "run", tmp_path / "aside", []

    def progress(done, metrics):
        if done >= epoch and not seen:
            deed(path, aside)
            if replaced:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
                shutil.copytree(another, path)
            seen.append(contents(path))

    with pytest.raises(RunError, match=r"run was moved, deleted or replaced while it was trained: what was saved"):
        training.train(small(**SETTINGS), path, progress=progress, longest_stretch=5)
    assert contents(path) == seen[0]
    finish(aside, **SETTINGS)
    runs.assert_same_run(aside, reference(SETTINGS["epochs"]))


@pytest.mark.parametrize("phase", ["commit", "_point_to"])
def test_a_writer_whose_directory_is_replaced_in_the_middle_of_a_save_leaves_the_others_checkpoints_alone(
    tmp_path, reference, another, phase, monkeypatch
):
    path, aside, original, calls = tmp_path / "run", tmp_path / "aside", getattr(checkpoint, phase), itertools.count()

    def replaced_first(*arguments):
        if next(calls) == 2:
            move(path, aside)
            shutil.copytree(another, path)
        return original(*arguments)

    monkeypatch.setattr(checkpoint, phase, replaced_first)
    with pytest.raises(RunError, match=r"run was moved, deleted or replaced while it was trained: what was saved"):
        training.train(small(**SETTINGS), path)
    monkeypatch.undo()
    assert overview.read(path).epochs == 2
    assert checkpoint.committed_paths(path / "checkpoints") == [
        path / each.relative_to(another) for each in checkpoint.committed_paths(another / "checkpoints")
    ]
    finish(aside, **SETTINGS)
    runs.assert_same_run(aside, reference(SETTINGS["epochs"]))


@pytest.mark.slow
def test_a_fit_whose_directory_was_moved_stops(tmp_path, monkeypatch):
    X, y, path, aside = [[0.0], [1.0]] * 10, [0, 1] * 10, tmp_path / "run", tmp_path / "aside"
    advance = Program.advance
    monkeypatch.setattr(stretches, "FIRST_STRETCH", 2)
    monkeypatch.setattr(stretches, "MOST_GROWTH", 1)

    def moved(self, *arguments):
        with contextlib.suppress(FileNotFoundError):
            path.rename(aside)
        return advance(self, *arguments)

    monkeypatch.setattr(Program, "advance", moved)
    classifier = FCClassifier(hidden_layer_sizes=2, max_iter=9, tol=0, random_state=0, logdir=path)
    with pytest.raises(RunError, match="was moved, deleted or replaced"):
        classifier.fit(X, y)
    assert not path.exists()
    assert overview.read(aside).epochs == 0


def test_the_lock_is_that_of_the_directory_that_is_there_now(tmp_path):
    with run_directory.claimed(tmp_path / "run"):
        lock = run_directory.lock_file(tmp_path / "run")
        run_directory.check_lock(tmp_path / "run", lock)
        (tmp_path / "run").rename(tmp_path / "aside")
        run_directory.check_lock(tmp_path / "aside", lock)
        with run_directory.claimed(tmp_path / "run"), pytest.raises(RunError, match="run was moved"):
            run_directory.check_lock(tmp_path / "run", lock)
