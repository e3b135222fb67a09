"""Runs at a glance, without TensorFlow: how far, how good, in which settings they differ."""

import shutil
import signal

import pytest
import runs

from fcclf.errors import RunError
from fcclf.runs import history, overview, run_directory, training
from fcclf.settings.config import Config
from fcclf.system.interrupts import Interrupts


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(finished_run, tmp_path / "logs" / "run")


def test_a_finished_run_has_its_last_epochs_metrics(finished_run):
    seen, columns = overview.read(finished_run), history.read(finished_run)
    assert (seen.state, seen.epochs, seen.best_epoch) == (overview.FINISHED, 6, None)
    assert seen.metrics == {name: columns[name][-1] for name in Config().highlights}


def test_a_run_that_was_asked_for_more_is_unfinished(run):
    interrupts = Interrupts()
    interrupts.received = signal.SIGINT
    training.train(runs.config(epochs=9), run, interrupts=interrupts)
    seen = overview.read(run)
    assert (seen.state, seen.epochs, seen.config.training.epochs) == (overview.UNFINISHED, 6, 9)


def test_a_run_whose_lock_is_held_is_being_trained(run):
    with run_directory.claimed(run):
        assert overview.read(run).state == overview.TRAINING
    assert overview.read(run).state == overview.FINISHED


def test_early_stopping_is_told_from_the_history_alone(tmp_path):
    config = runs.config(early_stopping=True, patience=2, min_delta=0.1, epochs=60)
    outcome = training.train(config, tmp_path)
    assert outcome.epoch < 60
    seen, columns = overview.read(tmp_path), history.read(tmp_path)
    assert (seen.state, seen.epochs, seen.best_epoch) == (overview.FINISHED, outcome.epoch, outcome.best_epoch)
    assert seen.metrics["test_loss"] == columns["test_loss"][outcome.best_epoch - 1]


def test_epochs_after_the_newest_checkpoint_do_not_count(run):
    with open(run / "history.csv", "a") as file:
        file.write(",".join(["7", *["0.5"] * (len(history.read(run)) - 1)]) + "\n")
    assert overview.read(run).epochs == 6
    assert len(overview.read(run).columns["epoch"]) == 6


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.json", "{}", "config.json cannot be read"),
        ("history.csv", "epoch,test_loss\n1,much\n", "history.csv is damaged"),
        ("history.csv", "epoch,test_loss\n1,0.5\n", "history.csv lacks epochs before 6"),
        ("checkpoints/epoch-000006/manifest.json", "{}", "cannot be read"),
    ],
)
def test_a_damaged_run_is_listed_as_such_beside_the_others(run, finished_run, file, content, words):
    shutil.copytree(finished_run, run.parent / "sound")
    (run / file).write_text(content)
    damaged, sound = overview.find(run.parent)
    assert (damaged.state, sound.state) == (overview.DAMAGED, overview.FINISHED)
    assert words in damaged.problem
    assert overview.listing([damaged])[0] == {
        "run": "run",
        "data": None,
        "epochs": None,
        "of": None,
        "test_accuracy": None,
        "state": "damaged",
    }


def test_other_files_and_directories_are_no_runs(run):
    (run.parent / "compare.png").write_text("")
    (run.parent / "empty").mkdir()
    assert [each.path for each in overview.find(run.parent)] == [run]


def test_a_log_directory_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match="is not a directory: name the one that runs are kept in"):
        overview.find(tmp_path / "none")


@pytest.mark.slow
def test_a_comparison_names_the_settings_that_differ(finished_run, tmp_path):
    training.train(runs.config(hidden=(3,), l2=0.01), tmp_path / "other")
    rows = overview.comparison([overview.read(finished_run), overview.read(tmp_path / "other")])
    assert [row["run"] for row in rows] == ["finished", "other"]
    assert [(row["hidden"], row["l2"]) for row in rows] == [((6, 4), 0.001), ((3,), 0.01)]
    assert "seed" not in rows[0]


def test_runs_of_one_name_are_told_apart_by_their_paths(run, finished_run, tmp_path):
    other = shutil.copytree(finished_run, tmp_path / "more" / "run")
    assert overview.names([overview.read(run), overview.read(other)]) == [str(run), str(other)]


def test_a_table_is_aligned_with_numbers_to_the_right():
    rows = [
        {"run": "a", "epochs": 5, "test_loss": 0.25, "l2": 0.001, "hidden": (6, 4)},
        {"run": "long", "epochs": 1000, "test_loss": None, "l2": 0.01, "hidden": (3,)},
    ]
    assert overview.table(rows).splitlines() == [
        "run   epochs  test loss     l2  hidden",
        "a          5     0.2500  0.001     6 4",
        "long    1000          -   0.01       3",
    ]
