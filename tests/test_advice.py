"""Which pairings are told of, and which are not."""

import numpy as np
import pytest

from fcclf.cli.advice import advice, verdict
from fcclf.data.dataset import Dataset, Part, with_numbers
from fcclf.settings.blocks import Activation, BatchNorm, Dense, Residual
from fcclf.settings.config import Config, Training
from fcclf.settings.model import Model, Stack
from fcclf.settings.sources import Images, Table

SELU = {"activation": "selu", "initializer": "lecun_normal", "standardize": "features"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Model(**SELU | {"initializer": "he_normal"}), "only with --initializer lecun_normal"),
        (Model(**SELU | {"standardize": "none"}), "use --standardize features"),
        (Model(**SELU, dropout=0.1), "use --alpha-dropout"),
        (Stack(layers=(Dense(3), BatchNorm(), Activation(), Dense(None))), "give that layer use_bias=False"),
        (Stack(layers=(Residual((Residual((Dense(3), BatchNorm())),)), Dense(None))), "use_bias=False"),
        (Stack(layers=(Residual((Dense(3, "selu", "lecun_normal"),)), Dense(None))), "use --standardize features"),
    ],
)
def test_a_pairing_that_defeats_its_purpose_is_told_in_one_sentence(model, words):
    (sentence,) = advice(Config(Images(), model))
    assert sentence.endswith(words)


@pytest.mark.parametrize(
    "model",
    [
        Model(),
        Model(dropout=0.2),
        Model(**SELU, alpha_dropout=0.1),
        Model(batch_norm="before"),
        Model(batch_norm="after"),
    ],
)
def test_pairings_that_work_are_not_told_of(model):
    assert list(advice(Config(Images(), model))) == []


def dataset(columns=(1.0, 1.0), numbers=False):
    """Two classes, or numbers, by columns of such deviations."""
    X, y = np.float32([[0, 0], [2, 2]] * 5) * np.float32(columns), np.array([0, 1] * 5, np.int32)
    found = Dataset(*[Part(X, y)] * 3, n_classes=2)
    return with_numbers(found, scaled=True) if numbers else found


TABLE = Table("t")
RAW, WEIGHTED = Model(standardize="none"), Training(class_weight=("balanced",))
WIDE = "use --standardize features, as the columns' standard deviations go from 0.1 to 1e+03"
FIRST, OTHERS = "every test sample is predicted as 0", "try more --epochs"


@pytest.mark.parametrize(
    ("config", "data", "matrix", "words"),
    [
        (Config(TABLE), dataset(), [[6, 0], [4, 0]], f"{FIRST}: {OTHERS}"),
        (Config(TABLE), dataset(), [[4, 2], [3, 1]], f"are no better than always 0, 0.6000: {OTHERS}"),
        (Config(TABLE, RAW), dataset((0.1, 1000)), [[0, 6], [0, 4]], f"as 1: {WIDE}"),
        (Config(TABLE), dataset((0.1, 1000)), [[6, 0], [4, 0]], f"{FIRST}: {OTHERS}"),
        (Config(TABLE), dataset(), [[9, 0], [1, 0]], "as 0: use --class-weight balanced"),
        (Config(TABLE, training=WEIGHTED), dataset(), [[9, 0], [1, 0]], f"as 0: {OTHERS}"),
    ],
)
def test_a_classifier_that_learned_nothing_is_told_with_a_remedy(config, data, matrix, words):
    (sentence,) = verdict(config, data, {"confusion_matrix": matrix})
    assert words in sentence


def test_a_regression_that_learned_nothing_is_told_with_a_remedy():
    config = Config(Table("t", task="regression"))
    (sentence,) = verdict(config, dataset(numbers=True), {"r2": -0.1})
    assert sentence.startswith("the predictions are no better than always the mean: try more --epochs")
    assert list(verdict(config, dataset(numbers=True), {"r2": 0.1})) == []


@pytest.mark.parametrize("matrix", [[[6, 0], [3, 1]], [[10, 0], [0, 0]], [[0, 10], [0, 0]]])
def test_nothing_is_told_of_what_was_learned_or_cannot_be_judged(matrix):
    assert list(verdict(Config(TABLE), dataset(), {"confusion_matrix": matrix})) == []
