"""Training in shards: what a batch is, and that nothing but the settings decides its bits."""

import numpy as np
import pytest
import runs
from faults import After

from fcclf.data import loading
from fcclf.data.dataset import Part, layer_statistics
from fcclf.data.order import Order
from fcclf.errors import ConfigError
from fcclf.learning.program import borrowed
from fcclf.runs import training, verification
from fcclf.runs.trained import open_run
from fcclf.settings.blocks import BatchNorm, Dense
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.sources import Curve
from fcclf.sharded import shards
from fcclf.sharded.loop import Placement
from fcclf.sharded.program import ShardedProgram

UNEVEN = {"samples": 87, "batch_size": 16, "shards": 4}  # 70 training samples: 5 batches, the last short
EVERYTHING = {
    **UNEVEN,
    "batch_norm": "before",
    "dropout": 0.2,
    "class_weight": ("0=2",),
    "early_stopping": True,
    "patience": 4,
    "clip_norm": 1.0,
    "optimizer": "adam",
}


@pytest.mark.parametrize("size", [64, 70, 71, 3])
def test_shards_are_neighbours_that_differ_by_one_sample_at_most(size):
    bounds = [shards.bounds(size, 8, shard) for shard in range(8)]
    assert [sample for first, end in bounds for sample in range(first, end)] == list(range(size))
    lengths = {end - first for first, end in bounds}
    assert max(lengths) - min(lengths) == (0 if size == 64 else 1)
    assert shards.length(size, 8) == max(lengths)


def test_a_short_shard_ends_in_rows_that_weigh_nothing():
    part = Part(np.ones((7, 2), np.float32), np.ones(7, np.int32))
    assert [list(shards.cut(part, 2, shard).weights) for shard in (0, 1)] == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert shards.cut(part._replace(weights=np.full(7, 3, np.float32)), 2, 0).weights.tolist() == [3, 3, 3, 0]
    assert shards.cut(Part(part.X[:6], part.y[:6]), 2, 0).weights is None


def test_each_shard_has_an_order_of_its_own_by_seed_and_epoch():
    orders = shards.ShardedOrders(Order(3, 70), n_rows=2, shards=4, rows=20)
    made = orders.rows(5, 6)
    for row, epoch in enumerate((5, 6)):
        for shard, size in enumerate((17, 18, 17, 18)):
            generator = np.random.Generator(np.random.PCG64([3, epoch, shard]))
            np.testing.assert_array_equal(made[row, shard, :size], generator.permutation(size))
            assert set(made[row, shard, size:]) == {shards.NO_ROW}
    orders.close()


def test_devices_compute_neighbouring_shards():
    placement = Placement(8, ("a", "b", "c"))
    assert [placement.owned(device) for device in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]


@pytest.mark.parametrize(
    ("settings", "words"), [({"shards": 6}, "power of two"), ({"shards": 8}, "samples of a batch")]
)
def test_shards_that_do_not_cut_a_batch_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Training(batch_size=60, **settings)


def test_runs_without_shards_are_what_they_were():
    assert "training.shards" not in Config().identity()
    assert Config(training=Training(shards=4)).identity()["training.shards"] == 4
    assert Config(training=Training(shards=4)).run_name() == "moons-shards-4"


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"samples": 87}, {"class_weight": ("0=3",)}, {"data": Curve(samples=60)}])
def test_a_batch_in_shards_is_the_mean_of_its_samples(settings):
    """Where a batch is the whole training part, its order does not count."""
    settings = {"batch_size": 128, "optimizer": "sgd", "l2": 1e-3, "learning_rate": 0.1, "epochs": 5, **settings}
    whole, cut = (trained(runs.config(**settings, shards=each)) for each in (None, 4))
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, rtol=2e-4, atol=1e-6, err_msg=name)


def trained(config):
    """{name: values} of the weights, and the metrics of the epochs."""
    dataset = loading.load(config)
    planned, parts = training.plan_on(config, dataset), loading.parts(config, dataset)
    with borrowed(training.program_for(planned), planned) as program:
        training.begin(program, config, dataset)
        orders = program.ahead(parts, Order(program.given.seed, planned.sizes.train))
        found = program.advance(parts, orders, config.epochs * program.plan.n_batches)
        orders.close()
        return {**program.run(program.network.variables), **found.metrics}


