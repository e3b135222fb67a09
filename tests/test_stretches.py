"""How long the stretches of a training are."""

import runs

from fcclf.data import loading
from fcclf.learning import stretches
from fcclf.learning.program import Program
from fcclf.runs import training


def test_an_epoch_is_not_cut_into_ever_more_stretches_where_each_takes_long(monkeypatch):
    monkeypatch.setattr(stretches, "within_seconds", lambda steps, seconds: 1)
    monkeypatch.setattr(stretches, "FIRST_STRETCH", 1)
    monkeypatch.setattr(stretches, "MOST_IN_EPOCH", 2)
    config = runs.config(batch_size=10, jit="off")
    dataset = loading.load(config)
    program, steps = Program(training.plan_on(config, dataset)), []
    training.begin(program, config, dataset)
    for _ in stretches.stretches(program, loading.parts(config, dataset), 2):
        steps.append(program.step)
    assert program.plan.n_batches == 8
    assert steps == [1, 5, 9, 13, 16]
