"""The graph: names, losses, gradients, and the epoch loop against the fed training step."""

import contextlib
import dataclasses
import functools
import itertools

import numpy as np
import pytest
import runs
import tensorflow as tf
from scipy.special import log_softmax
from stacks import CONVOLUTIONAL, EVERY_DENSE, PROJECTED, RESIDUAL

from fcclf.data import loading
from fcclf.data.order import EpochOrders, Order, epoch_order
from fcclf.errors import ConfigError
from fcclf.learning import loop
from fcclf.learning.plan import cores, is_compiled, planned
from fcclf.learning.program import Program
from fcclf.network.network import class_logits
from fcclf.runs import training
from fcclf.settings.blocks import Conv2D, Dense, Flatten, MaxPool, Reshape, Residual
from fcclf.settings.config import OPTIMIZERS
from fcclf.settings.run_config import DataShape

tf1 = tf.compat.v1


one_program = functools.cache(Program)  # for all tests of one plan: most of their time goes into building and compiling


class Built:
    """A program that has begun, with its data."""

    def __init__(self, config, dataset=None, make=one_program):
        self.config, self.dataset = config, dataset or loading.load(config)
        self.program = make(training.plan_on(config, self.dataset))
        self.parts, self.n_batches = loading.parts(config, self.dataset), self.program.plan.n_batches
        self.session = self.program.session
        self.begin()

    @property
    def graph(self):
        return self.program.fed_step

    def begin(self):
        training.begin(self.program, self.config, self.dataset)

    def run(self, fetches, feed=None):
        return self.program.run(fetches, feed)

    def fed(self, part="train"):
        X, y, _ = self.parts[part]
        return self.graph.feed(self.program.given, X, y)

    def class_logits(self):
        with self.session.graph.as_default():
            return class_logits(self.program.layer_outputs["output"])

    def order(self, epoch):
        drawn = self.config.training
        return epoch_order(drawn.seed, epoch, len(self.dataset.train.y), drawn.sampling)

    def stretch(self, start, stop):
        """Trains from step `start` to before step `stop`; the metrics of the epochs that ended."""
        drawn, plan = self.config.training, self.program.plan
        orders = EpochOrders(Order(drawn.seed, plan.sizes.train, drawn.sampling), plan.most_epochs)
        with contextlib.closing(orders):
            assert self.program.step == start
            stretch = self.program.advance(self.parts, orders, stop)
        assert stretch.finite
        assert self.program.step == stop
        return list(stretch.metrics.values())

    def variables(self):
        return self.program.values()


def assert_equal_variables(first, second):
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_the_graph_has_the_names_and_scopes_of_the_tutorial():
    operations = {operation.name for operation in Built(runs.config()).graph.train_op.graph.get_operations()}
    assert {"input/X", "input/y", "fc1/kernel", "fc1/bias", "fc2/kernel", "output/kernel", "output/bias"} <= operations
    scopes = {name.split("/")[0] for name in operations}
    assert {"input", "full-connect-layer", "output", "loss", "train", "eval", "epoch-loop"} <= scopes


def test_samples_and_layers_have_their_names_whoever_asks_for_them_first():
    program = Program(training.plan_on(runs.config(), loading.load(runs.config())))
    training.begin(program, runs.config(), loading.load(runs.config()))
    program.histograms(np.zeros((3, 2), np.float32))
    assert program.X.op.name == "input/X"
    assert program.layer_outputs["fc1"].op.name.startswith("full-connect-layer/fc1/")
    program.close()


def test_nothing_is_added_to_the_default_graph():
    Program(training.plan_on(runs.config(), loading.load(runs.config()))).close()
    assert tf1.get_default_graph().get_operations() == []


def test_all_that_must_survive_is_a_variable():
    names = set(Built(runs.config()).variables())
    assert {"global_step", "state/epoch", "state/learning_rate", "state/sums", "state/epoch_start/fc1/bias"} <= names
    assert {"fc1/kernel", "fc1/kernel/Adam", "fc1/kernel/Adam_1", "train/beta1_power"} <= names


