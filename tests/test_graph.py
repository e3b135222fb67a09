"""The graph: names, losses, gradients, and the epoch loop against the fed training step."""

import dataclasses
import itertools

import numpy as np
import pytest
import runs
import tensorflow as tf
from scipy.special import log_softmax
from test_layers import CONVOLUTIONAL, EVERY_DENSE

from fcclf.data import loading
from fcclf.errors import ConfigError
from fcclf.learning import epoch_loop, graph
from fcclf.settings.config import OPTIMIZERS

tf1 = tf.compat.v1


class Built:
    """A graph in a session, initialised, with its data."""

    def __init__(self, config, dataset=None):
        self.config, self.dataset = config, dataset or loading.load(config)
        self.graph = graph.build(config, self.dataset.n_features, self.dataset.n_classes, self.dataset.sizes)
        self.session = tf1.Session(graph=self.graph.logits.graph)
        self.n_batches = epoch_loop.batches_per_epoch(len(self.dataset.y_train), config.training.batch_size)
        self.run(self.graph.initializer)

    def run(self, fetches, feed=None):
        return self.session.run(fetches, feed)

    def fed(self, part="train"):
        X, y = (self.dataset.X_train, self.dataset.y_train) if part == "train" else self.dataset[4:6]
        return {self.graph.inputs.X: X, self.graph.inputs.y: y}

    def order(self, epoch):
        training = self.config.training
        return loading.epoch_order(training.seed, epoch, len(self.dataset.y_train), training.sampling)

    def stretch(self, start, stop):
        """Runs the epoch loop from step `start` to before step `stop`; the metrics of the epochs that ended."""
        loop = self.graph.loop
        (first_epoch, first), (last_epoch, last) = (divmod(step, self.n_batches) for step in (start, stop - 1))
        order = np.zeros(loop.order.shape, np.int32)
        order[: last_epoch - first_epoch + 1] = [self.order(epoch) for epoch in range(first_epoch, last_epoch + 1)]
        feed = loop.feed(self.dataset, order, last_epoch - first_epoch + 1, first, last + 1)
        results = self.run(loop.results, feed)
        assert results.finite
        assert results.global_step == stop
        return [values[: stop // self.n_batches - first_epoch] for values in results.metrics.values()]

    def variables(self):
        with self.session.graph.as_default():
            return self.run({variable.op.name: variable for variable in tf1.global_variables()})


def assert_equal_variables(first, second):
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_the_graph_has_the_names_and_scopes_of_the_tutorial():
    built = Built(runs.config())
    operations = {operation.name for operation in built.session.graph.get_operations()}
    assert {"input/X", "input/y", "fc1/kernel", "fc1/bias", "fc2/kernel", "output/kernel", "output/bias"} <= operations
    scopes = {name.split("/")[0] for name in operations}
    assert {"input", "full-connect-layer", "output", "loss", "train", "eval", "epoch-loop"} <= scopes


def test_nothing_is_added_to_the_default_graph():
    Built(runs.config())
    assert tf1.get_default_graph().get_operations() == []


def test_all_that_must_survive_is_a_variable():
    names = set(Built(runs.config()).variables())
    assert {"global_step", "state/epoch", "state/learning_rate", "state/loss_sum", "state/correct_sum"} <= names
    assert {"fc1/kernel", "fc1/kernel/Adam", "fc1/kernel/Adam_1", "train/beta1_power"} <= names


def test_logits_that_know_nothing_cost_about_ln_2():
    built = Built(runs.config(samples=2000, batch_size=64, initializer="truncated_normal"))
    assert built.run(built.graph.loss.data, built.fed()) == pytest.approx(np.log(2), abs=0.01)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_zero_logits_cost_ln_of_the_number_of_classes(classes):
    config = runs.config()
    built = Built(config, loading.load(config)._replace(n_classes=classes))
    loss = built.run(built.graph.loss.data, {**built.fed(), built.graph.logits: np.zeros((80, classes), np.float32)})
    assert loss == pytest.approx(np.log(classes), rel=1e-6)


def test_l2_adds_exactly_half_the_squares_of_every_kernel():
    built = Built(runs.config(l2=0.5))
    loss, values = built.run(built.graph.loss, built.fed()), built.variables()
    squares = sum((values[f"{name}/kernel"].astype(np.float64) ** 2).sum() for name in ("fc1", "fc2", "output"))
    assert loss.penalty == pytest.approx(0.5 * squares / 2, rel=1e-6)
    assert loss.total == loss.data + loss.penalty


def test_the_training_step_follows_the_numeric_gradient_of_loss_and_penalties():
    """One step of plain gradient descent moves every weight by the central difference of the total loss."""
    built = Built(runs.config(optimizer="sgd", learning_rate=1.0, l1=0.01, l2=0.1, activation="tanh"))
    feed, before = built.fed(), built.variables()
    with built.session.graph.as_default():
        weights = {variable.op.name: variable for variable in tf1.trainable_variables()}

    def loss_at(name, values):
        assign = weights[name].initializer
        built.run(assign, {assign.inputs[1]: values})
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
    assert built.run(built.graph.evaluation.accuracy, built.fed()) == 1


@pytest.mark.parametrize("jit", ["on", runs.campaign("off")])
def test_the_epoch_loop_does_what_the_fed_step_does(jit):
    """Also with a last batch of 11 instead of 23 samples, clipping and penalties."""
    assert_loop_does_what_the_fed_step_does(runs.config(batch_size=23, jit=jit, l1=1e-3, l2=1e-2, clip_norm=1.0))


@pytest.mark.parametrize("layers", [EVERY_DENSE, CONVOLUTIONAL])
def test_the_epoch_loop_does_what_the_fed_step_does_with_every_block(layers):
    """The masks are the same too: batches of one size, not compiled."""
    config = runs.config(
        batch_size=20, layers=layers, label_smoothing=0.1, optimizer="sgd", schedule="step", decay_steps=5
    )
    assert_loop_does_what_the_fed_step_does(config)


def assert_loop_does_what_the_fed_step_does(config):
    looped, fed, size = Built(config), Built(config), config.training.batch_size
    looped.stretch(0, 12)
    for epoch in range(3):
        order = fed.order(epoch)
        for first in range(0, 80, size):
            samples = order[first : first + size]
            X, y = fed.dataset.X_train[samples], fed.dataset.y_train[samples]
            fed.run(fed.graph.train_op, {fed.graph.inputs.X: X, fed.graph.inputs.y: y})
    expected, actual = fed.variables(), looped.variables()
    assert actual["global_step"] == expected["global_step"] == 12
    for name in expected:
        if not name.startswith("state/"):
            np.testing.assert_allclose(actual[name], expected[name], rtol=2e-4, atol=2e-6, err_msg=name)


def test_the_metrics_of_an_epoch_are_running_means_and_an_exact_test():
    config = runs.config(batch_size=23, learning_rate=0.05)
    looped, fed = Built(config), Built(config)
    metrics = dict(zip(epoch_loop.metric_names(early_stopping=False), looped.stretch(0, 4), strict=True))
    with fed.session.graph.as_default():
        gradient_norm = tf.linalg.global_norm(tf1.gradients(fed.graph.loss.total, tf1.trainable_variables()))
    losses, correct, norms, order = 0.0, 0.0, [], fed.order(0)
    for first in range(0, 80, 23):
        samples = order[first : first + 23]
        feed = {fed.graph.inputs.X: fed.dataset.X_train[samples], fed.graph.inputs.y: fed.dataset.y_train[samples]}
        before = fed.run(fed.graph.evaluation, feed)
        losses, correct = losses + before.loss * len(samples), correct + before.accuracy * len(samples)
        norms.append(fed.run(gradient_norm, feed))
        fed.run(fed.graph.train_op, feed)
    after = fed.run(fed.graph.evaluation, fed.fed("test"))
    assert metrics["train_loss"] == pytest.approx(losses / 80, rel=1e-5)
    assert metrics["train_accuracy"] == pytest.approx(correct / 80, rel=1e-6)
    assert metrics["penalty"] == pytest.approx(fed.run(fed.graph.loss.penalty), rel=1e-4)
    assert metrics["gradient_norm"] == pytest.approx(np.mean(norms), rel=1e-4)
    assert metrics["learning_rate"] == np.float32(0.05)
    assert metrics["test_loss"] == pytest.approx(after.loss, rel=1e-4)
    assert metrics["test_accuracy"] == pytest.approx(after.accuracy, rel=1e-6)


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
    summary = tf1.Summary.FromString(built.run(built.graph.histograms, built.fed("test")))
    histograms = {value.tag: value.histo for value in summary.value}
    outputs = ("fc1", "fc2", "output")
    weights = [f"{layer}/{kind}" for layer in outputs for kind in ("kernel", "bias")]
    expected = [f"{group}/{name}" for group in ("variables", "updates") for name in weights]
    assert list(histograms) == [*expected, *(f"outputs/{name}/activation" for name in outputs)]
    variables = built.variables()
    update = variables["fc1/kernel"] - variables["state/epoch_start/fc1/kernel"]
    assert histograms["updates/fc1/kernel"].sum == pytest.approx(update.sum(), rel=1e-4)
    assert histograms["outputs/fc2/activation"].num == 4 * 20


def test_a_test_part_of_several_batches_is_measured_whole(monkeypatch):
    monkeypatch.setattr(epoch_loop, "EVALUATION_BATCH", 7)
    built = Built(runs.config(jit="on"))
    *_, test_loss, test_accuracy = (values[0] for values in built.stretch(0, 5))
    whole = built.run(built.graph.evaluation, built.fed("test"))
    assert test_loss == pytest.approx(whole.loss, rel=1e-5)
    assert test_accuracy == pytest.approx(whole.accuracy, rel=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "jit"),
    [
        ("adam", "on"),
        *(runs.campaign(each, "off") for each in sorted(OPTIMIZERS)),
    ],
)
def test_where_the_loop_is_cut_changes_no_bit(optimizer, jit):
    config = runs.config(optimizer=optimizer, jit=jit, batch_size=23, sampling="bootstrap")
    whole, cut = Built(config), Built(config)
    expected = whole.stretch(0, 16)
    cuts = [0, 1, 4, 5, 11, 12, 15, 16]
    parts = [cut.stretch(start, stop) for start, stop in itertools.pairwise(cuts)]
    assert_equal_variables(whole.variables(), cut.variables())
    for number, values in enumerate(expected):
        np.testing.assert_array_equal(np.concatenate([part[number] for part in parts]), values)


def test_every_optimizer_of_the_command_line_is_built_and_no_other():
    assert tuple(graph.OPTIMIZERS) == OPTIMIZERS


def test_another_seed_can_be_fed_to_the_initializer():
    config = runs.config()
    built = Built(config)
    other = Built(dataclasses.replace(config, training=dataclasses.replace(config.training, seed=9)))
    built.run(built.graph.initializer, {built.graph.seed: 9})
    assert_equal_variables(built.variables(), other.variables())


def kernel_after_a_stretch(disable):
    if disable:
        tf.compat.v1.disable_v2_behavior()
    built = Built(runs.config())
    built.stretch(0, 5)
    return built.variables()["fc1/kernel"]


def test_a_process_that_switched_version_2_behaviour_off_can_still_build_a_graph():
    there = runs.elsewhere(kernel_after_a_stretch, True)
    np.testing.assert_array_equal(there, kernel_after_a_stretch(disable=False))


def test_one_sigmoid_output_is_a_network_of_two_classes():
    built = Built(runs.config(loss="sigmoid", l2=0.0))
    logits, loss, probabilities = built.run(
        [built.graph.logits, built.graph.loss.data, built.graph.evaluation.probabilities], built.fed()
    )
    assert built.variables()["output/kernel"].shape == (4, 1)
    np.testing.assert_array_equal(logits[:, 0], 0)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-logits[:, 1])), rtol=1e-5)
    y = built.dataset.y_train
    assert loss == pytest.approx(-np.log(probabilities[np.arange(80), y]).mean(), rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_smoothed_labels_cost_their_cross_entropy_in_training_alone(loss):
    built = Built(runs.config(loss=loss, label_smoothing=0.2, l2=0.0))
    trained, measured, logits = built.run(
        [built.graph.loss.data, built.graph.evaluation.loss, built.graph.logits], built.fed()
    )
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    labels = np.eye(2)[built.dataset.y_train]
    assert trained == pytest.approx(-((0.8 * labels + 0.1) * log_probabilities).sum(1).mean(), rel=1e-5)
    assert measured == pytest.approx(-(labels * log_probabilities).sum(1).mean(), rel=1e-5)


def test_a_sigmoid_is_refused_for_more_than_two_classes():
    with pytest.raises(ConfigError, match="loss is sigmoid, which is for two classes, but the data have 3"):
        graph.build(runs.config(loss="sigmoid"), n_features=2, n_classes=3)


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
        for variable in constant.session.graph.get_collection("trainable_variables"):
            constant.run(variable.initializer, {variable.initializer.inputs[1]: before[variable.op.name]})
        constant.run(constant.graph.train_op, constant.fed())
        scheduled.stretch(step, step + 1)
        moved, whole = (each.variables()["output/kernel"] - before["output/kernel"] for each in (scheduled, constant))
        np.testing.assert_allclose(moved, factor(step) * whole, rtol=1e-2, atol=1e-6)


def test_auto_compiles_all_but_convolutions():
    assert epoch_loop.is_compiled(runs.config(jit="auto"))
    assert not epoch_loop.is_compiled(runs.config(jit="auto", layers=CONVOLUTIONAL))
    assert epoch_loop.is_compiled(runs.config(jit="on", layers=CONVOLUTIONAL))
