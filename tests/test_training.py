"""The session loop: resuming, finishing, cadences, divergence."""

import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import runs
import tensorflow as tf
from stacks import COMPILED, CONVOLUTIONAL, EVERY_DENSE, SOME

from fcclf.data import loading
from fcclf.errors import ConfigError, DivergedError, RunError
from fcclf.runs import checkpoint, history, overview, recorder, training
from fcclf.runs.trained import TrainedRun
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.model import Stack
from fcclf.settings.sources import Table
from fcclf.system import durable
from fcclf.views import evaluation


class StopAfter:
    """Interrupts that ask for a stop after a number of chunks, as a signal would."""

    def __init__(self, chunks):
        self.chunks = chunks

    def held(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def pending(self):
        self.chunks -= 1
        return self.chunks < 0


def train_with_stops(config, path, chunks, steps):
    """Starts again and again until the run is finished; each attempt does `chunks` stretches of so many steps."""
    while training.train(config, path, interrupts=StopAfter(chunks), longest_stretch=steps).interrupted:
        pass


def test_a_run_stopped_inside_epochs_equals_one_never_stopped(tmp_path, finished_run):
    """Chunks of 3 steps, an attempt every 2 chunks: 5 attempts over 30 steps, stopping at batches 1, 2, 3 and 4."""
    train_with_stops(runs.config(), tmp_path / "run", chunks=2, steps=3)
    runs.assert_same_run(tmp_path / "run", finished_run)


@pytest.mark.slow
def test_a_batch_is_at_most_the_whole_training_part(tmp_path):
    said = []
    training.train(runs.config(samples=20, batch_size=64), tmp_path / "clipped", say=said.append)
    training.train(runs.config(samples=20, batch_size=16), tmp_path / "whole")
    assert said == ["a batch is the whole training part, 16 samples, as it has no 64 (--batch-size)"]
    with TrainedRun(tmp_path / "clipped") as clipped, TrainedRun(tmp_path / "whole") as whole:
        for name, values in whole.weights().items():
            np.testing.assert_array_equal(clipped.weights()[name], values)


@pytest.mark.slow
def test_pictures_and_histograms_are_recorded_once_however_a_run_is_stopped(tmp_path):
    config = runs.config(image_every=3, histogram_every=2)
    training.train(config, tmp_path / "whole")
    train_with_stops(config, tmp_path / "stopped", chunks=2, steps=5)
    runs.assert_same_run(tmp_path / "stopped", tmp_path / "whole")
    steps = {tag: [step for step, _ in points] for (_, tag), points in runs.curves(tmp_path / "whole").items()}
    assert steps["pictures/boundary"] == steps["pictures/units"] == steps["pictures/confusion"] == [0, 3, 6]
    assert steps["moons/class 1/pr_curves"] == [0, 3, 6]
    assert steps["updates/fc1/kernel"] == steps["outputs/fc2/activation"] == [0, 2, 4, 6]
    assert steps["settings/text_summary"] == [0]


@pytest.mark.slow
def test_pictures_become_rarer_the_longer_a_run_is(tmp_path):
    training.train(runs.config(epochs=31, image_every=1, samples=20, batch_size=16), tmp_path / "run")
    steps = [step for step, _ in runs.curves(tmp_path / "run")["", "pictures/boundary"]]
    assert steps == [*range(11), 20, 30]


def test_an_interval_of_0_records_nothing(tmp_path):
    training.train(runs.config(image_every=0, histogram_every=0), tmp_path / "run")
    tags = {tag for _, tag in runs.curves(tmp_path / "run")}
    assert not any("kernel" in tag or "pr_curves" in tag or "pictures" in tag for tag in tags)


@pytest.mark.parametrize("every", [0, runs.campaign(1), runs.campaign(4)])
def test_how_often_is_saved_changes_nothing(tmp_path, finished_run, every):
    training.train(runs.config(checkpoint_every=every), tmp_path / "run")
    runs.assert_same_run(tmp_path / "run", finished_run)


def test_a_checkpoint_is_saved_inside_an_epoch_when_its_time_is_up(tmp_path):
    training.train(runs.config(checkpoint_seconds=1e-9, keep=100), tmp_path / "run", longest_stretch=2)
    saved = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("epoch-*"))
    assert "epoch-000001-batch-000001" in saved
    assert len(saved) == 1 + 15  # the beginning, and every two of the 30 steps


