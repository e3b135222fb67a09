"""Labels of every kind, and numbers of both types, in FCClassifier."""

import numpy as np
import pytest
import runs
from peers import scikit_learns
from sklearn import config_context
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fcclf import FCClassifier, FCRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((60, 3))
y = (X[:, 0] > 0).astype(int)
ENDLESS = {"tol": 0, "n_iter_no_change": np.inf}
SETTINGS = {"hidden_layer_sizes": (5,), "batch_size": 20, "max_iter": 5, "random_state": 0} | ENDLESS


def classifier(**settings):
    return FCClassifier(**SETTINGS | settings)


# ---- several labels a sample -----------------------------------------------------------------------------------------

SEVERAL, LABELS = make_multilabel_classification(100, 6, n_classes=4, random_state=0)


def test_it_learns_several_labels_as_mlpclassifier_does():
    mine = classifier(solver="sgd", shuffle=False, learning_rate_init=0.01, max_iter=20)
    theirs = scikit_learns(MLPClassifier, mine, SEVERAL, LABELS)
    mine.fit(SEVERAL, LABELS)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(mine.predict_proba(SEVERAL), theirs.predict_proba(SEVERAL), atol=1e-9)
    np.testing.assert_array_equal(mine.predict(SEVERAL), theirs.predict(SEVERAL))
    assert (mine.out_activation_, mine.n_outputs_) == (theirs.out_activation_, theirs.n_outputs_)
    assert mine.classes_.tolist() == theirs.classes_.tolist()


def test_the_score_of_several_labels_is_that_of_the_whole_set():
    fitted = classifier(early_stopping=True, max_iter=30).fit(SEVERAL, LABELS, X_val=SEVERAL, y_val=LABELS)
    assert fitted.score(SEVERAL, LABELS) == pytest.approx(fitted.best_validation_score_)
    assert fitted.decision_function(SEVERAL).shape == LABELS.shape


def test_two_labels_that_may_both_be_there_are_not_two_classes():
    pairs = LABELS[:, :2]
    fitted = classifier().fit(SEVERAL, pairs)
    assert fitted.predict(SEVERAL).shape == fitted.predict_proba(SEVERAL).shape == pairs.shape
    assert fitted.decision_function(SEVERAL).shape == pairs.shape


@pytest.mark.slow
def test_several_labels_are_kept_in_a_run(tmp_path):
    fitted = classifier(logdir=tmp_path / "run").fit(SEVERAL, LABELS)
    opened = FCClassifier.from_run(tmp_path / "run")
    np.testing.assert_array_equal(opened.predict_proba(SEVERAL), fitted.predict_proba(SEVERAL))
    np.testing.assert_array_equal(opened.predict(SEVERAL), fitted.predict(SEVERAL))


def test_labels_of_the_other_kind_are_refused():
    fitted = classifier(warm_start=True).fit(SEVERAL, LABELS)
    with pytest.raises(ValueError, match="same classes"):
        fitted.fit(SEVERAL, LABELS[:, :2])
    begun = classifier().partial_fit(SEVERAL, LABELS, classes=range(4))
    with pytest.raises(ValueError, match=r"one label a sample, but it was several labels a sample"):
        begun.partial_fit(SEVERAL, LABELS[:, 0])
    with pytest.raises(ValueError, match=r"y has 3 labels a sample, but there are 4 classes"):
        begun.partial_fit(SEVERAL, LABELS[:, :3])
    with pytest.raises(ValueError, match="class_weight is for one label a sample"):
        classifier(class_weight="balanced").fit(SEVERAL, LABELS)


def test_a_matrix_of_other_numbers_says_no_labels():
    with pytest.raises(ValueError, match="it must say by 1 and 0 which labels a sample has"):
        classifier().fit(X, np.where(X > 0, 1, -1))


# ---- other labels ----------------------------------------------------------------------------------------------------


def test_one_class_is_always_the_answer():
    fitted = classifier().fit(X, np.full(60, "only"))
    assert set(fitted.predict(X)) == {"only"}
    np.testing.assert_array_equal(fitted.predict_proba(X), np.ones((60, 1)))


@pytest.mark.slow
def test_one_class_is_kept_in_a_run(tmp_path):
    classifier(logdir=tmp_path / "run").fit(X, np.full(60, 7))
    assert set(FCClassifier.from_run(tmp_path / "run").predict(X)) == {7}