@pytest.mark.slow
def test_running_statistics_follow_the_mean_of_the_shards_moments():
    layers = (BatchNorm(momentum=0.99), Dense(None, activation="identity"))
    config = runs.config(**{**UNEVEN, "batch_size": 80}, layers=layers, epochs=1)
    X, found = loading.load(config).train.X, trained(config)
    cut = [X[slice(*shards.bounds(len(X), 4, shard))] for shard in range(4)]
    for name, moment in (("mean", np.mean), ("variance", np.var)):
        moments = [moment(each, axis=0) for each in cut]
        expected = np.average(moments, axis=0, weights=[len(each) for each in cut])
        start = 0.0 if name == "mean" else 1.0
        np.testing.assert_allclose(found[f"bn1/moving_{name}"], start + 0.01 * (expected - start), rtol=1e-5)


@pytest.mark.slow
def test_statistics_of_the_data_stay_as_they_were_measured():
    config = runs.config(**{**UNEVEN, "samples": 91}, standardize="features", batch_norm="before", epochs=3)
    found, dataset = trained(config), loading.load(config)
    layers = dict(training.plan_on(config, dataset).layers)
    for name, values in layer_statistics(layers, dataset).items():
        np.testing.assert_array_equal(found[name], values.astype(np.float32), err_msg=name)


@pytest.mark.parametrize("jit", ["off", runs.campaign("on")])
def test_where_a_stretch_ends_changes_no_bit(tmp_path, jit):
    config = runs.config(**EVERYTHING, jit=jit, epochs=7, checkpoint_every=3)
    training.train(config, tmp_path / "whole")
    training.train(config, tmp_path / "cut", longest_stretch=2)
    training.train(config, tmp_path / "interrupted", longest_stretch=3, interrupts=After(4))
    training.train(config, tmp_path / "interrupted")
    runs.assert_same_run(tmp_path / "cut", tmp_path / "whole")
    runs.assert_same_run(tmp_path / "interrupted", tmp_path / "whole")


@pytest.mark.slow
def test_a_shard_without_a_sample_in_the_last_batch_counts_for_nothing(tmp_path):
    config = runs.config(**{**EVERYTHING, "samples": 82, "early_stopping": False, "patience": 5}, epochs=2)
    assert training.plan_on(config, loading.load(config)).sizes.train == 66  # two shards have a 17th sample
    training.train(config, tmp_path / "run")
    assert all(np.isfinite(values).all() for values in runs.variables(tmp_path / "run").values())


@pytest.mark.slow
def test_a_run_in_shards_stops_early_and_opens_and_trains_again(tmp_path):
    config = runs.config(**{**UNEVEN, "batch_size": 32}, early_stopping=True, patience=2, min_delta=0.5, epochs=30)
    outcome = training.train(config, tmp_path / "run")
    assert outcome.stopped
    assert outcome.epoch < 30
    assert verification.replay(tmp_path / "run") is None
    with open_run(tmp_path / "run") as run:
        assert run.predictions(np.zeros((3, 2), np.float32)).shape == (3,)


@pytest.mark.campaign
def test_the_number_of_shards_computed_beside_each_other_changes_no_bit(tmp_path, monkeypatch):
    config = runs.config(**EVERYTHING, epochs=3)
    for threads in (1, 5):
        monkeypatch.setattr("fcclf.sharded.program.cores", lambda threads=threads: threads)
        monkeypatch.setattr("fcclf.runs.training.program_for", lambda planned: lambda planned: ShardedProgram(planned))
        training.train(config, tmp_path / str(threads))
    runs.assert_same_run(tmp_path / "1", tmp_path / "5")


@pytest.mark.parametrize("setting", [{"stream": "on"}, {"device": "gpu"}])
def test_what_shards_do_not_have_is_refused(setting):
    with pytest.raises(ConfigError, match=r"leave .* or --shards out"):
        Config(training=Training(shards=2), session=Session(**setting))
