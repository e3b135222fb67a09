"""Searches: over processes with the answers of one, programs that serve all fits of a shape, and Optuna's studies."""

import dataclasses
import itertools
import os
import signal

import joblib
import numpy as np
import optuna
import pytest
import runs
import tensorflow as tf
from dask.distributed import Client, LocalCluster, SchedulerPlugin
from optuna.trial import TrialState
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from fcclf import FCClassifier
from fcclf.estimator import parameters
from fcclf.learning.plan import planned
from fcclf.learning.program import Program, borrowed, clear_programs, kept_plans
from fcclf.settings.run_config import DataShape

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = make_moons(300, noise=0.3, random_state=0)
FOLDS = list(StratifiedKFold(3).split(X, y))
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0}
COMPILED = {"hidden_layer_sizes": (5,), "batch_size": 8, "max_iter": 200, "random_state": 0}  # 5000 steps


@pytest.fixture
def no_programs():
    """None is kept of the tests before."""
    clear_programs()


def search(grid, settings=SMALL):
    return GridSearchCV(FCClassifier(**settings), grid, cv=FOLDS, refit=False).fit(X, y)


def on_cluster(cluster, *search_for):
    """The same on the workers of a cluster, each of which has all data; and {worker: how many programs it compiled}."""
    with Client(cluster) as client:
        client.amm.stop()
        with joblib.parallel_config("dask", scatter=[X, y, *itertools.chain(*FOLDS)]):
            return search(*search_for), client.run(lambda: len(kept_plans()))


def assert_same_search(one, other):
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])
    assert one.best_params_ == other.best_params_


def cluster(**settings):
    return LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, **settings)


@pytest.mark.campaign
def test_a_search_over_a_cluster_is_that_of_one_process():
    grid = {"learning_rate_init": [1e-6, 0.01, 0.1]}
    with cluster() as workers:
        found, kept = on_cluster(workers, grid)
    assert_same_search(found, search(grid))
    assert set(kept.values()) == {1}


class Killer(SchedulerPlugin):
    """Kills a process after so many fits of a cluster, as the system does where memory runs out."""

    def __init__(self, pid, fits):
        self.pid, self.fits = pid, fits

    def transition(self, key, start, finish, *args, **kwargs):
        self.fits -= finish == "memory" and "fit_and_score" in str(key)
        if self.fits == 0 and self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.pid = None


def on_cluster_with_a_kill(fits, *search_for):
    """`on_cluster`, where a worker is killed after so many fits."""
    with cluster() as workers:
        killed, other = (worker.pid for worker in workers.workers.values())
        killer = Killer(killed, fits)
        workers.scheduler.add_plugin(killer)
        found = on_cluster(workers, *search_for)
        now = {worker.pid for worker in workers.workers.values()}
    assert killer.pid is None
    assert now & {killed, other} == {other}
    return found


@pytest.mark.campaign
@pytest.mark.parametrize("fits", [1, 4])
def test_a_search_is_the_same_whenever_a_worker_is_killed(fits):
    grid = {"learning_rate_init": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]}
    assert_same_search(on_cluster_with_a_kill(fits, grid)[0], search(grid))


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_200_candidates_are_the_same_where_a_worker_is_killed_meanwhile():
    grid = {"learning_rate_init": np.geomspace(1e-4, 1, 20).tolist(), "alpha": np.geomspace(1e-5, 10, 10).tolist()}
    alone = search(grid, COMPILED)
    found, kept = on_cluster_with_a_kill(100, grid, COMPILED)
    assert len(alone.cv_results_["params"]) == 200
    assert_same_search(found, alone)
    assert set(kept.values()) <= {0, 1}  # none perhaps of the worker that came in place of the killed one


@pytest.mark.slow
def test_a_program_serves_all_fits_of_its_shape(no_programs):
    search({"learning_rate_init": [0.001, 0.01], "alpha": [0.01, 0.1], "tol": [0, 0.1], "random_state": [0, 1]})
    assert len(kept_plans()) == 1
    search({"alpha": [0, 0.1]})  # without a penalty nothing is computed for it
    assert len(kept_plans()) == 2
    search({"hidden_layer_sizes": [(5,), (6,)]})
    assert len(kept_plans()) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores")