@pytest.mark.parametrize(
    "labels",
    [
        np.array([False, True])[y],
        np.array(["lower", "upper"])[y],
        np.array(["lower", "upper"], object)[y],
        np.array([-1.0, 2.0])[y],
        np.array([-(2**60), 2**60])[y],
        np.array([3, 5], np.uint8)[y],
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_predictions_are_labels_as_they_were_given(labels):
    fitted = classifier(max_iter=50, learning_rate_init=0.05).fit(X, labels)
    assert fitted.score(X, labels) > 0.9
    assert fitted.predict(X).dtype == fitted.classes_.dtype
    assert set(fitted.predict(X).tolist()) <= set(labels.tolist())


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy before 2.0")
def test_labels_of_numpys_new_texts_are_texts():
    labels = np.array(["lower", "upper"], np.dtypes.StringDType())[y]
    fitted = classifier(max_iter=50, learning_rate_init=0.05).fit(X, labels)
    assert np.mean(fitted.predict(X) == np.array(labels.tolist())) > 0.9
    assert fitted.classes_.tolist() == ["lower", "upper"]


# ---- the type of the numbers -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (np.float32, None, np.float32),
        (np.int64, None, np.float64),
        (np.float64, "float32", np.float32),
        runs.campaign(np.float64, None, np.float64),
        runs.campaign(np.float32, "float64", np.float64),
    ],
)
@pytest.mark.parametrize("estimator", [FCClassifier, FCRegressor])
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True, "batch_norm": "after", "dropout": 0.1}], ids=str)
def test_weights_and_answers_are_of_the_type_asked_for(estimator, given, dtype, expected, settings):
    fitted = estimator(**SETTINGS, dtype=dtype, **settings).fit((10 * X).astype(given), y)
    assert {each.dtype for each in [*fitted.coefs_, *fitted.intercepts_]} == {np.dtype(expected)}
    answer = fitted.predict_proba if estimator is FCClassifier else fitted.predict
    assert answer((10 * X).astype(given)).dtype == answer(10 * X.astype(np.float32)).dtype == expected


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["adam", "sgd", *map(runs.campaign, ["rmsprop", "adagrad", "adadelta"])])
@pytest.mark.parametrize("max_iter", [3, runs.campaign(2000)])
def test_both_types_begin_with_the_same_weights_and_learn_the_same(solver, max_iter):
    settings = {"solver": solver, "max_iter": max_iter, "activation": "tanh"} | ({"alpha": 1.0} if max_iter > 3 else {})
    wide, narrow = (classifier(dtype=dtype, **settings).fit(X, y) for dtype in ("float64", "float32"))
    np.testing.assert_allclose(wide.loss_curve_[:3], narrow.loss_curve_[:3], rtol=1e-5)
    np.testing.assert_allclose(wide.loss_, narrow.loss_, rtol=1e-2)


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd", "learning_rate": "adaptive"}], ids=str)
def test_float64_is_mlpclassifier_to_its_last_digits(settings):
    mine = classifier(shuffle=False, max_iter=100, **settings)
    theirs = scikit_learns(MLPClassifier, mine, X, y)
    np.testing.assert_allclose(mine.fit(X, y).loss_curve_, theirs.loss_curve_, rtol=1e-10)


@pytest.mark.slow
def test_a_float64_fit_goes_on_to_the_same_bits(tmp_path):
    settings = {"early_stopping": True, "dropout": 0.2, "batch_norm": "before"}
    whole = classifier(**settings, max_iter=12, logdir=tmp_path / "whole").fit(X, y)
    classifier(**settings, max_iter=5, logdir=tmp_path / "cut").fit(X, y)
    cut = classifier(**settings, max_iter=12, logdir=tmp_path / "cut").fit(X, y)
    assert cut.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(cut.predict_proba(X), whole.predict_proba(X))
    opened = FCClassifier.from_run(tmp_path / "cut")
    assert opened.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(opened.predict_proba(X), whole.predict_proba(X))


# ---- weights that a user sets ----------------------------------------------------------------------------------------


def test_weights_that_are_set_count():
    fitted = classifier().fit(X, y)
    fitted.coefs_ = [np.zeros((3, 5)), np.zeros((5, 1))]
    fitted.intercepts_[1] = np.array([2.0])
    np.testing.assert_array_equal(fitted.decision_function(X), np.full(60, 2.0))
    fitted.intercepts_[1][0] = 3.0
    np.testing.assert_array_equal(fitted.decision_function(X), np.full(60, 3.0))
    np.testing.assert_allclose(fitted.partial_fit(X, y).intercepts_[1], 3.0, atol=0.01)


def test_a_new_fit_forgets_weights_that_were_set():
    expected, fitted = classifier().fit(X, y), classifier().fit(X, y)
    fitted.coefs_ = [np.zeros((3, 5)), np.zeros((5, 1))]
    np.testing.assert_array_equal(fitted.fit(X, y).coefs_[0], expected.coefs_[0])