def test_the_newest_checkpoints_are_kept(tmp_path):
    training.train(runs.config(checkpoint_every=1, keep=2), tmp_path / "run")
    assert [path.name for path in sorted((tmp_path / "run/checkpoints").glob("epoch-*"))] == [
        "epoch-000005",
        "epoch-000006",
    ]


def test_a_finished_run_is_not_trained_again(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "run")
    outcome = training.train(runs.config(), path)
    assert outcome == training.Outcome(epoch=6, begun_at=6, interrupted=False)
    runs.assert_same_run(path, finished_run)


def test_more_epochs_continue_a_finished_run_as_one_long_run(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "short")
    assert training.train(runs.config(epochs=9), path) == training.Outcome(9, 6, interrupted=False)
    training.train(runs.config(epochs=9), tmp_path / "long")
    runs.assert_same_run(path, tmp_path / "long")


def test_fewer_epochs_than_done_change_nothing(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "run")
    assert training.train(runs.config(epochs=2), path).epoch == 6
    runs.assert_same_run(path, finished_run)
    assert (path / "config.json").read_bytes() == (finished_run / "config.json").read_bytes()


def test_another_configuration_is_refused_and_changes_nothing(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"training\.seed: 0 -> 1"):
        training.train(runs.config(seed=1, epochs=9), path)
    runs.assert_same_run(path, finished_run)


def test_fresh_starts_over(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "run")
    said = []
    outcome = training.train(runs.config(), path, fresh=True, say=said.append)
    assert outcome.begun_at == 0
    assert said == [f"the run that was here is now {tmp_path / 'run.old-1'}"]
    runs.assert_same_run(path, finished_run)


