"""Sparse samples: the same bits as dense ones, and no more memory than their entries need."""

import tracemalloc

import numpy as np
import pytest
import runs
from scipy import sparse

from fcclf import FCClassifier, FCRegressor
from fcclf.data.sparse import SparseRows, first_rows, rows_of
from fcclf.errors import RunError
from fcclf.system import memory

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((90, 40)) * (RNG.random((90, 40)) < 0.1)
Y = DENSE.sum(axis=1)
FORMS = [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array]
SETTINGS = {"hidden_layer_sizes": (5,), "max_iter": 3, "batch_size": 32, "random_state": 0}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_rows_hold_what_the_matrix_holds(form):
    rows = rows_of(form(DENSE))
    assert isinstance(rows, SparseRows)
    assert rows.places == 8 >= (DENSE != 0).sum(axis=1).max()
    np.testing.assert_array_equal(first_rows(rows, 90, 40), DENSE)
    np.testing.assert_array_equal(first_rows(rows, 7, 40), DENSE[:7])


def test_entries_of_one_place_are_added_up():
    twice = sparse.csr_matrix(([1.0, 2.0], ([0, 0], [3, 3])), shape=(2, 40))
    np.testing.assert_array_equal(first_rows(rows_of(twice), 2, 40)[0, 3], 3.0)


def test_the_users_matrix_is_left_alone():
    twice = sparse.csr_matrix(([1.0, 2.0], [3, 3], [0, 2, 2]), shape=(2, 40))
    twice.data.setflags(write=False)
    rows_of(twice)
    assert twice.nnz == 2


def test_rows_that_do_not_fit_into_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(RunError, match=r"holding sparse samples needs about .*: take fewer"):
        rows_of(sparse.csr_array(DENSE))


def test_rows_that_would_take_more_memory_than_an_array_are_one():
    full = RNG.standard_normal((4, 6))
    np.testing.assert_array_equal(rows_of(sparse.csr_array(full)), full)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "settings"),
    [
        (sparse.csr_array, {}),
        (sparse.csc_matrix, {"early_stopping": True}),
        (sparse.coo_array, {"solver": "lbfgs"}),
        *(
            runs.campaign(form, settings)
            for form in FORMS
            for settings in ({}, {"early_stopping": True}, {"solver": "lbfgs"})
        ),
    ],
)
def test_a_fit_learns_and_predicts_the_bits_of_dense_samples(form, settings):
    expected = FCClassifier(**SETTINGS | settings).fit(DENSE, Y > 0)
    fitted = FCClassifier(**SETTINGS | settings).fit(form(DENSE), Y > 0)
    for own, other in zip(fitted.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(own, other)
    np.testing.assert_array_equal(fitted.predict_proba(form(DENSE)), expected.predict_proba(DENSE))


@pytest.mark.slow
def test_partial_fits_and_regressions_take_them_too():
    expected, fitted = (FCRegressor(**SETTINGS).partial_fit(X, Y) for X in (DENSE, sparse.csr_array(DENSE)))
    np.testing.assert_array_equal(fitted.predict(sparse.csc_array(DENSE)), expected.predict(DENSE))


@pytest.mark.slow
def test_a_fit_of_sparse_samples_is_a_run_that_goes_on(tmp_path):
    X = sparse.csr_array(DENSE)
    whole = FCClassifier(**SETTINGS, logdir=tmp_path / "whole").fit(X, Y > 0)
    FCClassifier(**SETTINGS | {"max_iter": 1}, logdir=tmp_path / "cut").fit(X, Y > 0)
    cut = FCClassifier(**SETTINGS, logdir=tmp_path / "cut").fit(X, Y > 0)
    np.testing.assert_array_equal(cut.coefs_[0], whole.coefs_[0])


@pytest.mark.slow
def test_predictions_make_a_few_rows_dense_at_a_time():
    wide = sparse.random_array((4000, 20_000), density=1e-4, format="csr", rng=RNG)
    fitted = FCClassifier((2,), max_iter=1, random_state=0).fit(wide[:50], np.arange(50) % 2)
    fitted.predict(wide[:1])
    tracemalloc.start()
    fitted.predict(wide)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400_000_000 < wide.shape[0] * wide.shape[1] * 8
