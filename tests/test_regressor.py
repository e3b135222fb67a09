"""FCRegressor: the rules of scikit-learn's MLPRegressor, other losses, and a fit of it as a run."""

import json

import numpy as np
import pytest
import runs
from peers import scikit_learns
from scipy.special import huber
from sklearn.datasets import load_diabetes
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fcclf import FCClassifier, FCRegressor
from fcclf.cli import entry
from fcclf.errors import ConfigError, RunError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((150, 3))
Y = np.column_stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] ** 2])
ENDLESS = {"tol": 0, "n_iter_no_change": np.inf}
SETTINGS = {"hidden_layer_sizes": (5, 4), "activation": "tanh", "batch_size": 32, "max_iter": 20, "random_state": 0}


def regressor(*loss, **settings):
    return FCRegressor(*loss, **SETTINGS | ENDLESS | settings)


@pytest.mark.slow
@parametrize_with_checks([FCRegressor(max_iter=100)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# ---- the rules of MLPRegressor ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_it_learns_step_by_step_what_mlpregressor_learns(loss, outputs):
    y = abs(Y[:, 0]) if outputs == 1 else abs(Y)
    mine = regressor(loss, solver="sgd", shuffle=False, learning_rate_init=0.01, alpha=0.1)
    weights = np.random.default_rng(1).uniform(0.5, 2, 150)
    theirs = scikit_learns(MLPRegressor, mine, X, y, weights)
    mine.fit(X, y, weights)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    for own, other in zip([*mine.coefs_, *mine.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), atol=1e-4)
    assert mine.predict(X).shape == y.shape
    assert (mine.out_activation_, mine.n_outputs_) == (theirs.out_activation_, theirs.n_outputs_)


def test_negative_numbers_have_no_poisson_loss():
    with pytest.raises(ValueError, match=r"out of the valid range of the loss 'poisson': it takes y >= 0"):
        regressor("poisson").fit(X, Y)


@pytest.mark.slow
def test_other_outputs_than_before_are_refused():
    fitted = regressor(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="y has 1 outputs, but there were 2 in the previous call"):
        fitted.fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="y_val has 1 outputs, but y has 2"):
        regressor(early_stopping=True).fit(X, Y, X_val=X, y_val=Y[:, 0])


@pytest.mark.slow
def test_a_loss_that_makes_other_numbers_of_the_outputs_is_refused_in_a_warm_start():
    fitted = regressor(warm_start=True).fit(X, abs(Y))
    with pytest.raises(ValueError, match="loss='poisson' makes another number of the outputs"):
        fitted.set_params(loss="poisson").fit(X, abs(Y))
    assert fitted.set_params(loss="huber").fit(X, abs(Y)).out_activation_ == "identity"


def test_partial_fits_are_epochs_of_one_fit():
    whole, parts = regressor(shuffle=False, max_iter=3).fit(X, Y), regressor(shuffle=False)
    for _ in range(3):
        parts.partial_fit(X, Y)
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))


# ---- losses and scores -----------------------------------------------------------------------------------------------