def test_a_moved_directory_resumes(tmp_path, finished_run):
    training.train(runs.config(epochs=4), tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    training.train(runs.config(), tmp_path / "there")
    runs.assert_same_run(tmp_path / "there", finished_run)


def test_a_damaged_newest_checkpoint_costs_only_the_way_from_the_one_before(tmp_path, finished_run):
    training.train(runs.config(checkpoint_every=1), tmp_path / "run")
    (tmp_path / "run/checkpoints/epoch-000006/model.ckpt.index").write_bytes(b"damage")
    said = []
    outcome = training.train(runs.config(checkpoint_every=1), tmp_path / "run", say=said.append)
    assert outcome == training.Outcome(epoch=6, begun_at=5, interrupted=False)
    assert "model.ckpt.index is not as it was written" in said[0]
    assert said[1] == "going on after epoch 5"
    runs.assert_same_run(tmp_path / "run", finished_run)


def test_a_diverging_run_stops_before_its_last_good_checkpoint_is_lost(tmp_path):
    config = runs.config(optimizer="sgd", learning_rate=1e6, activation="relu", checkpoint_every=1, epochs=50)
    with pytest.raises(
        DivergedError, match=r"diverged in epoch \d+: .* try a lower --learning-rate than 1e\+06"
    ) as error:
        training.train(config, tmp_path / "run")
    values = runs.variables(tmp_path / "run")
    assert all(np.isfinite(array).all() for array in values.values())
    assert f"checkpoint is epoch {values['state/epoch']}:" in str(error.value)


def test_a_failing_disk_ends_the_run_with_the_last_checkpoint_sound(tmp_path, finished_run, monkeypatch):
    sync, calls = durable.sync, []

    def fail_at_the_fourth_epoch(path):
        calls.append(path)
        if path.name == ".tmp-epoch-000004":
            raise RunError(f"cannot save {path}: Input/output error.")
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync", fail_at_the_fourth_epoch)
        with pytest.raises(RunError, match="Input/output error"):
            training.train(runs.config(checkpoint_every=1), tmp_path / "run")
    outcome = training.train(runs.config(checkpoint_every=1), tmp_path / "run")
    assert outcome.begun_at == 3
    runs.assert_same_run(tmp_path / "run", finished_run)


def test_a_warm_start_from_the_run_that_fresh_moves_aside_is_refused_before_anything_is_moved(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "run")
    with pytest.raises(ConfigError, match="in the run that --fresh moves aside"):
        training.train(runs.config(warm_start=str(path)), path, fresh=True)
    runs.assert_same_run(path, finished_run)


def test_histograms_stand_at_their_interval_and_at_the_beginning(tmp_path):
    training.train(runs.config(histogram_every=2), tmp_path / "run")
    steps = [step for step, _ in runs.curves(tmp_path / "run")["train", "variables/fc1/kernel"]]
    assert steps == [0, 2, 4, 6]


def test_progress_is_told_with_the_last_metrics(tmp_path):
    told = []
    training.train(runs.config(), tmp_path / "run", progress=lambda epoch, metrics: told.append((epoch, metrics)))
    assert told[0] == (0, {})
    epoch, metrics = told[-1]
    assert epoch == 6
    assert [str(np.float32(value)) for value in metrics.values()] == runs.history(tmp_path / "run")[-1][1:]


# ---- early stopping --------------------------------------------------------------------------------------------------

EARLY = {"early_stopping": True, "patience": 3, "min_delta": 0.01, "validation_fraction": 0.25, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """The directory of a run that early stopping ended, and its outcome."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    return path, training.train(runs.config(**EARLY, epochs=300), path)


def expected_stop(losses, patience, min_delta):
    """(epoch it stops after, best epoch), from the validation losses."""
    best, best_epoch = np.inf, 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < best - min_delta:
            best, best_epoch = loss, epoch
        if epoch - best_epoch >= patience:
            return epoch, best_epoch
    return None


def test_a_run_stops_once_the_validation_loss_has_not_fallen_for_long_enough(stopped_run):
    path, outcome = stopped_run
    columns = history.read(path)
    losses = columns["validation_loss"].astype(np.float32)
    assert (outcome.epoch, outcome.best_epoch) == expected_stop(losses, 3, np.float32(0.01))
    assert not outcome.interrupted
    assert 3 < outcome.epoch < 300
    assert len(losses) == outcome.epoch


def test_the_validation_metrics_are_those_of_the_held_out_part(stopped_run):
    path, outcome = stopped_run
    dataset = loading.load(runs.config(**EARLY))
    with TrainedRun(path) as run:
        accuracy = np.mean(run.predictions(dataset.validation.X) == dataset.validation.y)
    column = history.read(path)["validation_accuracy"]
    assert np.float32(accuracy) == np.float32(column[outcome.best_epoch - 1])


def test_the_best_weights_are_those_the_network_had_then(tmp_path, stopped_run):
    path, outcome = stopped_run
    training.train(runs.config(**EARLY, epochs=outcome.best_epoch), tmp_path / "short")
    then = runs.variables(tmp_path / "short")
    newest = checkpoint.committed_paths(path / "checkpoints")[-1]
    with TrainedRun(path) as run:
        assert run.epoch == outcome.best_epoch
        for name, values in run.weights().items():
            np.testing.assert_array_equal(values, then[name])
            best = tf.train.load_variable(str(newest / "best.ckpt"), name)
            np.testing.assert_array_equal(values, best)


@pytest.mark.parametrize("steps", [7, runs.campaign(1), runs.campaign(3)])
def test_where_an_early_stopping_run_is_cut_changes_nothing(tmp_path, stopped_run, steps):
    path, outcome = stopped_run
    config = runs.config(**EARLY, epochs=300)
    train_with_stops(config, tmp_path / "run", chunks=20, steps=steps)
    assert training.train(config, tmp_path / "run").best_epoch == outcome.best_epoch
    runs.assert_same_run(tmp_path / "run", path)


def test_a_stopped_run_stays_stopped_also_with_more_epochs(tmp_path, stopped_run):
    path = shutil.copytree(stopped_run[0], tmp_path / "run")
    for epochs in (300, 900):
        outcome = training.train(runs.config(**EARLY, epochs=epochs), path)
        assert outcome == stopped_run[1]._replace(begun_at=stopped_run[1].epoch)
    runs.assert_same_run(path, stopped_run[0])


@pytest.mark.campaign
def test_compiled_early_stopping_stops_at_the_same_epoch(tmp_path, stopped_run):
    outcome = training.train(runs.config(**EARLY, epochs=300, jit="on"), tmp_path / "run")
    assert outcome == stopped_run[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"layers": SOME, "batch_size": 23, "schedule": "exponential", "decay_steps": 7, "sampling": "bootstrap"},
        {"class_weight": {"1": 2.0}, "schedule": "adaptive", "optimizer": "sgd", "learning_rate": 1.0, "patience": 1},
        runs.campaign({"layers": EVERY_DENSE, "batch_size": 23, "sampling": "bootstrap"}),
        runs.campaign({"layers": COMPILED, "batch_size": 23, "jit": "on", "early_stopping": True}),
        runs.campaign({"layers": CONVOLUTIONAL, "optimizer": "momentum", "schedule": "cosine", "decay_steps": 25}),
        runs.campaign(
            {"batch_norm": "before", "dropout": 0.2, "loss": "sigmoid", "label_smoothing": 0.1, "schedule": "step"}
        ),
    ],
    ids=["blocks", "weights and an adaptive rate", "every dense block", "compiled", "convolutions", "sigmoid"],
)
def test_where_a_run_is_cut_changes_nothing_whatever_it_is_built_of(tmp_path, settings):
    """Chunks of 3 steps, also inside epochs; the second attempt begins at step 18."""
    config = runs.config(**settings)
    training.train(config, tmp_path / "untouched")
    train_with_stops(config, tmp_path / "cut", chunks=6, steps=3)
    runs.assert_same_run(tmp_path / "cut", tmp_path / "untouched")


@pytest.mark.slow
def test_an_adaptive_rate_falls_when_patience_ends_and_ends_the_run_when_it_is_too_small(tmp_path):
    """No epoch can be better by 10, so patience ends every second epoch after the first."""
    settings = {"schedule": "adaptive", "decay_rate": 0.01, "learning_rate": 1.0, "patience": 2, "min_delta": 10.0}
    outcome = training.train(runs.config(**settings, epochs=50), tmp_path / "run")
    rates = history.read(tmp_path / "run")["learning_rate"]
    np.testing.assert_allclose(rates, [1, 1, 1, 1e-2, 1e-2, 1e-4, 1e-4, 1e-6, 1e-6], rtol=1e-5)
    assert (outcome.epoch, outcome.best_epoch, outcome.stopped) == (9, None, True)
    assert overview.read(tmp_path / "run").state == overview.FINISHED


@pytest.mark.slow
def test_a_run_is_measured_by_the_weights_of_its_rows(tmp_path):
    random = np.random.default_rng(0)
    X, y, counts = random.normal(size=(60, 2)), np.arange(60) % 2, random.uniform(0, 3, 60)
    np.savez(tmp_path / "table.npz", X=X, y=y, counts=counts)
    source = Table(str(tmp_path / "table.npz"), weight_column="counts")
    training.train(runs.config(batch_size=20, data=source), tmp_path / "run")
    with TrainedRun(tmp_path / "run") as run:
        test = run.dataset().test
        logits = run.logits(test.X)
    measured, unweighted = (evaluation.metrics(test.y, logits, weights) for weights in (test.weights, None))
    columns = history.read(tmp_path / "run")
    assert measured["loss"] == pytest.approx(columns["test_loss"][-1], rel=1e-5)
    assert measured["accuracy"] == pytest.approx(columns["test_accuracy"][-1], rel=1e-5)
    assert measured["loss"] != pytest.approx(unweighted["loss"], rel=1e-3)


def test_the_seconds_of_an_epoch_cover_all_its_chunks(tmp_path, monkeypatch):
    """A clock that goes on by one whenever it is read is read once or more in each chunk."""
    monkeypatch.setattr(recorder.time, "perf_counter", itertools.count().__next__)
    training.train(runs.config(), tmp_path / "run", longest_stretch=1)
    assert (history.read(tmp_path / "run")["seconds"] > 5).all()


@pytest.mark.slow
def test_a_run_that_stopped_early_in_its_last_epoch_says_so_each_time(tmp_path):
    config = runs.config(epochs=2, early_stopping=True, patience=1, min_delta=10.0)
    first, second = (training.train(config, tmp_path / "run") for _ in range(2))
    assert (first.epoch, first.best_epoch, first.stopped) == (2, 1, True)
    assert second == first._replace(begun_at=2)


@pytest.mark.slow
def test_nothing_is_made_or_moved_when_the_data_are_not_there_or_do_not_fit(tmp_path):
    table, path = tmp_path / "table.csv", tmp_path / "run"
    table.write_text("a,b\n" + "1,0\n2,1\n" * 20)
    config = Config(Table(str(table)), training=Training(batch_size=8, epochs=1), session=Session(jit="off"))
    training.train(config, path)
    table.unlink()
    with pytest.raises(RunError, match="cannot read"):
        training.train(config, path, fresh=True)
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    table.write_text("a,b\n" + "1,0\n2,1\n" * 20)
    with pytest.raises(ConfigError, match="which are 784 features, but the samples have 1"):
        training.train(dataclasses.replace(config, model=Stack("lenet")), tmp_path / "other")
    assert not (tmp_path / "other").exists()