@pytest.mark.slow
def test_logits_that_know_nothing_cost_about_ln_2():
    built = Built(runs.config(samples=2000, batch_size=64, initializer="truncated_normal"))
    assert built.run(built.graph.loss.data, built.fed()) == pytest.approx(np.log(2), abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_zero_logits_cost_ln_of_the_number_of_classes(classes):
    config = runs.config()
    built = Built(config, loading.load(config)._replace(n_classes=classes))
    zeros = np.zeros((80, classes), np.float32)
    loss = built.run(built.graph.loss.data, {**built.fed(), built.program.layer_outputs["output"]: zeros})
    assert loss == pytest.approx(np.log(classes), rel=1e-6)


def test_l2_adds_exactly_half_the_squares_of_every_kernel():
    built = Built(runs.config(l2=0.5))
    loss, values = built.run(built.graph.loss, built.fed()), built.variables()
    squares = sum((values[f"{name}/kernel"].astype(np.float64) ** 2).sum() for name in ("fc1", "fc2", "output"))
    assert loss.penalty == pytest.approx(0.5 * squares / 2, rel=1e-6)
    assert loss.total == loss.data + loss.penalty


@pytest.mark.slow
def test_the_penalties_of_kernels_inside_blocks_and_of_projections_are_their_own():
    built = Built(runs.config(layers=(PROJECTED, Dense(None))))
    kernels, given = built.program.plan.kernels, built.program.given
    l1, l2 = ({name: each for name, each in zip(kernels, penalty, strict=True) if each} for penalty in given[2:4])
    assert l1 == {"residual1/residual1/fc1/kernel": np.float32(1e-3)}
    assert l2 == {"residual1/fc1/kernel": np.float32(1e-3), "residual1/projection/kernel": np.float32(1e-2)}
    values = {name: each.astype(np.float64) for name, each in built.variables().items()}
    expected = sum(rate * (values[name] ** 2).sum() / 2 for name, rate in l2.items())
    expected += sum(rate * abs(values[name]).sum() for name, rate in l1.items())
    assert built.run(built.graph.loss.penalty, built.fed()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_the_training_step_follows_the_numeric_gradient_of_loss_and_penalties():
    """One step of plain gradient descent moves every weight by the central difference of the total loss."""
    built = Built(runs.config(optimizer="sgd", learning_rate=1.0, l1=0.01, l2=0.1, activation="tanh"))
    feed, before = built.fed(), built.variables()
    weights = built.program.network.trained

    def loss_at(name, values):
        built.program.load({name: values})
        return built.run(built.graph.loss.total, feed).astype(np.float64)

    numeric = {}
    for name, variable in before.items():
        if name in weights:
            numeric[name] = np.zeros(variable.shape)
            for index in np.ndindex(variable.shape):
                step = np.zeros(variable.shape, np.float32)
                step[index] = 1e-2
                difference = loss_at(name, variable + step) - loss_at(name, variable - step)
                numeric[name][index] = difference / 2e-2
            loss_at(name, variable)
    built.run(built.graph.train_op, feed)
    after = built.variables()
    for name, gradient in numeric.items():
        np.testing.assert_allclose(before[name] - after[name], gradient, atol=2e-4, err_msg=name)


def test_gradients_are_clipped_to_their_global_norm():
    built = Built(runs.config(optimizer="sgd", learning_rate=1.0, clip_norm=0.01))
    before = built.variables()
    built.run(built.graph.train_op, built.fed())
    after = built.variables()
    steps = [after[name] - before[name] for name in before if name.split("/")[0] in ("fc1", "fc2", "output")]
    assert np.sqrt(sum((step**2).sum() for step in steps)) == pytest.approx(0.01, rel=1e-3)


def test_twenty_points_are_learned_by_heart():
    built = Built(runs.config(samples=25, batch_size=20, noise=0.3, l2=0.0, learning_rate=0.01, hidden=(16, 16)))
    for epoch in range(0, 1500, 50):
        built.stretch(epoch, epoch + 50)
    assert built.run(built.graph.evaluation.score, built.fed()) == 1


@pytest.mark.parametrize("jit", ["on", runs.campaign("off")])
def test_the_epoch_loop_does_what_the_fed_step_does(jit):
    """Also with a last batch of 11 instead of 23 samples, clipping and penalties."""
    assert_loop_does_what_the_fed_step_does(runs.config(batch_size=23, jit=jit, l1=1e-3, l2=1e-2, clip_norm=1.0))


@pytest.mark.slow
def test_the_compiled_epoch_loop_does_what_the_fed_step_does_with_blocks_inside_blocks():
    """Without dropout, whose masks differ when they are compiled."""
    layers = tuple(dataclasses.replace(each, layers=without_dropout(each.layers)) for each in RESIDUAL[:2])
    config = runs.config(batch_size=20, layers=(*layers, Dense(None)), optimizer="sgd", jit="on")
    assert_loop_does_what_the_fed_step_does(config)


def without_dropout(layers):
    return tuple(each for each in layers if each.label not in ("dropout", "residual"))


@pytest.mark.slow
@pytest.mark.parametrize("layers", [EVERY_DENSE, CONVOLUTIONAL])
def test_the_epoch_loop_does_what_the_fed_step_does_with_every_block(layers):
    """The masks are the same too: batches of one size, not compiled."""
    config = runs.config(
        batch_size=20, layers=layers, label_smoothing=0.1, optimizer="sgd", schedule="step", decay_steps=5
    )
    assert_loop_does_what_the_fed_step_does(config)


def assert_loop_does_what_the_fed_step_does(config):
    built, size = Built(config), config.training.batch_size
    for epoch in range(3):
        order = built.order(epoch)
        for first in range(0, 80, size):
            samples = order[first : first + size]
            X, y = built.dataset.train.X[samples], built.dataset.train.y[samples]
            built.run(built.graph.train_op, built.graph.feed(built.program.given, X, y))
    expected = built.variables()
    built.begin()
    built.stretch(0, 12)
    actual = built.variables()
    assert actual["global_step"] == expected["global_step"] == 12
    for name in expected:
        if not name.startswith("state/"):
            np.testing.assert_allclose(actual[name], expected[name], rtol=2e-4, atol=2e-6, err_msg=name)


@pytest.mark.slow
def test_the_metrics_of_an_epoch_are_running_means_and_an_exact_test():
    config = runs.config(batch_size=23, learning_rate=0.05)
    built = Built(config)
    metrics = dict(zip(built.program.plan.metrics, built.stretch(0, 4), strict=True))
    built.begin()
    with built.session.graph.as_default():
        gradient_norm = tf.linalg.global_norm(tf1.gradients(built.graph.loss.total, tf1.trainable_variables()))
    losses, totals, correct, norms, order = 0.0, 0.0, 0.0, [], built.order(0)
    for first in range(0, 80, 23):
        samples = order[first : first + 23]
        feed = built.graph.feed(built.program.given, built.dataset.train.X[samples], built.dataset.train.y[samples])
        before = built.run(built.graph.evaluation, feed)
        losses, correct = losses + before.loss * len(samples), correct + before.score * len(samples)
        totals += built.run(built.graph.loss.total, feed) * len(samples)
        norms.append(built.run(gradient_norm, feed))
        built.run(built.graph.train_op, feed)
    after = built.run(built.graph.evaluation, built.fed("test"))
    assert metrics["train_loss"] == pytest.approx(losses / 80, rel=1e-5)
    assert metrics["train_total"] == pytest.approx(totals / 80, rel=1e-5)
    assert metrics["train_accuracy"] == pytest.approx(correct / 80, rel=1e-6)
    assert metrics["penalty"] == pytest.approx(built.run(built.graph.loss.penalty, built.fed()), rel=1e-4)
    assert metrics["gradient_norm"] == pytest.approx(np.mean(norms), rel=1e-4)
    assert metrics["learning_rate"] == np.float32(0.05)
    assert metrics["test_loss"] == pytest.approx(after.loss, rel=1e-4)
    assert metrics["test_accuracy"] == pytest.approx(after.score, rel=1e-6)


def test_the_weights_at_the_beginning_of_an_epoch_are_kept_whatever_is_cut():
    built = Built(runs.config())
    built.stretch(0, 5)
    weights = built.variables()
    built.stretch(5, 7)
    built.stretch(7, 10)
    after = built.variables()
    for name in ("fc1/kernel", "fc2/bias", "output/kernel"):
        np.testing.assert_array_equal(after[f"state/epoch_start/{name}"], weights[name])
        assert not np.array_equal(after[name], weights[name])


def test_histograms_show_every_weight_its_update_and_every_activation():
    built = Built(runs.config())
    built.stretch(0, 5)
    summary = tf1.Summary.FromString(built.program.histograms(built.dataset.test.X))
    histograms = {value.tag: value.histo for value in summary.value}
    outputs = ("fc1", "fc2", "output")
    weights = [f"{layer}/{kind}" for layer in outputs for kind in ("kernel", "bias")]
    expected = [f"{group}/{name}" for group in ("variables", "updates") for name in weights]
    assert list(histograms) == [*expected, *(f"outputs/{name}/activation" for name in outputs)]
    variables = built.variables()
    update = variables["fc1/kernel"] - variables["state/epoch_start/fc1/kernel"]
    assert histograms["updates/fc1/kernel"].sum == pytest.approx(update.sum(), rel=1e-4)
    assert histograms["outputs/fc2/activation"].num == 4 * 20


@pytest.mark.slow
def test_histograms_show_the_weights_and_the_activations_inside_blocks():
    built = Built(runs.config(layers=RESIDUAL))
    summary = tf1.Summary.FromString(built.program.histograms(built.dataset.test.X))
    tags = {value.tag for value in summary.value}
    inside = {"residual1/residual1/fc1/kernel", "residual1/projection/kernel", "residual2/bn1/gamma"}
    assert {f"{group}/{name}" for group in ("variables", "updates") for name in inside} <= tags
    blocks = {"residual1", "residual1/fc1", "residual1/residual1", "residual1/projection", "residual2/activation1"}
    assert {f"outputs/{name}/activation" for name in blocks} <= tags


@pytest.mark.slow
def test_a_test_part_of_several_batches_is_measured_whole(monkeypatch):
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 7)
    built = Built(runs.config(jit="on"), make=Program)
    *_, test_loss, test_accuracy = (values[0] for values in built.stretch(0, 5))
    whole = built.run(built.graph.evaluation, built.fed("test"))
    assert test_loss == pytest.approx(whole.loss, rel=1e-5)
    assert test_accuracy == pytest.approx(whole.score, rel=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "jit"),
    [
        ("adam", "on"),
        *(runs.campaign(each, "off") for each in OPTIMIZERS),
    ],
)
def test_where_the_loop_is_cut_changes_no_bit(optimizer, jit):
    config = runs.config(optimizer=optimizer, jit=jit, batch_size=23, sampling="bootstrap")
    built = Built(config)
    expected, whole = built.stretch(0, 16), built.variables()
    built.begin()
    cuts = [0, 1, 4, 5, 11, 12, 15, 16]
    parts = [built.stretch(start, stop) for start, stop in itertools.pairwise(cuts)]
    assert_equal_variables(whole, built.variables())
    for number, values in enumerate(expected):
        np.testing.assert_array_equal(np.concatenate([part[number] for part in parts]), values)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_of_the_loop_takes_the_steps_of_tensorflows(optimizer):
    assert_loop_does_what_the_fed_step_does(
        runs.config(optimizer=optimizer, batch_size=23, learning_rate=0.01, l2=1e-2)
    )


