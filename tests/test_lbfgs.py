"""The solver lbfgs: scipy's optimizer over one compiled loss and gradient."""

import numpy as np
import pytest
from peers import settled
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fcclf import FCClassifier, FCRegressor

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
SETTINGS = {"solver": "lbfgs", "hidden_layer_sizes": (5,), "activation": "tanh", "random_state": 0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("iterations", [1, 5, 10])
def test_it_takes_the_steps_of_mlpclassifier(iterations):
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
    mine = FCClassifier(**SETTINGS, max_iter=iterations, alpha=0.1).fit(X, y, weights)
    theirs = settled(MLPClassifier, mine, X, y, weights)
    assert mine.n_iter_ == theirs.n_iter_ == iterations
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-9)
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_takes_the_steps_of_mlpregressor():
    mine = FCRegressor(**SETTINGS, max_iter=5).fit(X[:, :3], X[:, 3])
    theirs = settled(MLPRegressor, mine, X[:, :3], X[:, 3])
    np.testing.assert_allclose(mine.predict(X[:, :3]), theirs.predict(X[:, :3]), atol=1e-6)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-9)


@pytest.mark.slow
def test_a_minimum_of_several_outputs_has_no_gradient():
    targets = np.column_stack([X[:, 2], X[:, 3]])
    fitted = FCRegressor(**SETTINGS | {"activation": "identity"}, tol=1e-9, max_iter=2000, alpha=0.0)
    fitted.fit(X[:, :2], targets)
    residuals = fitted.predict(X[:, :2]) - targets
    np.testing.assert_allclose(residuals.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(X[:, :2].T @ residuals / len(X), 0, atol=1e-5)
    np.testing.assert_allclose(fitted.loss_, np.mean(residuals**2) / 2, rtol=1e-9)


def test_the_losses_fall_and_the_last_is_that_of_the_weights():
    fitted = FCClassifier(**SETTINGS, max_iter=500).fit(X, y)
    assert fitted.n_iter_ == len(fitted.loss_curve_)
    assert fitted.loss_curve_ == sorted(fitted.loss_curve_, reverse=True)
    chosen = fitted.predict_log_proba(X)[np.arange(len(y)), y]
    penalty = fitted.alpha / 2 * sum((kernel**2).sum() for kernel in fitted.coefs_) / len(y)
    np.testing.assert_allclose(fitted.loss_, penalty - chosen.mean(), rtol=1e-9)


@pytest.mark.slow
def test_what_ends_it_early_is_a_warning():
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        assert FCClassifier(**SETTINGS, max_iter=3).fit(X, y).n_iter_ == 3
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        assert FCClassifier(**SETTINGS, max_fun=3).fit(X, y).n_iter_ <= 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_goes_on_from_the_weights():
    fitted = FCClassifier(**SETTINGS, max_iter=5, warm_start=True).fit(X, y)
    before = fitted.loss_
    assert fitted.fit(X, y).loss_ < before
    assert len(fitted.loss_curve_) == 10


@pytest.mark.slow
def test_many_samples_are_taken_some_at_a_time_for_the_same_sum():
    rng = np.random.default_rng(0)
    many, labels = np.repeat(X, 60, axis=0), np.repeat(y, 60)
    order = rng.permutation(len(labels))
    once = FCClassifier(**SETTINGS, alpha=0.0, max_iter=1000).fit(X, y)
    repeated = FCClassifier(**SETTINGS, alpha=0.0, max_iter=1000).fit(many[order], labels[order])
    assert abs(once.loss_ - repeated.loss_) < 1e-3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"logdir": "x"}, "solver='lbfgs' keeps no run: set logdir=None"),
        ({"dropout": 0.5}, "has no batches, which dropout needs"),
        ({"batch_norm": "after"}, "has no batches, which batch_norm needs"),
    ],
)
def test_what_needs_batches_is_refused(settings, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words):
        FCClassifier(**SETTINGS, **settings).fit(X, y)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_early_stopping_has_no_effect_and_that_is_said():
    expected = FCClassifier(**SETTINGS, max_iter=500).fit(X, y)
    with pytest.warns(UserWarning, match="has no early stopping"):
        fitted = FCClassifier(**SETTINGS, max_iter=500, early_stopping=True).fit(X, y)
    np.testing.assert_array_equal(fitted.coefs_[0], expected.coefs_[0])


def test_there_is_no_partial_fit():
    assert not hasattr(FCClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(FCRegressor(solver="lbfgs"), "partial_fit")


@pytest.mark.slow
def test_each_iteration_is_printed(capsys):
    fitted = FCClassifier(**SETTINGS, max_iter=500, verbose=True).fit(X, y)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == fitted.n_iter_
    assert printed[-1] == f"Iteration {fitted.n_iter_}, loss = {fitted.loss_:.8f}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_no_number_is_one_sentence():
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        FCRegressor("poisson", **SETTINGS | {"activation": "identity"}).fit(1e6 * X, abs(X[:, 0]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_by_steps_may_follow_one_by_lbfgs():
    fitted = FCClassifier(**SETTINGS, warm_start=True, max_iter=5).fit(X, y)
    fitted.set_params(solver="sgd", learning_rate="invscaling").fit(X, y)
    assert fitted._values["state/epoch"] == fitted.n_iter_ == 5
    assert len(fitted.loss_curve_) == 10
    assert fitted.set_params(solver="lbfgs").fit(X, y).loss_ <= fitted.loss_curve_[9]
