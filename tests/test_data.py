"""Data sets, their split, and the order of an epoch."""

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons

from fcclf.data import loading
from fcclf.data.dataset import LOOKED_AT, Dataset, Part, aligned, far_apart, layer_statistics, split, statistics
from fcclf.data.order import BLOCK, EpochOrders, Order, epoch_order, order_at
from fcclf.errors import ConfigError
from fcclf.settings.config import Config
from fcclf.settings.model import Model, named_layers
from fcclf.settings.run_config import DataShape
from fcclf.settings.sources import Blobs, Circles, Spirals


def test_the_moons_are_scikit_learns_and_their_last_fifth_is_the_test_part():
    dataset = loading.load(Config())
    X, y = make_moons(2000, noise=0.1, random_state=42)
    np.testing.assert_array_equal(dataset.train.X, X[:1600].astype(np.float32))
    np.testing.assert_array_equal(dataset.test.X, X[1600:].astype(np.float32))
    np.testing.assert_array_equal(dataset.train.y, y[:1600])
    np.testing.assert_array_equal(dataset.test.y, y[1600:])
    assert (dataset.n_features, dataset.n_classes) == (2, 2)


def test_the_validation_part_is_the_end_of_the_training_part_and_never_of_the_test_part():
    whole = loading.load(runs.config())
    held_out = loading.load(runs.config(early_stopping=True, validation_fraction=0.25))
    sizes = [[len(part.y) for part in each[:3]] for each in (whole, held_out)]
    assert sizes == [[80, 0, 20], [60, 20, 20]]
    np.testing.assert_array_equal(np.concatenate([held_out.train.X, held_out.validation.X]), whole.train.X)
    np.testing.assert_array_equal(np.concatenate([held_out.train.y, held_out.validation.y]), whole.train.y)
    np.testing.assert_array_equal(held_out.test.X, whole.test.X)


def test_the_fingerprint_changes_with_any_value_and_with_the_split():
    dataset = loading.load(runs.config())
    changed = dataset.test.X.copy()
    changed[3, 1] += 1e-6
    weighted = dataset._replace(train=dataset.train._replace(weights=np.ones(80, np.float32)))
    moved = split(
        np.concatenate([dataset.train.X, dataset.test.X]), np.concatenate([dataset.train.y, dataset.test.y]), 0, 21, 2
    )
    others = (dataset._replace(test=dataset.test._replace(X=changed)), moved, weighted)
    assert len({each.facts.fingerprint for each in (dataset, *others)}) == 4
    assert dataset.facts == loading.load(runs.config()).facts


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
    windowed = epoch_order(0, 0, 10_000, "shuffle", 5000)
    np.testing.assert_array_equal(windowed[[0, 1, 2, -3, -2, -1]], [9228, 9745, 8847, 7732, 6499, 5888])


SIZES, WINDOWS = st.integers(1, 20_000), st.none() | st.integers(BLOCK, 30_000)


@given(SIZES, WINDOWS, st.integers(0, 3))
def test_an_epoch_shuffled_in_windows_has_every_sample_once(size, window, epoch):
    order = epoch_order(1, epoch, size, "shuffle", window)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


@given(SIZES, WINDOWS, st.sampled_from(("shuffle", "bootstrap", "none")), st.floats(0, 1, exclude_max=True))
def test_a_window_made_alone_is_that_of_the_whole_order(size, window, sampling, share):
    place = int(share * size)
    first, rows = order_at(place, 1, 2, size, sampling, window)
    assert first <= place < first + len(rows)
    np.testing.assert_array_equal(rows, epoch_order(1, 2, size, sampling, window)[first : first + len(rows)])


