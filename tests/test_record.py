"""History and event files of a run: cut back, and repaired one from the other."""

import contextlib
import os
import shutil

import numpy as np
import pytest
import runs

from fcclf.errors import RunError
from fcclf.learning.plan import planned
from fcclf.runs import checkpoint, history, record, run_directory
from fcclf.settings.run_config import DataShape

EPOCHS, METRICS = 6, planned(runs.config(), DataShape(2, 2), (80, 0, 20)).metrics  # of the finished run


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def committed(path):
    fingerprint = run_directory.read(path).fingerprint
    return checkpoint.newest(path / "checkpoints", fingerprint).committed


def recovered(path):
    said = []
    files = record.recover(path, EPOCHS, committed(path), METRICS, said.append)
    return files, said


def damage(file, at):
    """Flips a bit; a negative position counts from the end."""
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


HARMS = {
    "flip": lambda file: damage(file, -25),
    "cut": lambda file: os.truncate(file, 50),
    "remove": lambda file: file.unlink(),
}


def scalar_curves(path):
    found = runs.curves(path)
    return {
        (name, tag): found[name, tag] for name, tags in record.CURVES.items() for tag in tags if (name, tag) in found
    }


def test_a_sound_record_is_left_alone(run):
    before = committed(run)
    files, said = recovered(run)
    assert files == before
    assert said == []


def test_what_was_written_after_the_checkpoint_is_cut_off(run, finished_run):
    for file in before_files(run):
        with open(run / file, "ab") as grown:
            grown.write(b"not committed")
    later = run / "train" / "events.out.tfevents.000002"
    later.write_bytes(b"a later attempt")
    files, said = recovered(run)
    assert files == committed(run)
    assert not later.exists()
    assert said == []
    runs.assert_same_run(run, finished_run)


def test_an_event_file_that_the_checkpoint_should_know_is_not_deleted(run):
    forgotten = run / "test" / "events.out.tfevents.000000"
    forgotten.write_bytes(b"older than the checkpoint")
    with pytest.raises(RunError, match="000000 is older than the last checkpoint, which does not know it"):
        recovered(run)
    assert forgotten.exists()


def before_files(run):
    return list(committed(run))


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_history_is_written_anew_from_the_event_files(run, finished_run, harm):
    HARMS[harm](run / "history.csv")
    _, said = recovered(run)
    assert runs.history(run) == runs.history(finished_run)
    assert "was damaged: it was rewritten from the event files" in said[0]


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("harm", HARMS)
def test_damaged_curves_are_written_anew_from_the_history(run, finished_run, name, harm):
    HARMS[harm](run / name / "events.out.tfevents.000001")
    _, said = recovered(run)
    assert scalar_curves(run) == scalar_curves(finished_run)
    assert f"{name} was damaged" in said[0]
    columns = history.read(run)
    np.testing.assert_array_equal(columns["epoch"], np.arange(1, EPOCHS + 1))


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_event_file_without_curves_costs_nothing_but_itself(run, finished_run, harm):
    HARMS[harm](run / "events.out.tfevents.000001")
    HARMS[harm](run / "history.csv")
    _, said = recovered(run)
    assert scalar_curves(run) == scalar_curves(finished_run)
    assert runs.history(run) == runs.history(finished_run)
    assert len(said) == 2


def test_a_history_with_the_columns_of_an_older_release_keeps_them(run):
    history.rewrite(run, EPOCHS, {"train_loss": dict.fromkeys(range(1, EPOCHS + 1), 0.5)})
    log = history.History(run, METRICS)
    log.append(EPOCHS + 1, metrics_of(1), seconds=0.25)
    log.close()
    assert runs.history(run)[0] == ["epoch", "train_loss"]
    assert runs.history(run)[-1] == [str(EPOCHS + 1), "0.0"]


def test_damage_to_both_is_an_error_that_names_them(run):
    damage(run / "history.csv", 100)
    damage(run / "test" / "events.out.tfevents.000001", -30)
    with pytest.raises(RunError, match=r"history\.csv and test/events\.out\.tfevents\.000001 are damaged"):
        recovered(run)


def test_a_commit_measures_what_is_on_disk(run):
    files, _ = recovered(run)
    with contextlib.closing(record.Record(run, files, next_epoch=7, metrics=METRICS)) as opened:
        metrics = metrics_of(3)
        opened.epochs(7, metrics, seconds=0.1)
        first = dict(opened.commit())
        opened.epochs(10, metrics, seconds=0.1)
        second = opened.commit()
    new = {f"{directory}events.out.tfevents.000002" for directory in ("", "train/", "test/")}
    assert first.keys() == second.keys() == {*files, *new}
    for file, measured in second.items():
        assert measured == record.durable.measure(run / file)
    assert first["train/events.out.tfevents.000001"] == files["train/events.out.tfevents.000001"]


def metrics_of(count):
    return {name: np.arange(count, dtype=np.float32) for name in METRICS}