def test_a_fit_that_goes_on_from_weights_that_were_set_forgets_the_best_epoch_before():
    fitted = classifier(early_stopping=True, warm_start=True, learning_rate_init=1e-9, max_iter=3)
    fitted.fit(X, y, X_val=X, y_val=y)
    fitted.coefs_ = [np.zeros((3, 5)), np.zeros((5, 1))]
    fitted.intercepts_ = [np.zeros(5), np.array([7.0])]
    assert fitted.fit(X, y, X_val=X, y_val=y).intercepts_[1] == pytest.approx(7.0)


def test_copies_of_the_weights_are_not_other_weights():
    """As joblib makes them when it loads a model."""
    fitted = classifier(early_stopping=True, warm_start=True, learning_rate_init=0.05, max_iter=30)
    best = fitted.fit(X, y, X_val=X, y_val=y).coefs_
    fitted.coefs_, fitted.intercepts_ = ([each.copy() for each in given] for given in (best, fitted.intercepts_))
    fitted.set_params(learning_rate_init=30.0, max_iter=1).fit(X, y, X_val=X, y_val=y)
    np.testing.assert_array_equal(fitted.coefs_[0], best[0])


def test_weights_alone_make_no_fitted_model():
    model = classifier()
    model.coefs_ = [np.zeros((3, 5)), np.zeros((5, 1))]
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.slow
def test_weights_that_fit_no_layer_are_refused():
    fitted = classifier().fit(X, y)
    fitted.coefs_[0] = np.zeros((2, 5))
    with pytest.raises(ValueError, match=r"coefs_\[0\] has shape \(2, 5\), but the layer has \(3, 5\)"):
        fitted.predict(X)
    fitted.coefs_ = fitted.coefs_[:1]
    with pytest.raises(ValueError, match="coefs_ has 1 arrays, but there are 2 layers"):
        fitted.predict(X)
    normed = classifier(batch_norm="before").fit(X, y)
    normed.intercepts_[0] = np.ones(5)
    with pytest.raises(ValueError, match=r"intercepts_\[0\] has shape \(5,\), but the layer has None"):
        normed.predict(X)


# ---- what the network has learned ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"batch_norm": "before", "dropout": 0.2}, {"batch_norm": "after"}], ids=str)
def test_a_hidden_layer_is_what_the_next_one_multiplies(settings):
    fitted = classifier(hidden_layer_sizes=(7, 5), activation="tanh", **settings).fit(X, y)
    assert fitted.hidden(X, 0).shape == (60, 7)
    last = fitted.hidden(X)
    np.testing.assert_array_equal(fitted.hidden(X, 1), last)
    logits = last @ fitted.coefs_[-1] + fitted.intercepts_[-1]
    np.testing.assert_allclose(logits[:, 0], fitted.decision_function(X), atol=1e-12)


def test_it_transforms_samples_into_the_features_of_its_last_layer():
    fitted = classifier().fit(X, y)
    np.testing.assert_array_equal(fitted.transform(X), fitted.hidden(X))
    assert fitted.get_feature_names_out().tolist() == [f"fcclassifier{number}" for number in range(5)]
    pipeline = make_pipeline(classifier(max_iter=50, learning_rate_init=0.05), LogisticRegression())
    assert pipeline.fit(X, y).score(X, y) > 0.9


def test_a_layer_that_is_not_there_is_refused():
    fitted = classifier().fit(X, y)
    with pytest.raises(ValueError, match="layer is 1, but there are 1 hidden layers, counted from 0"):
        fitted.hidden(X, 1)
    with pytest.raises(ValueError, match="There is no hidden layer"):
        classifier(hidden_layer_sizes=()).fit(X, y).transform(X)


def test_weights_and_validation_data_are_routed():
    with config_context(enable_metadata_routing=True):
        asked = classifier(early_stopping=True).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asked)
        pipeline.fit(X, y, sample_weight=np.ones(60), X_val=X, y_val=y)
    assert len(pipeline[-1].validation_scores_) == 5


# ---- columns with units of their own ---------------------------------------------------------------------------------

WIDE = X * [1000, 1, 0.01]


@pytest.mark.parametrize("make", [FCClassifier, FCRegressor])
def test_columns_far_apart_of_which_little_was_learned_are_warned_of_with_the_remedy(make):
    remedy = rf"from 0\.0\d+ to 1\.1e\+03: put a .* as in make_pipeline\(StandardScaler\(\), {make.__name__}"
    with pytest.warns(UserWarning, match=remedy):
        make(**SETTINGS).fit(WIDE, (X[:, 2] > 0).astype(int))


@pytest.mark.filterwarnings("error:Little was learned")
def test_columns_alike_and_those_that_were_learned_from_are_not_warned_of():
    classifier(max_iter=1).fit(X, y)
    classifier(max_iter=300, learning_rate_init=0.01).fit(X * [100, 0.9, 1], y)