def test_a_candidate_that_diverges_leaves_its_program_to_the_others(no_programs):
    found = search({"learning_rate_init": [1e30, 0.01]}, SMALL | {"solver": "sgd", "max_iter": 20})
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert len(kept_plans()) == 1


def test_a_program_whose_session_failed_is_not_used_again(no_programs):
    plan = planned(runs.config(), DataShape(2, 2), (80, 0, 20))
    with pytest.raises(tf.errors.InvalidArgumentError), borrowed(Program, plan) as program:
        program.run(program.X)  # which is not fed
    assert kept_plans() == []


# ---- Optuna ----------------------------------------------------------------------------------------------------------


class Pruning:
    """Tells a trial the score of each epoch, and ends the fit where the study prunes it."""

    def __init__(self, trial):
        self.trial = trial

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch" and fitted_estimator is not None:
            self.trial.report(fitted_estimator.score(X, y), context.task_id)
            if self.trial.should_prune():
                raise optuna.TrialPruned


def quiet_study(**settings):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", **settings)


@pytest.mark.slow
def test_a_pruned_trial_ends_its_fit_and_leaves_the_program_to_the_next(no_programs):
    def objective(trial):
        rate = trial.suggest_float("learning_rate_init", 1e-6, 1, log=True)
        model = FCClassifier(**SMALL | {"learning_rate_init": rate}).set_callbacks(Pruning(trial))
        return model.fit(X, y).score(X, y)

    study = quiet_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=1))
    for rate in (0.1, 1e-6, 0.3):
        study.enqueue_trial({"learning_rate_init": rate})
    study.optimize(objective, n_trials=3)
    assert [trial.state for trial in study.trials[:2]] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert [sorted(trial.intermediate_values) for trial in study.trials[:2]] == [[0, 1, 2, 3, 4], [0, 1]]
    assert len(kept_plans()) == 1


class PowerCut(BaseException):
    """Nothing of the process answers it."""


@pytest.mark.slow
def test_a_study_goes_on_with_the_trial_that_was_killed(tmp_path, monkeypatch):
    plan = parameters.plan  # without compiling, which takes most of the time
    monkeypatch.setattr(parameters, "plan", lambda *given: dataclasses.replace(plan(*given), compiled=False))
    storage, settings = f"sqlite:///{tmp_path / 'study.db'}", {"study_name": "moons", "load_if_exists": True}

    def objective(trial):
        logdir = trial.user_attrs.get("logdir", str(tmp_path / f"trial-{trial.number}"))
        trial.set_user_attr("logdir", logdir)
        rate = trial.suggest_float("learning_rate_init", 1e-3, 1, log=True)
        model = FCClassifier(**SMALL | {"learning_rate_init": rate}, logdir=logdir)
        return model.set_callbacks(Pruning(trial), *watching).fit(X, y).score(X, y)

    class Cut(Pruning):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_id == 2:
                raise PowerCut

    watching = [Cut(None)]
    with pytest.raises(PowerCut):
        quiet_study(storage=storage, **settings).optimize(objective, n_trials=1)

    watching = []
    study = quiet_study(storage=storage, **settings)
    for killed in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(killed.number, state=TrialState.FAIL)
        study.enqueue_trial(killed.params, user_attrs={"logdir": killed.user_attrs["logdir"]})
    study.optimize(objective, n_trials=1)
    first, second = study.trials
    assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert sorted(second.intermediate_values) == [3, 4]  # the epochs before were trained already
    FCClassifier(**SMALL | second.params, logdir=tmp_path / "untouched").fit(X, y)
    runs.assert_same_run(tmp_path / "trial-0", tmp_path / "untouched")


@pytest.mark.slow
@pytest.mark.filterwarnings("error:Training interrupted by user")
def test_an_interrupt_ends_a_study_where_its_warning_is_an_error():
    class Interrupting(Pruning):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            raise KeyboardInterrupt

    study = quiet_study()
    with pytest.raises(UserWarning, match="Training interrupted by user"):
        study.optimize(lambda trial: FCClassifier(**SMALL).set_callbacks(Interrupting(trial)).fit(X, y), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
