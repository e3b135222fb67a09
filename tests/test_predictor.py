"""Answers of a network: a row's depend on that row alone, whatever stands beside it."""

import warnings

import numpy as np
import pytest
import runs

from fcclf import FCClassifier
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


SESSION = """
import tensorflow as tf
with tf.Graph().as_default(), tf.compat.v1.Session(
    config=tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
) as session:
    session.run(tf.constant(1.0) + 1)
"""
EAGER = "import tensorflow as tf; tf.constant(1.0) + 1"
PREDICTION = """
from fcclf.learning.predictor import Predictor
from fcclf.settings.blocks import Dense
Predictor((("output", Dense(2)),), 2, threads=1).close()
"""
OTHER_FIT = """
import numpy as np
from fcclf import FCClassifier
FCClassifier((3,), max_iter=2).fit(np.eye(4), [0, 1, 0, 1])
"""
KERAS = """
import keras, numpy as np
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.eye(4), np.ones(4), verbose=0)
"""


@pytest.mark.parametrize(
    ("after", "epochs"),
    [
        (PREDICTION, 1),
        *(runs.campaign(each, 1) for each in (EAGER, SESSION, OTHER_FIT, KERAS)),
        *(runs.campaign(each, 520) for each in (EAGER, SESSION, PREDICTION, OTHER_FIT, KERAS)),
    ],
)
def test_what_the_process_did_before_changes_no_bit_of_a_fit(after, epochs):
    expected, actual = (runs.elsewhere(fit_after, each, epochs) for each in ("", after))
    for values, others in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(values, others)


def fit_after(program, epochs):
    """What a fit learns and predicts in a process that has run a program before."""
    exec(program)
    X = np.random.default_rng(0).standard_normal((512, 784), dtype=np.float32)
    y = (np.abs(X).sum(axis=1) * 1000).astype(int) % 10
    model = FCClassifier((200, 100), max_iter=epochs, batch_size=64, random_state=0, tol=0, n_iter_no_change=10**6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    return [*model.coefs_, model.predict_proba(X)]


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
