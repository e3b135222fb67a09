"""Answers of a network: a row's depend on that row alone, whatever stands beside it."""

import numpy as np
import pytest
import runs

from fcclf.learning import predictor
from fcclf.learning.predictor import Predictor
from fcclf.settings import blocks, presets
from fcclf.settings.model import Model

NETS = {
    "wide": (3, Model(hidden=(100,)).layers, 3),
    "deep": (20, Model(hidden=(64, 32, 16)).layers, 2),
    "normalised": (30, Model(hidden=(50, 20), batch_norm="after").layers, 4),
    "selu": (17, Model(hidden=(33,), activation="selu").layers, 5),
    "large": (784, Model(hidden=(512, 512)).layers, 10),
    "convolutions": (784, presets.PRESETS["lenet"].layers, 10),
}


def opened(name, threads):
    """A `Predictor` with initial weights."""
    n_features, layers, n_classes = NETS[name]
    network = Predictor(tuple(blocks.named(layers, n_classes).items()), n_features, threads)
    network.run(network.initializer)
    return network


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("threads", [1, 2, runs.campaign(3), runs.campaign(4), runs.campaign(16)])
def test_a_row_has_the_same_answer_in_any_order_any_company_and_alone(name, threads):
    rng, network = np.random.default_rng(0), opened(name, threads)
    X = rng.standard_normal((500, network.n_features), np.float32)
    whole = network.logits(X)
    selections = [
        rng.permutation(500),
        rng.choice(500, 97),
        np.arange(481),
        np.repeat(3, 50),
        *np.arange(500)[::61, None],
    ]
    for rows in selections:
        np.testing.assert_array_equal(network.logits(X[rows]), whole[rows])
    for layer, values in network.outputs(X[:3]).items():
        np.testing.assert_array_equal(values[:1], network.outputs(X[:1])[layer])
    network.close()


def test_no_rows_have_answers_of_the_right_shape():
    network = opened("normalised", threads=1)
    assert network.logits(np.empty((0, 30))).shape == (0, 4)
    assert {name: values.shape for name, values in network.outputs(np.empty((0, 30))).items()}["fc1"] == (0, 50)
    network.close()


def test_a_row_that_is_no_number_does_not_reach_its_neighbours():
    network = opened("wide", threads=1)
    X = np.ones((3, 3), np.float32)
    expected = network.logits(X)
    X[1] = np.nan
    np.testing.assert_array_equal(network.logits(X)[[0, 2]], expected[[0, 2]])
    network.close()


@pytest.mark.slow
def test_a_process_that_used_tensorflow_before_is_told(monkeypatch):
    monkeypatch.delenv(predictor.OVERRIDE)
    program = (
        "import warnings, tensorflow as tf; tf.constant(1.0) + 1\n"
        "from fcclf.learning import predictor\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    print(predictor.sessions_own_threads(), predictor.sessions_own_threads(), len(told), told[0].message)"
    )
    assert runs.python(program).startswith("False False 1 TensorFlow was used before fcclf, so its number of threads")


def test_sessions_of_this_process_have_the_threads_they_ask_for():
    assert predictor.sessions_own_threads()
