"""scikit-learn's callbacks see each epoch of a fit and may end it."""

import dataclasses

import numpy as np
import pytest
import runs
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV

from fcclf import FCClassifier
from fcclf.estimator import parameters

scikit_learn = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = make_moons(150, noise=0.2, random_state=0)
SETTINGS = {"hidden_layer_sizes": (5, 4), "batch_size": 32, "max_iter": 12, "random_state": 0}


class Recorder:
    """Keeps what the hooks are told; ends the fit after `most` epochs."""

    def __init__(self, most=None):
        self.told, self.models, self.most = [], [], most

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.told.append(f"end {context.task_name}")
        self.models.append(fitted_estimator)
        return len(self.models) == self.most


def test_a_callback_sees_the_fit_and_its_epochs():
    recorder = Recorder()
    FCClassifier(**SETTINGS).set_callbacks(recorder).fit(X, y)
    assert recorder.told == ["setup", "begin fit", *["begin epoch", "end epoch"] * 12, "end fit", "teardown"]


@pytest.mark.slow
def test_the_model_it_sees_is_that_of_a_fit_that_ended_there():
    recorder = Recorder()
    fitted = FCClassifier(**SETTINGS, early_stopping=True).set_callbacks(recorder).fit(X, y)
    ended = FCClassifier(**SETTINGS | {"max_iter": 5}, early_stopping=True).fit(X, y)
    np.testing.assert_array_equal(recorder.models[4].predict_proba(X), ended.predict_proba(X))
    assert recorder.models[4].loss_curve_ == ended.loss_curve_ == fitted.loss_curve_[:5]


@pytest.mark.slow
def test_callbacks_change_no_bit_of_the_result():
    watched = FCClassifier(**SETTINGS).set_callbacks(Recorder()).fit(X, y)
    np.testing.assert_array_equal(watched.predict_proba(X), FCClassifier(**SETTINGS).fit(X, y).predict_proba(X))


def test_a_callback_may_end_the_fit():
    assert FCClassifier(**SETTINGS).set_callbacks(Recorder(most=3)).fit(X, y).n_iter_ == 3


def test_a_fit_that_goes_on_tells_of_the_epochs_before(tmp_path, monkeypatch):
    plan = parameters.plan  # without compiling, which takes most of the time
    monkeypatch.setattr(parameters, "plan", lambda *given: dataclasses.replace(plan(*given), compiled=False))
    FCClassifier(**SETTINGS | {"max_iter": 5}, logdir=tmp_path).fit(X, y)
    recorder = Recorder()
    FCClassifier(**SETTINGS, logdir=tmp_path).set_callbacks(recorder).fit(X, y)
    assert recorder.told.count("end epoch") == 12
    assert [model is None for model in recorder.models] == [True] * 5 + [False] * 8


def test_callbacks_are_torn_down_after_a_failure():
    recorder = Recorder()
    with pytest.raises(ValueError, match="non-finite"):
        FCClassifier(**SETTINGS, solver="sgd", learning_rate_init=1e30).set_callbacks(recorder).fit(X, y)
    assert (recorder.told[0], recorder.told[-1]) == ("setup", "teardown")


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, runs.campaign(2)])
def test_a_scoring_monitor_in_a_grid_search_logs_every_epoch(n_jobs):
    monitor = scikit_learn.ScoringMonitor(scoring="accuracy")
    watched = FCClassifier(**SETTINGS).set_callbacks(monitor)
    search = GridSearchCV(watched, {"alpha": [1e-4, 1]}, cv=2, n_jobs=n_jobs).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == (2 * 2 + 1) * 12
    assert search.best_estimator_.score(X, y) in scores


def test_a_progress_bar_is_drawn(capsys):
    pytest.importorskip("rich")
    FCClassifier(**SETTINGS).set_callbacks(scikit_learn.ProgressBar()).fit(X, y)
    assert "100%" in capsys.readouterr().out
