"""Data sets, their split, and the order of an epoch."""

import numpy as np
import pytest
import runs
from sklearn.datasets import make_moons

from fcclf.data import loading
from fcclf.data.order import EpochOrders, epoch_order
from fcclf.settings.config import Config
from fcclf.settings.sources import Blobs, Circles, Spirals


def test_the_moons_are_scikit_learns_and_their_last_fifth_is_the_test_part():
    dataset = loading.load(Config())
    X, y = make_moons(2000, noise=0.1, random_state=42)
    np.testing.assert_array_equal(dataset.X_train, X[:1600].astype(np.float32))
    np.testing.assert_array_equal(dataset.X_test, X[1600:].astype(np.float32))
    np.testing.assert_array_equal(dataset.y_train, y[:1600])
    np.testing.assert_array_equal(dataset.y_test, y[1600:])
    assert (dataset.n_features, dataset.n_classes) == (2, 2)


def test_the_validation_part_is_the_end_of_the_training_part_and_never_of_the_test_part():
    whole = loading.load(runs.config())
    held_out = loading.load(runs.config(early_stopping=True, validation_fraction=0.25))
    assert whole.sizes == (80, 0, 20)
    assert held_out.sizes == (60, 20, 20)
    np.testing.assert_array_equal(np.concatenate([held_out.X_train, held_out.X_validation]), whole.X_train)
    np.testing.assert_array_equal(np.concatenate([held_out.y_train, held_out.y_validation]), whole.y_train)
    np.testing.assert_array_equal(held_out.X_test, whole.X_test)


def test_the_fingerprint_changes_with_any_value_and_with_the_split():
    dataset = loading.load(runs.config())
    changed = dataset.X_test.copy()
    changed[3, 1] += 1e-6
    moved = loading.split(
        np.concatenate([dataset.X_train, dataset.X_test]), np.concatenate([dataset.y_train, dataset.y_test]), 0, 21, 2
    )
    prints = {loading.fingerprint(each.arrays) for each in (dataset, dataset._replace(X_test=changed), moved)}
    assert len(prints) == 3
    assert loading.fingerprint(dataset.arrays) == loading.fingerprint(loading.load(runs.config()).arrays)


def test_a_shuffled_epoch_has_every_sample_once():
    order = epoch_order(seed=0, epoch=3, size=1000, sampling="shuffle")
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))


def test_a_bootstrapped_epoch_draws_with_replacement():
    order = epoch_order(seed=0, epoch=3, size=1000, sampling="bootstrap")
    assert len(order) == 1000
    assert 500 < len(np.unique(order)) < 750  # 1 - 1/e of the samples are expected
    assert order.min() >= 0
    assert order.max() < 1000


def test_the_order_depends_on_seed_and_epoch_alone():
    order = epoch_order(1, 2, 50, "shuffle")
    np.testing.assert_array_equal(order, epoch_order(1, 2, 50, "shuffle"))
    assert not np.array_equal(order, epoch_order(1, 3, 50, "shuffle"))
    assert not np.array_equal(order, epoch_order(2, 2, 50, "shuffle"))


def test_the_order_never_changes_between_releases():
    np.testing.assert_array_equal(epoch_order(0, 0, 10, "shuffle"), [4, 6, 2, 7, 3, 5, 9, 0, 8, 1])


@pytest.mark.parametrize("calls", [[(0, 3), (4, 4), (5, 7)], [(0, 0), (0, 2), (2, 3), (3, 3), (4, 7)], [(5, 6)]])
def test_orders_made_ahead_are_the_orders_of_their_epochs(calls):
    orders = EpochOrders(5, "shuffle", size=40, n_rows=4)
    for first, last in calls:
        rows = orders.rows(first, last)
        for row, epoch in enumerate(range(first, last + 1)):
            np.testing.assert_array_equal(rows[row], epoch_order(5, epoch, 40, "shuffle"))
        assert not rows[last - first + 1 :].any()
    orders.close()


@pytest.mark.parametrize(("source", "classes"), [(Circles, 2), (Blobs, 3), (Spirals, 3)])
def test_shapes_have_as_many_classes_as_they_say_and_are_functions_of_their_seed(source, classes):
    dataset, again, other = (loading.load(Config(source(data_seed=seed))) for seed in (1, 1, 2))
    assert dataset.n_features == 2
    assert sorted(set(dataset.y_train)) == list(range(classes)) == list(range(dataset.n_classes))
    assert loading.fingerprint(dataset.arrays) == loading.fingerprint(again.arrays) != loading.fingerprint(other.arrays)


def test_a_spiral_without_noise_winds_once_around():
    dataset = loading.load(Config(Spirals(noise=0.0, classes=4)))
    radius = np.linalg.norm(dataset.X_train, axis=1)
    angle = np.arctan2(*dataset.X_train.T[::-1])
    turns = radius + dataset.y_train / 4 - angle / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-4)


def test_statistics_are_means_and_deviations_and_a_constant_has_deviation_1(monkeypatch):
    monkeypatch.setattr(loading, "BLOCK", 7)
    X = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    X[:, 2] = 5
    measured = loading.statistics(X, each_feature=True)
    np.testing.assert_allclose(measured["mean"], X.mean(0), rtol=1e-6)
    np.testing.assert_allclose(measured["stddev"], [*X.std(0)[:2], 1, X.std(0)[3]], rtol=1e-6)
    assert loading.statistics(X, each_feature=False)["stddev"] == pytest.approx(X.std(), rel=1e-6)
