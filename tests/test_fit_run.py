"""A fit with a logdir: a run directory like any other, exact over any interruption."""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import shutil
import signal
import threading
import warnings
from unittest import mock

import numpy as np
import pytest
import runs
import tensorflow as tf
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from fcclf import FCClassifier, FCRegressor
from fcclf.cli import entry
from fcclf.errors import ConfigError, RunError
from fcclf.estimator import fit_run, parameters
from fcclf.estimator.fitting import Fit
from fcclf.learning import stretches
from fcclf.learning.program import Program
from fcclf.runs import history, overview, run_directory
from fcclf.runs.recorder import Recorder
from fcclf.runs.trained import TrainedRun

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = make_moons(150, noise=0.2, random_state=0)
SETTINGS = {"hidden_layer_sizes": (5, 4), "activation": "tanh", "batch_size": 32, "max_iter": 30, "random_state": 0}
HARDEST = {  # all that a fit keeps besides weights
    **{"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 1e-3, "n_iter_no_change": 3},
    **{"dropout": 0.1, "batch_norm": True, "early_stopping": True, "max_iter": 40},
}


REGRESSION = HARDEST | {"kind": FCRegressor, "loss": "huber", "learning_rate_init": 0.05}


def classifier(path, kind=FCClassifier, **settings):
    """An estimator whose fit is kept."""
    return kind(**SETTINGS | settings, logdir=path)


def assert_same(one, other):
    """All that fit leaves is equal, bit for bit."""
    for name, values in one._values.items():
        np.testing.assert_array_equal(values, other._values[name], err_msg=name)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_", "n_iter_", "t_"):
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(answers(one), answers(other))


def answers(fitted):
    return fitted.predict_proba(X) if hasattr(fitted, "classes_") else fitted.predict(X)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(fitted classifier, its run directory); not to be changed."""
    path = tmp_path_factory.mktemp("fits") / "moons"
    return classifier(path).fit(X, y), path


@pytest.fixture
def in_short_stretches(monkeypatch):
    """Fits run 4 epochs at a time; they have 5 batches, or 4 without the validation part."""
    monkeypatch.setattr(stretches, "within_seconds", lambda steps, seconds: steps)
    monkeypatch.setattr(stretches, "FIRST_STRETCH", 20)


@pytest.fixture(autouse=True, scope="module")
def not_compiled():
    """It takes most of the time, and the tests of fits without a run have it."""

    def plan(*arguments, plan=parameters.plan):
        return dataclasses.replace(plan(*arguments), compiled=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "plan", plan)
        yield


@pytest.fixture
def interrupting(monkeypatch):
    """A Ctrl-C comes in the third stretch of a fit, once."""
    handler, advance, times = signal.signal(signal.SIGINT, signal.default_int_handler), Program.advance, [1]

    def interrupted(self, *arguments):
        if self.epoch >= 8 and times:
            times.pop()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return advance(self, *arguments)

    monkeypatch.setattr(Program, "advance", interrupted)
    yield
    signal.signal(signal.SIGINT, handler)


# ---- what a run has --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_fit_goes_on_with_as_many_threads_as_it_began_with(tmp_path):
    classifier(tmp_path / "fit", max_iter=2, threads=3).fit(X, y)
    began = run_directory.read(tmp_path / "fit").versions
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # which would say that the number is another
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier(tmp_path / "fit", max_iter=4).fit(X, y)
    assert began["threads"] == "3"
    assert run_directory.read(tmp_path / "fit").versions == began


def test_being_kept_as_a_run_changes_no_bit_of_a_fit(kept):
    assert_same(kept[0], FCClassifier(**SETTINGS).fit(X, y))


def test_without_a_logdir_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FCClassifier(**SETTINGS).fit(X, y)
    assert list(tmp_path.iterdir()) == []


def test_the_directory_has_history_curves_histograms_and_a_checkpoint(kept):
    fitted, path = kept
    assert history.read(path)["train_total"].tolist() == fitted.loss_curve_
    curves = runs.curves(path)
    tags = {tag for directory, tag in curves if directory == "train"}
    training = {"learning_rate", "gradient_norm", "epochs_without_improvement", "epochs_per_second"}
    scalars = {"loss", "loss/total", "loss/penalty", "accuracy", *(f"training/{name}" for name in training)}
    layers = ("fc1", "fc2", "output")
    weights = {f"{layer}/{kind}" for layer in layers for kind in ("kernel", "bias")}
    histograms = {f"{group}/{name}" for group in ("variables", "updates") for name in weights}
    assert tags == scalars | histograms | {f"outputs/{layer}/activation" for layer in layers}
    assert [step for step, _ in curves["train", "loss/total"]] == list(range(1, 31))
    assert [step for step, _ in curves["train", "variables/fc1/kernel"]] == [0]
    np.testing.assert_array_equal(runs.variables(path)["fc1/kernel"], fitted.coefs_[0])
    assert runs.variables(path)["global_step"] == 30 * 5


@pytest.mark.slow
def test_weights_are_shown_every_hundred_epochs_however_a_fit_is_cut(tmp_path, in_short_stretches):
    settings = {"max_iter": 230, "tol": 0, "n_iter_no_change": np.inf}
    for epochs in (7, 150, 230):
        classifier(tmp_path / "run", **settings | {"max_iter": epochs}).fit(X, y)
    assert [step for step, _ in runs.curves(tmp_path / "run")["train", "variables/fc1/kernel"]] == [0, 100, 200]
    classifier(tmp_path / "whole", **settings).fit(X, y)
    runs.assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_a_fit_with_early_stopping_has_a_curve_of_its_scores(tmp_path):
    fitted = classifier(tmp_path / "run", early_stopping=True).fit(X, y)
    points = [
        tf.compat.v1.Summary.Value.FromString(value)
        for _, value in runs.curves(tmp_path / "run")["validation", "accuracy"]
    ]
    assert [point.simple_value for point in points] == np.float32(fitted.validation_scores_).tolist()


# ---- going on --------------------------------------------------------------------------------------------------------


def test_a_finished_fit_is_read_and_not_trained_again(kept, monkeypatch):
    fitted, path = kept
    before = sorted((file, file.stat().st_mtime_ns) for file in path.rglob("*") if file.name != ".lock")
    monkeypatch.delattr(Program, "advance")
    assert_same(classifier(path).fit(X, y), fitted)
    assert sorted((file, file.stat().st_mtime_ns) for file in path.rglob("*") if file.name != ".lock") == before


def test_a_larger_max_iter_goes_on(kept, tmp_path):
    path = shutil.copytree(kept[1], tmp_path / "run")
    longer = classifier(path, max_iter=45).fit(X, y)
    assert_same(longer, classifier(tmp_path / "whole", max_iter=45).fit(X, y))
    assert overview.read(path).config.epochs == 45


def test_a_smaller_max_iter_is_refused(kept, tmp_path):
    path = shutil.copytree(kept[1], tmp_path / "run")
    with pytest.raises(
        ConfigError, match=r"max_iter is 5, but .*run has 30 epochs already: set it to 30 or more, or name"
    ):
        classifier(path, max_iter=5).fit(X, y)
    assert overview.read(path).config.epochs == 30


@pytest.mark.slow
def test_a_fit_that_stopped_by_itself_stays_so(tmp_path):
    settings = {"tol": 1.0, "n_iter_no_change": 3}
    stopped = classifier(tmp_path / "run", **settings).fit(X, y)
    assert stopped.n_iter_ < 10
    assert_same(classifier(tmp_path / "run", max_iter=90, **settings).fit(X, y), stopped)


@pytest.mark.parametrize("settings", [runs.campaign({}), HARDEST, REGRESSION], ids=["plain", "hardest", "regression"])
def test_a_fit_goes_on_after_ctrl_c_as_if_nothing_had_happened(tmp_path, request, in_short_stretches, settings):
    whole = classifier(tmp_path / "whole", **settings).fit(X, y)
    request.getfixturevalue("interrupting")
    with pytest.warns(UserWarning, match=r"interrupted by user\. The same call of fit goes on"):
        half = classifier(tmp_path / "run", **settings).fit(X, y)
    assert 12 <= half.n_iter_ < whole.n_iter_
    assert_same(classifier(tmp_path / "run", **settings).fit(X, y), whole)


def fit_and_die(path, settings):
    """Fits in stretches of 4 epochs, commits 8 and is gone after 16."""
    plan, next_stop = parameters.plan, Recorder.next_stop
    parameters.plan = lambda *arguments: dataclasses.replace(plan(*arguments), compiled=False)
    Recorder.next_stop = lambda self: min(
        next_stop(self), (self.program.epoch // 4 + 1) * 4 * self.program.plan.n_batches
    )

    def note(self, stretch, note=Recorder.note):
        note(self, stretch)
        if (self.program.epoch, self.program.batch) == (8, 0):
            self.save()
        if self.program.epoch == 16:
            os._exit(9)

    Recorder.note = note
    classifier(path, **settings).fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [runs.campaign({}), HARDEST, REGRESSION], ids=["plain", "hardest", "regression"])
def test_a_killed_fit_goes_on_from_its_last_checkpoint(tmp_path, in_short_stretches, settings):
    process = runs.FORKSERVER.Process(target=fit_and_die, args=(tmp_path / "run", settings))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert overview.read(tmp_path / "run").epochs == 8
    assert_same(
        classifier(tmp_path / "run", **settings).fit(X, y), classifier(tmp_path / "whole", **settings).fit(X, y)
    )
    runs.assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_what_fails_after_ctrl_c_is_told(tmp_path, monkeypatch, in_short_stretches, interrupting):
    def full(*arguments):
        raise RunError("cannot save: No space left on device.")

    monkeypatch.setattr("fcclf.runs.checkpoint.commit", full)
    with pytest.raises(RunError, match="No space left"):
        classifier(tmp_path / "run").fit(X, y)


def test_a_fit_is_waited_for_however_often_it_is_interrupted():
    answers = [KeyboardInterrupt, KeyboardInterrupt, None]

    class Loop:
        def result(self):
            if answer := answers.pop(0):
                raise answer

        def done(self):
            return False

    fit, stop = Fit(mock.Mock(epoch=0), {}, "shuffle", 1), threading.Event()
    fit._wait(Loop(), stop)
    assert (answers, stop.is_set(), fit.interrupted) == ([], True, True)


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt])
def test_a_callback_that_fails_costs_no_epoch(tmp_path, failure):
    pytest.importorskip("sklearn.callback")
    whole = classifier(tmp_path / "whole").fit(X, y)

    class Failing:
        epochs = 0

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.epochs += 1
            if self.epochs == 6:
                raise failure

        setup = teardown = on_fit_task_begin

    with contextlib.suppress(ZeroDivisionError), warnings.catch_warnings(record=True) as told:
        classifier(tmp_path / "run").set_callbacks(Failing()).fit(X, y)
    assert overview.read(tmp_path / "run").epochs == 6
    assert any("The same call of fit goes on" in str(each.message) for each in told) == (failure is KeyboardInterrupt)
    assert_same(classifier(tmp_path / "run").fit(X, y), whole)


def fit_saving_always(path, settings):
    """Compiled, unlike the other fits here, in stretches of 23 steps, each committed."""
    stretches.FIRST_STRETCH, stretches.MOST_GROWTH = 23, 1
    fit_run.SESSION = dataclasses.replace(fit_run.SESSION, checkpoint_seconds=1e-9)
    classifier(path, **settings).fit(X, y)


def kill_until_finished(path, settings, moments):
    """Starts the fit again after each kill, until it finishes; how often it was killed."""
    exit_codes = [None]
    while exit_codes[-1] != 0:
        process = runs.FORKSERVER.Process(target=fit_saving_always, args=(path, settings))
        process.start()
        process.join(timeout=moments.uniform(1, 6))
        process.kill()
        process.join()
        exit_codes.append(process.exitcode)
    return exit_codes.count(-signal.SIGKILL)


@pytest.mark.timeout(3600)
@pytest.mark.campaign
@pytest.mark.parametrize("settings", [{"max_iter": 2000, "tol": 0, "n_iter_no_change": np.inf}, HARDEST])
def test_a_fit_killed_at_random_moments_ends_bit_identical_to_an_untouched_one(tmp_path, settings):
    untouched = runs.FORKSERVER.Process(target=fit_saving_always, args=(tmp_path / "untouched", settings))
    untouched.start()
    untouched.join()
    moments, kills = random.Random(3), 0
    for number in itertools.count():
        kills += kill_until_finished(tmp_path / str(number), settings, moments)
        runs.assert_same_run(tmp_path / str(number), tmp_path / "untouched")
        if kills >= 25:
            break


def test_without_a_random_state_the_run_keeps_its_seed(tmp_path, in_short_stretches):
    first = classifier(tmp_path / "run", random_state=None, max_iter=8).fit(X, y)
    longer = classifier(tmp_path / "run", random_state=None).fit(X, y)
    assert longer.loss_curve_[:8] == first.loss_curve_
    assert longer.n_iter_ == 30


def test_a_damaged_checkpoint_is_set_aside_with_a_warning(kept, tmp_path):
    path = shutil.copytree(kept[1], tmp_path / "run")
    classifier(path, max_iter=35).fit(X, y)
    data = path / "checkpoints" / "epoch-000035" / "model.ckpt.data-00000-of-00001"
    data.write_bytes(b"x" + data.read_bytes()[1:])
    with pytest.warns(UserWarning, match="set aside as damaged-epoch-000035"):
        again = classifier(path, max_iter=35).fit(X, y)
    assert_same(again, classifier(tmp_path / "whole", max_iter=35).fit(X, y))


def test_a_history_that_lacks_epochs_is_an_error(kept, tmp_path):
    path = shutil.copytree(kept[1], tmp_path / "run")
    rows = (path / "history.csv").read_text().splitlines(keepends=True)
    (path / "history.csv").write_text("".join(rows[:4]))
    with pytest.raises(RunError, match="lacks epochs before 30"):
        FCClassifier.from_run(path)


def test_a_fit_that_diverges_leaves_its_last_good_checkpoint(tmp_path):
    settings = {"solver": "sgd", "learning_rate_init": 1e30}
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        classifier(tmp_path / "run", **settings).fit(X, y)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("epoch-*")] == ["epoch-000000"]


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        (
            {"alpha": 0.1},
            (X, y),
            r"logdir 'run' is a run with other settings \(parameters.alpha: 0.0001 -> 0.1\): name an",
        ),
        ({"random_state": 1}, (X, y), "seed: "),
        ({}, (X + 1, y), "fingerprint: "),
        ({}, (X, y, np.ones(150)), "fingerprint: "),
        ({}, (X, y + 1), r"classes: \(0, 1\) -> \(1, 2\)"),
    ],
    ids=["parameter", "random_state", "samples", "weights", "labels"],
)
def test_a_run_of_other_settings_or_samples_is_left_alone(kept, tmp_path, settings, data, message):
    path = shutil.copytree(kept[1], tmp_path / "run")
    with pytest.raises(ConfigError, match=message):
        classifier(path, **settings).fit(*data)
    assert_same(classifier(path).fit(X, y), kept[0])


def test_a_run_of_the_command_line_is_left_alone(finished_run, tmp_path):
    path = shutil.copytree(finished_run, tmp_path / "run")
    with pytest.raises(ConfigError, match="made by: fcclf train -> FCClassifier"):
        classifier(path).fit(X, y)


def test_the_command_line_leaves_a_fit_alone(kept, tmp_path, capfd):
    shutil.copytree(kept[1], tmp_path / "run")
    assert entry.main(["train", "moons", "--logdir", str(tmp_path), "--run-name", "run"]) == 2
    assert "made by: FCClassifier -> fcclf train" in capfd.readouterr().err


@pytest.mark.slow
def test_other_spellings_of_the_same_settings_are_the_same_run(tmp_path):
    settings = {"hidden_layer_sizes": 5, "batch_norm": True, "activation": "logistic", "class_weight": {0: 1, 1: 2}}
    spelled = {"hidden_layer_sizes": range(5, 6), "batch_norm": "before", "activation": "sigmoid"}
    fitted = classifier(tmp_path / "run", **settings).fit(X, y)
    assert_same(classifier(tmp_path / "run", **spelled, class_weight={1: 2, 0: 1}).fit(X, y), fitted)


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"has no config\.json: restore it, name another logdir"):
        classifier(tmp_path).fit(X, y)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_fits_cannot_write_to_one_run(kept):
    with run_directory.claimed(kept[1]), pytest.raises(RunError, match="is in use by another training in this process"):
        classifier(kept[1]).fit(X, y)


def test_what_has_no_run_says_so(tmp_path):
    with pytest.raises(ValueError, match="set warm_start=False"):
        classifier(tmp_path, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="partial_fit keeps no run: set logdir=None"):
        classifier(tmp_path).partial_fit(X, y, classes=[0, 1])
    assert list(tmp_path.iterdir()) == []


# ---- opened again ----------------------------------------------------------------------------------------------------


def test_from_run_gives_back_the_fitted_classifier(kept):
    fitted, path = kept
    opened = FCClassifier.from_run(path)
    assert_same(opened, fitted)
    assert opened.get_params() == {**fitted.get_params(), "logdir": str(path)}


def test_from_run_gives_a_classifier_to_go_on_with(kept, tmp_path):
    path = shutil.copytree(kept[1], tmp_path / "moved")
    longer = FCClassifier.from_run(path).set_params(max_iter=33).fit(X, y)
    assert_same(longer, classifier(tmp_path / "whole", max_iter=33).fit(X, y))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [str, object, np.float32, bool, "datetime64[D]"])
def test_labels_come_back_as_they_were(tmp_path, kind):
    labels = np.array(["no", "yes"] if kind in (str, object) else [0, 1]).astype(kind)
    weights = "balanced" if kind == "datetime64[D]" else {labels[1]: 2.0}
    settings = {"class_weight": weights, "early_stopping": True, "hidden_layer_sizes": np.array([3])}
    fitted = classifier(tmp_path / "run", **settings).fit(X, labels[y])
    opened = FCClassifier.from_run(tmp_path / "run")
    assert opened.classes_.dtype == fitted.classes_.dtype
    assert_same(opened, fitted)
    np.testing.assert_array_equal(opened.predict(X), fitted.predict(X))
    assert_same(opened.fit(X, labels[y]), fitted)


def test_feature_names_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["left", "up"])
    classifier(tmp_path / "run").fit(frame, y)
    opened = FCClassifier.from_run(tmp_path / "run")
    assert opened.feature_names_in_.tolist() == ["left", "up"]
    with pytest.raises(ValueError, match="feature names should match"):
        opened.predict(frame[["up", "left"]])


def test_the_commands_know_a_fit(kept, capfd):
    path = kept[1]
    assert entry.main(["verify", str(path)]) == 0
    assert entry.main(["runs", str(path.parent), "--json"]) == 0
    assert entry.main(["compare", str(path)]) == 0
    assert entry.main(["summary", str(path)]) == 0
    output = capfd.readouterr().out
    assert f"{path} is sound" in output
    listed = json.loads(output[output.index("[") : output.index("]") + 1])
    assert listed == [
        {"run": "moons", "data": "fit", "epochs": 30, "of": 30, "test_accuracy": None, "state": "finished"}
    ]
    assert f"{kept[0].loss_:.4f}" in output
    assert "fc2" in output
    assert entry.main(["evaluate", str(path)]) == 1
    assert "keeps no samples: open it with FCClassifier.from_run" in capfd.readouterr().err
    with TrainedRun(path) as run, pytest.raises(RunError, match="keeps no samples"):
        run.dataset()
