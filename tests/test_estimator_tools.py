"""FCClassifier in scikit-learn's tools, and scikit-learn's own checks of an estimator."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.inspection import DecisionBoundaryDisplay, permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fcclf import FCClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
CLASSIFIER = FCClassifier((8,), max_iter=40, learning_rate_init=0.02, random_state=0)
PIPELINE = make_pipeline(StandardScaler(), CLASSIFIER)


@pytest.mark.slow
@parametrize_with_checks([FCClassifier(max_iter=20)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def search(n_jobs):
    return GridSearchCV(PIPELINE, {"fcclassifier__learning_rate_init": [1e-6, 0.02]}, cv=3, n_jobs=n_jobs).fit(X, y)


@pytest.mark.slow
def test_a_search_finds_the_learning_rate_that_learns():
    found = search(n_jobs=1)
    assert found.best_params_ == {"fcclassifier__learning_rate_init": 0.02}
    assert found.best_estimator_.score(X, y) > 0.9


@pytest.mark.campaign
def test_scores_and_searches_are_the_same_from_one_job_and_two():
    alone, together = (cross_val_score(PIPELINE, X, y, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(together, alone)
    one, two = search(n_jobs=1), search(n_jobs=2)
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.slow
@pytest.mark.parametrize(
    "ensemble",
    [
        CalibratedClassifierCV(PIPELINE, cv=3),
        VotingClassifier([("one", PIPELINE), ("other", clone(PIPELINE))], voting="soft"),
        BaggingClassifier(PIPELINE, n_estimators=3, random_state=0),
    ],
    ids=lambda each: type(each).__name__,
)
def test_it_is_a_part_of_ensembles(ensemble):
    assert ensemble.fit(X, y).score(X, y) > 0.9


@pytest.mark.slow
def test_importances_curves_and_boundaries():
    pytest.importorskip("matplotlib").use("Agg")
    fitted = clone(PIPELINE).fit(X, y)
    importances = permutation_importance(fitted, X, y, random_state=0).importances_mean
    assert importances.argmax() in (2, 3)
    assert learning_curve(PIPELINE, X, y, cv=3, train_sizes=[1.0])[2].mean() > 0.9
    flat = clone(PIPELINE).fit(X[:, :2], y)
    display = DecisionBoundaryDisplay.from_estimator(flat, X[:, :2], response_method="predict", grid_resolution=20)
    assert display.response.shape == (20, 20)


def test_frames_give_their_feature_names():
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    fitted = clone(CLASSIFIER).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[list("dcba")])
    pipeline = clone(PIPELINE).set_output(transform="pandas").fit(frame, y)
    assert pipeline[-1].n_features_in_ == 4


def test_copies_and_joblib_files_predict_the_same_and_can_be_fitted_on_their_own(tmp_path):
    fitted = clone(CLASSIFIER).fit(X, y)
    expected = fitted.predict_proba(X)
    joblib.dump(fitted, tmp_path / "model.joblib")
    for copied in (copy.deepcopy(fitted), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(copied.predict_proba(X), expected)
        copied.partial_fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


def test_a_clone_is_unfitted_and_a_fit_leaves_the_parameters():
    fitted = clone(CLASSIFIER).fit(X, y)
    assert fitted.get_params() == CLASSIFIER.get_params()
    assert not hasattr(clone(fitted), "classes_")
    assert len(pickle.dumps(fitted)) < 20_000
