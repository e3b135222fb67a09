"""Early stopping by a scorer of scikit-learn."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import get_scorer, log_loss

from fcclf import FCClassifier, FCRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((120, 3))
y = np.array(["lower", "upper"])[(X[:, 0] + 0.5 * np.random.default_rng(1).standard_normal(120) > 0).astype(int)]
OWN = {"X_val": X[:40], "y_val": y[:40]}
SETTINGS = {"hidden_layer_sizes": (5,), "batch_size": 20, "random_state": 0, "early_stopping": True}


def classifier(scoring, **settings):
    return FCClassifier(**SETTINGS | {"max_iter": 30, "scoring": scoring} | settings)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "f1_macro", get_scorer("balanced_accuracy")], ids=str)
def test_the_weights_are_those_of_the_best_epoch_by_the_scorer(scoring):
    fitted = classifier(scoring, learning_rate_init=0.03).fit(X[40:], y[40:], **OWN)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    assert scorer(fitted, X[:40], y[:40]) == pytest.approx(fitted.best_validation_score_)


def test_accuracy_asked_for_is_what_the_graph_measures():
    asked, measured = (classifier(scoring, tol=1e-3).fit(X[40:], y[40:], **OWN) for scoring in ("accuracy", None))
    np.testing.assert_allclose(asked.validation_scores_, measured.validation_scores_, rtol=1e-12)
    np.testing.assert_array_equal(asked.coefs_[0], measured.coefs_[0])


def test_patience_is_that_of_the_rule():
    fitted = classifier(lambda model, X, y: 0.5, n_iter_no_change=4, max_iter=100).fit(X, y)
    assert fitted.n_iter_ == 6  # the first is the best, and five are not better
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.fit(X, y)


def test_a_scorer_sees_labels_as_they_were_given_and_their_weights():
    seen = []

    def scorer(model, X, y, sample_weight=None):
        seen.append((set(y), sample_weight))
        return -log_loss(y, model.predict_proba(X), labels=model.classes_)

    weights = np.full(40, 2.0)
    classifier(scorer, max_iter=2).fit(X, y, **OWN, sample_weight_val=weights)
    classifier(scorer, max_iter=1).fit(sparse.csr_array(X), y)
    assert {each for labels, _ in seen for each in labels} == {"lower", "upper"}
    np.testing.assert_array_equal(seen[0][1], weights)
    assert seen[-1][1] is None


@pytest.mark.slow
def test_a_warm_start_goes_on_from_the_best_score_of_the_same_scorer():
    fitted = classifier("neg_log_loss", warm_start=True, max_iter=10).fit(X[40:], y[40:], **OWN)
    best = fitted.best_validation_score_
    assert fitted.fit(X[40:], y[40:], **OWN).best_validation_score_ >= best
    assert len(fitted.validation_scores_) == 20
    changed = fitted.set_params(scoring="roc_auc").fit(X[40:], y[40:], **OWN)
    assert get_scorer("roc_auc")(changed, X[:40], y[:40]) == pytest.approx(changed.best_validation_score_)
    assert len(changed.validation_scores_) == 10


def test_a_regression_is_scored_too():
    targets = X[:, 0] ** 2
    fitted = FCRegressor(**SETTINGS, scoring="neg_mean_absolute_error", max_iter=50).fit(X, targets)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_) < 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"early_stopping": False}, "scoring decides early stopping: set early_stopping=True"),
        ({"logdir": "x"}, "set logdir=None"),
        ({"solver": "sgd", "learning_rate": "adaptive"}, "choose another learning_rate"),
        ({"scoring": "beauty"}, "'scoring' parameter of FCClassifier must be"),
    ],
)
def test_what_cannot_be_scored_is_refused(settings, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words):
        classifier(**{"scoring": "roc_auc"} | settings).fit(X, y)
    assert not list(tmp_path.iterdir())


def test_a_warm_start_that_finds_nothing_better_keeps_the_best_weights():
    fitted = classifier("neg_log_loss", warm_start=True).fit(X[40:], y[40:], **OWN)
    best = fitted.best_validation_score_
    fitted.set_params(learning_rate_init=3.0, max_iter=1).fit(X[40:], y[40:], **OWN)
    assert fitted.best_validation_score_ == best
    assert get_scorer("neg_log_loss")(fitted, X[:40], y[:40]) == pytest.approx(best)


def test_a_scorer_that_takes_no_weights_is_named():
    with pytest.raises(ValueError, match="takes no weights, which sample_weight and class_weight need"):
        classifier(lambda model, X, y: 0.5, class_weight={"lower": 2.0}).fit(X, y)


@pytest.mark.filterwarnings("error::UserWarning")
def test_frames_are_scored_without_a_warning():
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abc"))
    assert classifier("roc_auc", max_iter=2).fit(frame, y).feature_names_in_.tolist() == list("abc")


def test_the_score_of_each_epoch_is_printed(capsys):
    fitted = classifier("roc_auc", max_iter=3, verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1::2] == [f"Validation score: {score:.6f}" for score in fitted.validation_scores_]


def test_what_diverges_keeps_the_best_epoch():
    settings = {"solver": "sgd", "activation": "identity", "learning_rate_init": 0.3, "max_iter": 200}
    targets = X[:, 0] + X[:, 1] ** 2
    fitted = FCRegressor(**SETTINGS, **settings, scoring="r2").fit(X, targets, X_val=X, y_val=targets)
    assert np.isnan(fitted.validation_scores_[-1])
    assert np.isfinite(fitted.predict(X)).all()
