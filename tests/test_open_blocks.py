"""A new building block is a class and a function, and nothing else has to know of it."""

import dataclasses
import typing

import numpy as np
import pytest
import runs
import tensorflow as tf
from test_training import train_with_stops

from fcclf.network import layers
from fcclf.runs import training
from fcclf.runs.trained import TrainedRun
from fcclf.settings import blocks
from fcclf.settings.blocks import BatchNorm, Block, Dense, Dropout
from fcclf.settings.fields import setting
from fcclf.settings.run_config import DataShape


@dataclasses.dataclass(frozen=True)
class Gated(Block):
    """Two stacks, of which a trained gate mixes the answers; it has all that a block may have."""

    layers: tuple[Block, ...]
    l2: float = setting(0.0, "L2 penalty on the kernel of the gate", at_least=0)
    label: typing.ClassVar[str] = "gated"
    phased: typing.ClassVar[bool] = True
    initializer = "glorot_uniform"

    def branches(self, shape):
        return blocks.numbered(self.layers), {"other": Dense(self.output_shape(shape)[0], "tanh", l2=1e-2)}

    def output_shape(self, shape):
        for block in self.layers:
            shape = block.output_shape(shape)
        return shape

    def trained(self, shape):
        return {"kernel": (*shape, 1)}

    def statistics(self, shape):
        return {"calls": ()}


@pytest.fixture
def gated(monkeypatch):
    """A stack with the block."""
    monkeypatch.setitem(blocks.KINDS, "Gated", Gated)

    def outputs(block, inputs, own, place, context):
        stacks = enumerate(block.branches(tuple(inputs.shape[1:].as_list())))
        one, other = (
            layers.stack(inside, inputs, context.inside(place.number, branch), f"{place.scope}/")
            for branch, inside in stacks
        )
        if context.phase:
            context.phase.updates[f"{place.scope}/calls"] = own["calls"] + 1
        gate = tf.sigmoid(inputs @ own["kernel"])
        return gate * one + (1 - gate) * other

    layers._outputs.register(Gated, outputs)
    inner = (Dense(5, "relu", l2=1e-3), BatchNorm(), Dropout(0.1))
    return (Gated(inner, l2=0.1), Dense(4, "elu"), Dense(None))


def test_it_is_stored_summed_up_and_penalised_like_any_other(gated):
    config = runs.config(layers=gated)
    assert type(config).from_dict(config.to_dict()) == config
    rows = {row.name: (row.trained, row.statistics) for row in blocks.rows(config.layers(DataShape(2, 2)), 2)}
    assert rows["gated1"] == (2, 1)
    assert {"gated1/fc1", "gated1/bn1", "gated1/dropout1", "gated1/other"} <= rows.keys()
    plan = training.plan.planned(config, DataShape(2, 2), (80, 0, 20))
    given = training.plan.hyperparameters(config, DataShape(2, 2))
    penalties = dict(zip(plan.kernels, given.l2, strict=True))
    assert penalties["gated1/kernel"] == np.float32(0.1)
    assert penalties["gated1/fc1/kernel"] == np.float32(1e-3)
    assert penalties["gated1/other/kernel"] == np.float32(1e-2)


@pytest.mark.slow
def test_a_run_with_it_is_exact_wherever_it_is_cut(gated, tmp_path):
    config = runs.config(layers=gated, early_stopping=True, patience=50)
    training.train(config, tmp_path / "untouched")
    train_with_stops(config, tmp_path / "cut", chunks=6, steps=3)
    runs.assert_same_run(tmp_path / "cut", tmp_path / "untouched")
    with TrainedRun(tmp_path / "cut") as run:
        assert run.weights()["gated1/calls"] == 5 * run.epoch
