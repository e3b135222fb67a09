"""Memory maps given to the estimators: nothing is copied, and what is streamed has the bits of what is in memory."""

import numpy as np
import pytest

from fcclf import FCClassifier, FCRegressor
from fcclf.data.rows import Chosen, gathered, is_mapped
from fcclf.estimator import samples
from fcclf.learning.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(90, 3))
FITS = {
    "classes": (FCClassifier, X[:, 0] > X[:, 1]),
    "numbers": (FCRegressor, X[:, 0] - X[:, 1]),
}


@pytest.fixture(params=["float32", "float64"])
def mapped(request, tmp_path):
    """A memory map of X."""
    np.save(tmp_path / "X.npy", X.astype(request.param))
    return np.load(tmp_path / "X.npy", mmap_mode="r")


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", FITS)
def test_a_streamed_fit_has_the_bits_of_a_fit_in_memory(kind, early_stopping, mapped, monkeypatch):
    estimator, y = FITS[kind]
    settings = {"max_iter": 3, "batch_size": 16, "random_state": 0, "early_stopping": early_stopping}
    weights = np.linspace(1, 2, len(y))
    fits = [estimator(hidden_layer_sizes=(4,), **settings).fit(np.array(mapped), y, weights)]
    monkeypatch.setattr(Plan, "that_fits", Plan.streamed)
    fits.append(estimator(hidden_layer_sizes=(4,), **settings).fit(mapped, y, weights))
    assert fits[0].loss_curve_ == fits[1].loss_curve_
    assert fits[0].validation_scores_ == fits[1].validation_scores_
    for one, other in zip(*(fit.coefs_ for fit in fits), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(fits[1].predict(mapped), fits[0].predict(np.array(mapped)))


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_memory_map_that_fits_is_trained_on_like_an_array(early_stopping, mapped):
    settings = {"max_iter": 3, "batch_size": 16, "random_state": 0, "early_stopping": early_stopping}
    one, other = (FCClassifier((4,), **settings).fit(each, FITS["classes"][1]) for each in (mapped, np.array(mapped)))
    assert one.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(one.predict_proba(mapped), other.predict_proba(mapped))


@pytest.mark.slow
def test_a_kept_fit_goes_on_whether_its_samples_are_mapped_or_not(mapped, tmp_path, monkeypatch):
    y, settings = FITS["classes"][1], {"batch_size": 16, "random_state": 0}
    FCClassifier((4,), max_iter=2, logdir=tmp_path / "fit", **settings).fit(np.array(mapped), y)
    monkeypatch.setattr(Plan, "that_fits", Plan.streamed)
    kept = FCClassifier((4,), max_iter=4, logdir=tmp_path / "fit", **settings).fit(mapped, y)
    assert kept.n_iter_ == 4
    assert len(kept.loss_curve_) == 4


def test_samples_that_are_held_out_of_a_memory_map_stay_there(mapped):
    estimator = FCRegressor(early_stopping=True)
    given, y = samples.targeted(estimator, mapped, FITS["numbers"][1], reset=True)
    assert np.shares_memory(given, mapped)
    parts, plain = (
        samples.parts(estimator, samples.measured(each, y), 0, *[None] * 3) for each in (given, given.copy())
    )
    for name, part in plain.items():
        assert np.shares_memory(parts[name].X.array, mapped)
        np.testing.assert_array_equal(samples.in_memory(parts[name]).X, part.X)
        np.testing.assert_array_equal(parts[name].y, part.y)


def test_views_of_memory_maps_are_known(mapped):
    assert is_mapped(mapped)
    assert is_mapped(np.asarray(mapped)[3:])
    assert not is_mapped(np.array(mapped))


def test_rows_are_gathered_in_the_order_that_is_asked_for(mapped):
    rows = RANDOM.integers(90, size=200)
    np.testing.assert_array_equal(gathered(mapped, rows), mapped[rows])
    chosen = Chosen(mapped, rows)
    np.testing.assert_array_equal(gathered(chosen, np.arange(100, 0, -1)), mapped[rows[100:0:-1]])
    np.testing.assert_array_equal(chosen[5:9], mapped[rows[5:9]])
