"""Which pairings are told of, and which are not."""

import pytest

from fcclf.cli.advice import advice
from fcclf.settings.blocks import Activation, BatchNorm, Dense, Residual
from fcclf.settings.config import Config
from fcclf.settings.model import Model, Stack
from fcclf.settings.sources import Images

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