MEASURES = {
    "squared_error": lambda y, answers: mean_squared_error(y, answers) / 2,
    "absolute_error": mean_absolute_error,
    "huber": lambda y, answers: huber(0.5, answers - y).mean(),
    "poisson": lambda y, answers: sum(mean_poisson_deviance(y[:, k], answers[:, k]) / 2 for k in range(2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("loss", MEASURES)
def test_a_loss_is_what_others_measure(loss):
    """With a learning rate of almost 0 and one batch, the loss of an epoch is that of the final network."""
    y = abs(Y)
    fitted = regressor(loss, delta=0.5, alpha=0, learning_rate_init=1e-30, batch_size=150, max_iter=1).fit(X, y)
    assert fitted.loss_ == pytest.approx(MEASURES[loss](y, fitted.predict(X).astype(float)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_a_single_wild_value_does_not_draw_the_answers_to_it(loss):
    y = X[:, 0].copy()
    y[0] = 1e4
    settings = {"hidden_layer_sizes": (), "max_iter": 400, "learning_rate_init": 0.01, "alpha": 0}
    robust, squared = (regressor(each, **settings).fit(X, y).predict(X) for each in (loss, "squared_error"))
    expected = QuantileRegressor(alpha=0).fit(X, y).predict(X)
    assert mean_absolute_error(expected, robust) < 0.05
    assert mean_absolute_error(expected, squared) > 1


@pytest.mark.slow
def test_early_stopping_watches_r2_and_keeps_the_best_weights():
    parts = train_test_split(X, Y, test_size=0.3, random_state=0)
    fitted = regressor(early_stopping=True, max_iter=150, learning_rate_init=0.05, n_iter_no_change=20)
    fitted.fit(parts[0], parts[2], X_val=parts[1], y_val=parts[3])
    assert fitted.best_validation_score_ == pytest.approx(r2_score(parts[3], fitted.predict(parts[1])), abs=1e-5)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    assert fitted.best_loss_ is None


def test_an_output_that_never_changes_scores_1_where_it_is_hit():
    y = np.column_stack([X[:, 0], np.zeros(150)])
    fitted = regressor(early_stopping=True, hidden_layer_sizes=(), learning_rate_init=1e-30, max_iter=1, alpha=0)
    for constant in (0.0, 7.0):
        y[:, 1] = constant
        fitted.fit(X, y, X_val=X, y_val=y)
        assert fitted.validation_scores_[0] == pytest.approx(r2_score(y, fitted.predict(X)), abs=1e-5)


@pytest.mark.slow
def test_it_predicts_diabetes_as_well_as_mlpregressor():
    data, target = load_diabetes(return_X_y=True)
    settings, scores = {"hidden_layer_sizes": (20,), "learning_rate_init": 0.01, "max_iter": 300, "random_state": 0}, {}
    for kind in (FCRegressor, MLPRegressor):
        pipeline = make_pipeline(StandardScaler(), kind(**settings))
        scores[kind] = pipeline.fit(data[:300], target[:300]).score(data[300:], target[300:])
    assert scores[FCRegressor] > 0.4
    assert scores[FCRegressor] > scores[MLPRegressor] - 0.05


# ---- as a run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(fitted regressor, its run directory); not to be changed."""
    path = tmp_path_factory.mktemp("fits") / "numbers"
    return regressor(early_stopping=True, logdir=path).fit(X, Y), path


def test_being_kept_as_a_run_changes_no_bit(kept, monkeypatch):
    monkeypatch.setattr("fcclf.estimator.parameters.COMPILED_FROM", 0)
    free = regressor(early_stopping=True).fit(X, Y)
    np.testing.assert_array_equal(free.predict(X), kept[0].predict(X))


def test_a_run_gives_the_regressor_back_as_fit_left_it(kept):
    fitted, path = kept
    opened = FCRegressor.from_run(path)
    np.testing.assert_array_equal(opened.predict(X), fitted.predict(X))
    assert (opened.loss_curve_, opened.validation_scores_) == (fitted.loss_curve_, fitted.validation_scores_)
    assert opened.get_params() == fitted.get_params() | {"logdir": str(path)}


def test_its_curves_are_in_tensorboard_and_in_the_history(kept):
    fitted, path = kept
    assert runs.history(path)[0][1:4] == ["train_loss", "train_total", "train_r2"]
    scalars = runs.scalars(path)
    assert {("train", "r2"), ("validation", "r2"), ("validation", "loss")} <= set(scalars)
    assert len(scalars["validation", "r2"]) == fitted.n_iter_


def test_the_command_line_lists_compares_and_verifies_it_and_says_how_to_open_it(kept, capsys):
    _, path = kept
    assert entry.main(["runs", str(path.parent), "--json"]) == 0
    assert [(row["run"], row["epochs"]) for row in json.loads(capsys.readouterr().out)] == [("numbers", 20)]
    assert entry.main(["verify", str(path)]) == 0
    assert entry.main(["summary", str(path)]) == 0
    capsys.readouterr()
    assert entry.main(["evaluate", str(path)]) == 1
    assert capsys.readouterr().err == (
        f"fcclf: error: {path} is a fit of FCRegressor and keeps no samples: open it with FCRegressor.from_run.\n"
    )


def test_each_estimator_opens_and_continues_its_own_runs_alone(kept, finished_run):
    _, path = kept
    with pytest.raises(RunError, match="is a run that predicts numbers: open it with FCRegressor"):
        FCClassifier.from_run(path)
    with pytest.raises(ConfigError, match=r"made by: FCRegressor -> FCClassifier"):
        FCClassifier(logdir=path).fit(X, Y[:, 0] > 0)
    with pytest.raises(RunError, match="is a run that classifies: open it with FCClassifier"):
        FCRegressor.from_run(finished_run)


@pytest.mark.slow
def test_a_score_that_overflows_costs_no_weight():
    X, y = np.tile(np.eye(4, dtype=np.float32), (50, 1)), np.tile(np.float32([3e25, -3e25, 1e25, 2e25]), 50)
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = FCRegressor("absolute_error", (4,), max_iter=4000, n_iter_no_change=4000, random_state=0).fit(X, y)
    assert all(np.isfinite(each).all() for each in fitted.coefs_)
    assert np.isfinite(fitted.loss_curve_).all()
