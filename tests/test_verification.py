"""`fcclf verify`: sound runs pass, and each kind of damage is named."""

import os
import shutil

import numpy as np
import pytest
import runs
import tensorflow as tf

from fcclf.cli import entry
from fcclf.data import loading
from fcclf.errors import RunError
from fcclf.learning.program import Program, borrowed
from fcclf.runs import checkpoint, recorder, run_directory, training, verification


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def problems(path):
    return list(verification.check(path))


def newest(path):
    return checkpoint.committed_paths(path / "checkpoints")[-1]


def test_a_finished_run_is_sound_and_trains_again_to_the_same_bits(run):
    assert problems(run) == []
    assert verification.replay(run) is None


def test_a_run_whose_last_checkpoints_are_inside_epochs_trains_again_to_the_same_bits(tmp_path):
    training.train(runs.config(checkpoint_seconds=1e-9), tmp_path / "run", longest_stretch=4)
    assert newest(tmp_path / "run").name == "epoch-000006"
    said = []
    assert verification.replay(tmp_path / "run", said.append) is None
    assert said == ["training again from epoch-000005-batch-000003 to epoch-000006"]


@pytest.mark.parametrize(
    "file", ["history.csv", "train/events.out.tfevents.000001", "checkpoints/epoch-000006/model.ckpt.index"]
)
def test_a_damaged_file_is_named(run, file):
    content = (run / file).read_bytes()
    (run / file).write_bytes(content[:70] + b"?" + content[71:])
    assert [str(run / file) in problem for problem in problems(run)] == [True]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The directory of a finished and evaluated run with early stopping. Tests work on copies."""
    path = tmp_path_factory.mktemp("evaluated") / "run"
    training.train(runs.config(early_stopping=True), path)
    assert entry.main(["evaluate", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    "file",
    [
        "metrics.json",
        "validation/events.out.tfevents.000001",
        *(f"checkpoints/epoch-000006/{name}" for name in sorted(checkpoint.BEST_FILES)),
    ],
)
@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_damage_to_what_is_kept_of_the_best_epoch_or_of_its_evaluation_is_named(evaluated, tmp_path, file, harm):
    run = shutil.copytree(evaluated, tmp_path / "run")
    assert problems(run) == []
    content = (run / file).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    (run / file).write_bytes({"flip": flipped, "cut": content[:middle], "empty": b""}[harm])
    assert [str(run / file) in problem for problem in problems(run)] == [True]


def test_an_evaluation_of_another_run_is_named(run, evaluated):
    shutil.copy(evaluated / "metrics.json", run)
    remedy = f"fcclf evaluate {run} writes it again"
    assert problems(run) == [
        f"{run / 'metrics.json'} is no evaluation of this run (it is of another run or a later epoch): {remedy}."
    ]
    assert entry.main(["evaluate", str(run)]) == 0
    assert problems(run) == []


def test_damaged_best_weights_are_written_again_by_the_next_start(evaluated, tmp_path):
    run = shutil.copytree(evaluated, tmp_path / "run")
    for file in newest(run).glob("best.ckpt.data*"):
        file.write_bytes(b"")
    training.train(runs.config(early_stopping=True), run)
    assert problems(run) == []
    runs.assert_same_run(run, evaluated)
    for name, values in checkpoint.values(checkpoint.newest(run / "checkpoints", fingerprint(run))).items():
        if name.startswith("best/") and name.count("/") == 2:
            best = tf.train.load_variable(str(newest(run) / "best.ckpt"), name.removeprefix("best/"))
            np.testing.assert_array_equal(best, values)


def fingerprint(path):
    return run_directory.read(path).fingerprint


def test_every_damaged_checkpoint_is_named_not_the_newest_alone(run):
    (run / "checkpoints/epoch-000000/manifest.json").write_text("{}")
    assert "epoch-000000" in problems(run)[0]


def test_reading_changes_nothing(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    problems(run)
    verification.replay(run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def forge(path, bias):
    """Replaces the newest checkpoint by one with other values in fc1/bias, every checksum right."""
    description = run_directory.read(path)
    found = checkpoint.verified(newest(path), description.fingerprint)
    config, dataset = description.config, loading.load(description.config)
    with borrowed(Program, training.plan_on(config, dataset)) as program:
        training.begin(program, config, dataset)
        recorder.restore(found, program)
        program.load({"fc1/bias": np.full(6, bias, np.float32)})
        shutil.rmtree(found.path)
        position = found.epoch, found.batch
        written = checkpoint.write(found.path.parent, program.session, program.saver, position)
        checkpoint.commit(written, position, description.fingerprint, lambda: found.committed)


def test_a_checkpoint_that_training_does_not_lead_to_is_found_out(run):
    """Whoever rewrites a weight and every checksum with it is found out by training again."""
    forge(run, bias=0.5)
    assert problems(run) == []
    assert verification.replay(run).startswith("fc1/bias differs from epoch-000006, by 0.")


def test_a_difference_that_another_machine_may_make_is_told_from_damage(run, monkeypatch):
    forge(run, bias=0.5)
    here, there = os.environ.get("XLA_FLAGS", ""), "--xla_cpu_max_isa=SSE4_2"
    monkeypatch.setenv("XLA_FLAGS", there)
    difference = verification.replay(run)
    assert difference.endswith(f"It was trained elsewhere (XLA_FLAGS: {here} -> {there}): not comparable bit for bit.")


def test_a_variable_that_is_not_finite_is_named(run):
    forge(run, bias=np.nan)
    assert problems(run) == [f"{newest(run)}: fc1/bias is not finite."]


def test_a_run_without_checkpoints_is_not_sound(run):
    shutil.rmtree(run / "checkpoints")
    assert problems(run) == [f"{run} has no checkpoint."]
    with pytest.raises(RunError, match="has no checkpoint"):
        verification.replay(run)


def test_the_exit_code_tells(run, capsys):
    assert entry.main(["verify", str(run), "--replay"]) == 0
    assert capsys.readouterr().out == f"{run} is sound, and its last stretch trains again to the same bits\n"
    (run / "history.csv").write_text("")
    assert entry.main(["verify", str(run)]) == 1
    assert capsys.readouterr().out == f"{run / 'history.csv'} is not as it was at the last checkpoint.\n"