def test_another_seed_rate_and_penalty_need_no_other_program():
    one, other = (runs.config(), runs.config(seed=9, learning_rate=0.1, l2=0.5, min_delta=0.1))
    assert planned(one, DataShape(2, 2), (80, 0, 20)) == planned(other, DataShape(2, 2), (80, 0, 20))


def kernel_after_a_stretch(disable):
    if disable:
        tf.compat.v1.disable_v2_behavior()
    built = Built(runs.config())
    built.stretch(0, 5)
    return built.variables()["fc1/kernel"]


@pytest.mark.slow
def test_a_process_that_switched_version_2_behaviour_off_can_still_build_a_graph():
    there = runs.elsewhere(kernel_after_a_stretch, True)
    np.testing.assert_array_equal(there, kernel_after_a_stretch(disable=False))


def test_one_sigmoid_output_is_a_network_of_two_classes():
    built = Built(runs.config(loss="sigmoid", l2=0.0))
    logits, loss, probabilities = built.run(
        [built.class_logits(), built.graph.loss.data, built.graph.evaluation.probabilities], built.fed()
    )
    assert built.variables()["output/kernel"].shape == (4, 1)
    np.testing.assert_array_equal(logits[:, 0], 0)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-logits[:, 1])), rtol=1e-5)
    y = built.dataset.train.y
    assert loss == pytest.approx(-np.log(probabilities[np.arange(80), y]).mean(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_smoothed_labels_cost_their_cross_entropy_in_training_alone(loss):
    built = Built(runs.config(loss=loss, label_smoothing=0.2, l2=0.0))
    trained, measured, logits = built.run(
        [built.graph.loss.data, built.graph.evaluation.loss, built.class_logits()], built.fed()
    )
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    labels = np.eye(2)[built.dataset.train.y]
    assert trained == pytest.approx(-((0.8 * labels + 0.1) * log_probabilities).sum(1).mean(), rel=1e-5)
    assert measured == pytest.approx(-(labels * log_probabilities).sum(1).mean(), rel=1e-5)


def test_a_sigmoid_is_refused_for_more_than_two_classes():
    with pytest.raises(ConfigError, match="loss is sigmoid, which is for two classes, but the data have 3"):
        planned(runs.config(loss="sigmoid"), DataShape(2, 3), (80, 0, 20))


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ("step", lambda step: 0.5 ** (step // 4)),
        ("exponential", lambda step: 0.5 ** (step / 4)),
        ("cosine", lambda step: (1 + np.cos(np.pi * min(step, 4) / 4)) / 2),
    ],
)
def test_the_learning_rate_is_a_function_of_the_global_step(schedule, factor):
    """With it a step of plain gradient descent is `factor` of what it is with a constant rate, from the same place."""
    settings = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 80, "hidden": (), "l2": 0.0}
    scheduled = Built(runs.config(**settings, schedule=schedule, decay_steps=4, decay_rate=0.5))
    constant = Built(runs.config(**settings))
    for step in range(6):
        before = scheduled.variables()
        constant.program.load({name: before[name] for name in constant.program.network.trained})
        constant.run(constant.graph.train_op, constant.fed())
        scheduled.stretch(step, step + 1)
        moved, whole = (each.variables()["output/kernel"] - before["output/kernel"] for each in (scheduled, constant))
        np.testing.assert_allclose(moved, factor(step) * whole, rtol=1e-2, atol=1e-6)


HALVED = Residual((MaxPool(2),))  # its projection is a convolution


@pytest.mark.parametrize(
    ("layers", "compiled"),
    [
        (EVERY_DENSE, True),
        (CONVOLUTIONAL, False),
        ((Reshape(1, 2, 1), Residual((Residual((Conv2D(1),)),)), Flatten(), Dense(None)), False),
        ((Dense(16), Reshape(4, 4, 1), HALVED, Flatten(), Dense(None)), False),
    ],
)
def test_auto_compiles_all_but_convolutions_inside_blocks_too_and_those_for_a_gpu(layers, compiled):
    layers = runs.config(layers=layers).layers(DataShape(2, 2))
    assert is_compiled("auto", "cpu", layers, 2) == compiled
    assert is_compiled("auto", "gpu", layers, 2)
    assert is_compiled("on", "cpu", layers, 2)


@pytest.mark.parametrize(
    ("settings", "threads"),
    [
        ({}, 1),
        ({"hidden": (1024, 1024)}, 7),
        ({"hidden": (1024, 1024), "threads": 3}, 3),
        ({"threads": 3}, 3),
        ({"layers": CONVOLUTIONAL}, 7),
        ({"hidden": (1024, 1024), "shards": 2, "batch_size": 64}, 1),
    ],
)
def test_a_small_network_has_one_thread_and_others_one_for_each_core(settings, threads, monkeypatch):
    monkeypatch.setattr("fcclf.learning.plan.cores", lambda: 7)
    config = runs.config(**{"threads": 0} | settings)
    assert planned(config, DataShape(2, 2), (1000, 0, 100)).threads == threads


def test_there_are_no_more_cores_than_the_environment_allows(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cores() == 1


@pytest.mark.parametrize(
    ("norm", "others", "expected"),
    [
        (3.0, (0.5, 2.0, 7.0), 0.25),
        (np.inf, (0.5, np.inf, -np.inf), 0.25),
        (3.0, (0.5, np.nan, np.nan), 0.25),
        (np.nan, (0.5, np.nan, 7.0), np.nan),
    ],
)
def test_the_rate_of_a_compiled_loop_waits_for_what_is_measured_and_does_not_depend_on_it(norm, others, expected):
    plan = planned(runs.config(jit="on"), DataShape(2, 2), (1000, 0, 100))

    @tf.function(jit_compile=True, autograph=False)
    def rate(*scalars):
        return loop.Loop(plan, None, None, None).rate_after(tf.constant(0.25), *scalars)

    with tf.Graph().as_default(), tf1.Session() as session:
        found = session.run(rate(*(tf.constant(each, tf.float32) for each in (norm, *others))))
    np.testing.assert_equal(found, np.float32(expected))