@pytest.mark.parametrize("sampling", ["shuffle", "bootstrap"])
def test_the_samples_of_a_window_are_those_of_as_many_blocks_as_fit_into_it(sampling):
    _, rows = order_at(0, 1, 2, 100_000, sampling, 3 * BLOCK + 1)
    assert len(rows) == 3 * BLOCK
    assert len(np.unique(rows // BLOCK)) == 3


def test_blocks_and_windows_come_in_another_order_in_every_epoch_and_for_every_seed():
    orders = [epoch_order(seed, epoch, 50_000, "shuffle", BLOCK) for seed, epoch in ((1, 2), (1, 3), (2, 2))]
    assert len({tuple(order[::BLOCK] // BLOCK) for order in orders}) == 3
    within = [np.argsort(order[order // BLOCK == 0]) for order in orders]
    assert len({each.tobytes() for each in within}) == 3


@pytest.mark.parametrize("calls", [[(0, 3), (4, 4), (5, 7)], [(0, 0), (0, 2), (2, 3), (3, 3), (4, 7)], [(5, 6)]])
def test_orders_made_ahead_are_the_orders_of_their_epochs(calls):
    orders = EpochOrders(Order(5, 40), n_rows=4)
    for first, last in calls:
        rows = orders.rows(first, last)
        for row, epoch in enumerate(range(first, last + 1)):
            np.testing.assert_array_equal(rows[row], epoch_order(5, epoch, 40, "shuffle"))
        assert not rows[last - first + 1 :].any()
    orders.close()


@pytest.mark.parametrize(
    "calls", [[(0, 0)] * 5 + [(1, 1)] * 3, [(0, 0), (0, 1), (1, 1), (1, 2)], [(0, 3), (4, 4), (5, 7)]]
)
def test_the_order_of_an_epoch_is_made_once_however_many_calls_it_is_asked_in(calls, monkeypatch):
    made = []
    monkeypatch.setattr(Order, "of_epoch", lambda order, epoch: made.append(epoch) or np.full(order.size, epoch))
    orders = EpochOrders(Order(5, 40), n_rows=4)
    rows = [orders.rows(first, last)[: last - first + 1, 0].tolist() for first, last in calls]
    orders.close()
    assert rows == [list(range(first, last + 1)) for first, last in calls]
    assert sorted(made) == list(range(max(made) + 1))


def test_a_long_stretch_after_a_short_one_finds_its_orders_made():
    orders = EpochOrders(Order(5, 40), n_rows=4)
    for first, last in [(0, 3), (4, 5), (6, 9), (10, 11)]:
        orders.rows(first, last)
        assert list(orders.ahead.result()) == list(range(last, last + 5))
    orders.close()


def test_a_long_epoch_is_made_ahead_and_the_one_before_it_is_given_up():
    orders = EpochOrders(Order(5, 40), n_rows=1)
    for epoch in (0, 0, 1, 2):
        np.testing.assert_array_equal(orders.rows(epoch, epoch), [epoch_order(5, epoch, 40, "shuffle")])
        assert list(orders.ahead.result()) == [epoch + 1]
    orders.close()


def test_arrays_are_copied_only_where_a_session_would_copy_them_in_every_call():
    numbers, labels = aligned((13,)), aligned((5,), np.int32)
    numbers[:], labels[:] = range(13), range(5)
    there = Part(numbers[:12].reshape(4, 3), labels[:4])
    elsewhere = Part(numbers[1:].reshape(4, 3), labels[1:], numbers[1:5])
    assert all(fed is own for fed, own in zip(there.as_fed(), there, strict=True))
    for fed, whole in zip(elsewhere.as_fed(), elsewhere, strict=True):
        assert not fed.ctypes.data % 64
        np.testing.assert_array_equal(fed, whole)


@pytest.mark.parametrize(("source", "classes"), [(Circles, 2), (Blobs, 3), (Spirals, 3)])
def test_shapes_have_as_many_classes_as_they_say_and_are_functions_of_their_seed(source, classes):
    dataset, again, other = (loading.load(Config(source(data_seed=seed))) for seed in (1, 1, 2))
    assert dataset.n_features == 2
    assert sorted(set(dataset.train.y)) == list(range(classes)) == list(range(dataset.n_classes))
    assert dataset.facts == again.facts != other.facts


def test_a_spiral_without_noise_winds_once_around():
    dataset = loading.load(Config(Spirals(noise=0.0, classes=4)))
    radius = np.linalg.norm(dataset.train.X, axis=1)
    angle = np.arctan2(*dataset.train.X.T[::-1])
    turns = radius + dataset.train.y / 4 - angle / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-4)


def test_statistics_are_means_and_deviations_and_a_constant_has_deviation_1(monkeypatch):
    monkeypatch.setattr("fcclf.data.dataset.BLOCK", 7)
    X = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    X[:, 2] = 5
    measured = statistics(X, each_feature=True)
    np.testing.assert_allclose(measured["mean"], X.mean(0), rtol=1e-6)
    np.testing.assert_allclose(measured["stddev"], [*X.std(0)[:2], 1, X.std(0)[3]], rtol=1e-6)
    assert statistics(X, each_feature=False)["stddev"] == pytest.approx(X.std(), rel=1e-6)


# ---- how much samples count ------------------------------------------------------------------------------------------


def weights_of(class_weight, **settings):
    """{name: weights of the samples of each class} of the parts."""
    config = runs.config(class_weight=class_weight, **settings)
    parts = loading.parts(config, loading.load(config))
    return {
        name: None if part.weights is None else [part.weights[part.y == number].tolist() for number in (0, 1)]
        for name, part in parts.items()
    }


def test_classes_weigh_in_training_and_validation_and_not_in_the_test_part():
    found = weights_of({"1": 3.0}, early_stopping=True)
    assert {name: weights and [set(each) for each in weights] for name, weights in found.items()} == {
        "train": [{1.0}, {3.0}],
        "validation": [{1.0}, {3.0}],
        "test": None,
    }


def test_balanced_classes_weigh_the_same_together():
    first, second = weights_of("balanced", samples=101)["train"]
    assert len(first) != len(second)
    assert sum(first) == pytest.approx(sum(second))
    assert sum(first) + sum(second) == pytest.approx(len(first) + len(second))


def test_the_weights_of_rows_and_of_classes_multiply():
    config = runs.config(class_weight={"1": 3.0})
    loaded = loading.load(config)
    loaded = loaded._replace(train=loaded.train._replace(weights=np.arange(80, dtype=np.float32)))
    part = loading.parts(config, loaded)["train"]
    np.testing.assert_array_equal(part.weights, np.arange(80) * np.where(part.y == 1, 3, 1))


@pytest.mark.parametrize(
    ("class_weight", "words"),
    [
        ({"2": 1.0}, "class_weight names the class '2', but the data have"),
        ({"0": 0.0, "1": 0.0}, "class_weight leaves the train part without a sample that weighs more than 0"),
    ],
)
def test_weights_that_do_not_fit_the_data_are_refused(class_weight, words):
    with pytest.raises(ConfigError, match=words):
        weights_of(class_weight)


def test_how_far_apart_columns_are_is_told_from_some_of_many_samples_spread_over_all():
    X = np.float32(np.random.default_rng(0).standard_normal((LOOKED_AT - 1, 3)) * [1, 20, 300])
    assert far_apart(X) == far_apart(X[::3])
    few = np.float64(X[: LOOKED_AT // 3])
    assert far_apart(few) == pytest.approx((few[:, 0].std(), few[:, 2].std()), rel=1e-6)


def test_the_statistics_of_columns_leave_out_what_is_missing_and_categories():
    X = np.float32([[0, 1, np.nan], [2, 3, 6], [1, np.nan, 8]])
    dataset = Dataset(Part(X, np.zeros(3, np.int32)), *[None] * 2, 2, categories=(3, 0, 0), missing=True)
    layers = named_layers(Model(standardize="features"), dataset.shape)
    found = layer_statistics(layers, dataset)
    np.testing.assert_array_equal(found["fill1/fill"], [-1, 2, 7])
    np.testing.assert_array_equal(found["standardize1/mean"], [0, 2, 7])
    np.testing.assert_array_equal(found["standardize1/stddev"], [1, 1, 1])
    assert list(layers) == ["fill1", "standardize1", "encode1", "fc1", "fc2", "output"]


def test_all_numbers_together_cannot_be_standardised_where_some_columns_are_categories():
    with pytest.raises(ConfigError, match="standardize is all, but some columns are categories"):
        named_layers(Model(standardize="all"), DataShape(2, 2, (3, 0)))
