"""Samples that are fed bit by bit: what is trained on them has the bits of what is trained on samples in memory."""

import contextlib
import dataclasses
import signal
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import runs
from faults import After, Before, SignalSelf, finish, flags
from hypothesis import given
from hypothesis import strategies as st
from stacks import EVERY_DENSE

from fcclf.data import loading
from fcclf.data.dataset import Part
from fcclf.data.order import Order
from fcclf.learning import loop
from fcclf.learning.plan import Plan, Sizes, planned
from fcclf.learning.program import Program, clear_programs
from fcclf.learning.streaming.program import StreamedProgram
from fcclf.learning.streaming.rows import Ahead, Batches
from fcclf.learning.stretches import stretches
from fcclf.runs import training
from fcclf.settings.sources import Curve
from fcclf.system import memory

EARLY = {"early_stopping": True, "patience": 2, "min_delta": 1e-3}
KINDS = {
    "plain": ("on", {}),
    "statistics and masks, a short last batch": ("on", {"layers": EVERY_DENSE, "batch_size": 23}),
    "weights": ("on", {"class_weight": ("balanced",), "batch_size": 23, **EARLY}),
    "numbers": ("on", {"data": Curve(samples=90), "batch_size": 23, "epochs": 12, **EARLY}),
    "not compiled": ("off", {"layers": EVERY_DENSE, "batch_size": 23, **EARLY}),
    "drawn with replacement": ("off", {"sampling": "bootstrap", "shuffle_window": 4096}),
    "a schedule": ("off", {"schedule": "adaptive", "clip_norm": 0.5, "l1": 1e-3}),
}
QUICK = ("plain", "weights", "drawn with replacement", "a schedule")


def trained(config, make, dataset=None, longest=None, fed_batches=2):
    """(variables, metrics of the epochs, [(epoch, batch) after each stretch]) of a run without a directory."""
    dataset = dataset or loading.load(config)
    plan = training.plan_on(config, dataset)
    if make is StreamedProgram:
        plan = dataclasses.replace(plan.streamed(), fed_batches=fed_batches)
    with contextlib.closing(make(plan)) as program:
        training.begin(program, config, dataset)
        drawn, found, passed = config.training, [], []
        for stretch in stretches(
            program,
            loading.parts(config, dataset),
            drawn.epochs,
            sampling=drawn.sampling,
            shuffle_window=drawn.shuffle_window,
            longest=longest,
        ):
            found.append(np.stack([*stretch.metrics.values()]))
            passed.append((program.epoch, program.batch))
        return program.values(), np.concatenate(found, axis=1), passed


def assert_same(streamed, in_memory):
    variables, metrics, _ = streamed
    expected, measured, _ = in_memory
    np.testing.assert_array_equal(metrics, measured)
    assert variables.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(variables[name], values, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", runs.some_of(KINDS, QUICK))
def test_streamed_samples_give_the_bits_of_samples_in_memory(kind):
    jit, settings = KINDS[kind]
    config = runs.config(**{"jit": jit, "epochs": 3, **settings})
    assert_same(trained(config, StreamedProgram), trained(config, Program))


@pytest.mark.slow
@pytest.mark.parametrize("jit", [runs.campaign("on"), "off"])
def test_so_they_do_where_evaluations_are_cut_everywhere(jit, monkeypatch):
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 3)
    monkeypatch.setattr("fcclf.learning.streaming.program.within_seconds", lambda count, seconds: 1)
    config = runs.config(epochs=2, batch_size=23, early_stopping=True, jit=jit)
    streamed = trained(config, StreamedProgram, longest=1)
    assert_same(streamed, trained(config, Program))
    assert [(epoch, batch) for epoch, batch in streamed[-1] if not epoch] == [(0, 1), (0, 2), (0, 3), *[(0, 4)] * 10]


def test_a_streamed_run_goes_on_from_any_piece_to_the_same_bits(tmp_path, monkeypatch):
    """Also from the middle of an evaluation, and by a program that has all samples in memory."""
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 3)
    monkeypatch.setattr("fcclf.learning.streaming.program.within_seconds", lambda count, seconds: 1)
    settings = {"epochs": 3, "batch_size": 23, "early_stopping": True, "checkpoint_every": 0}
    whole = runs.config(**settings, stream="off")
    training.train(whole, tmp_path / "whole")
    for number in range(100):
        streamed = runs.config(**settings, stream="off" if number == 3 else "on")
        if not training.train(streamed, tmp_path / "cut", interrupts=After(number), longest_stretch=2).interrupted:
            break
    assert number > 3
    runs.assert_same_variables(tmp_path / "cut", tmp_path / "whole")
    assert runs.history(tmp_path / "cut") == runs.history(tmp_path / "whole")
    assert runs.scalars(tmp_path / "cut") == runs.scalars(tmp_path / "whole")


def test_samples_are_streamed_where_there_is_no_memory_for_all_of_them(monkeypatch):
    def fed_batches(**settings):
        config = runs.config(**settings)
        return training.plan_on(config, loading.load(config)).fed_batches

    assert fed_batches() == fed_batches(stream="off") == 0
    assert fed_batches(stream="on") == 5
    assert fed_batches(stream="on", batch_size=80) == 0  # a batch has all samples
    monkeypatch.setattr(Plan, "that_fits", Plan.streamed)
    assert fed_batches() == 5
    assert fed_batches(stream="off") == 0


def test_a_streamed_plan_takes_no_memory_for_its_samples_and_is_taken_where_it_takes_less(monkeypatch):
    config = runs.config(batch_size=64)
    many, few = (planned(config, config.data.known.shape, (size, 0, size // 4)) for size in (40_000_000, 80))
    assert many.streamed().fed_rows * 2 * 4 <= 1 << 25
    assert many.that_fits() == many
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    assert many.that_fits() == many.streamed()
    assert few.that_fits() == few


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 5))
def test_pieces_have_every_batch_of_a_part_as_the_loop_cuts_it(total, size, fed):
    batches = Batches(min(size, total), total, fed)
    places = np.concatenate([batches.places(number) for number in range(batches.pieces)])
    for number, batch in enumerate(places.reshape(-1, batches.size)[: batches.count]):
        first = min(number * batches.size, total - batches.size)
        np.testing.assert_array_equal(batch, np.arange(first, first + batches.size))


@pytest.fixture
def small_evaluations():
    """The programs of other tests evaluate more samples at once, which gives other last bits."""
    clear_programs()
    with mock.patch.object(loop, "EVALUATION_BATCH", 8):
        yield
    clear_programs()


@pytest.mark.slow
@pytest.mark.parametrize("call", [6, runs.campaign(7)])
@pytest.mark.usefixtures("small_evaluations")
def test_a_streamed_run_that_is_killed_goes_on_to_the_same_bits(call, tmp_path):
    """In the second evaluation, or in the epoch after it; a checkpoint is written after every piece."""
    settings = {"epochs": 3, "stream": "on", "checkpoint_seconds": 1e-9}
    killed = Before("fcclf.learning.streaming.program.StreamedProgram.advance", SignalSelf(signal.SIGKILL, 1), call)
    errors = tmp_path / "errors"
    process = runs.start(*flags(tmp_path / "run", **settings), faults=[evaluations_are_small, killed], stderr=errors)
    process.join()
    assert process.exitcode == -signal.SIGKILL, errors.read_text()
    finish(tmp_path / "run", **settings)
    finish(tmp_path / "untouched", epochs=3)
    runs.assert_same_run(tmp_path / "run", tmp_path / "untouched")


def compiled_code():
    """Bytes of machine code in memory that no file holds."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    places = [words[0].split("-") for words in lines if "x" in words[1] and len(words) == 5]
    return sum(int(last, 16) - int(first, 16) for first, last in places)


@pytest.mark.slow
def test_all_pieces_of_an_epoch_are_compiled_once():
    config = runs.config(jit="on", epochs=2)
    dataset = loading.load(config)
    plan = dataclasses.replace(training.plan_on(config, dataset).streamed(), fed_batches=1)
    with contextlib.closing(StreamedProgram(plan)) as program:
        training.begin(program, config, dataset)
        trained = stretches(program, loading.parts(config, dataset), 1, longest=1)
        next(trained)
        compiled = compiled_code()
        assert compiled > 0
        next(trained)
        next(trained)
        assert (program.batch, compiled_code()) == (3, compiled)


def evaluations_are_small():
    loop.EVALUATION_BATCH = 8


@pytest.mark.slow
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.integers(1, 30), st.none() | st.integers(1, 30))
def test_samples_that_are_read_ahead_are_those_of_the_batches(total, size, fed, at_once, window):
    """Also where blocks of two rows are shuffled, several ranges make a piece, or several pieces lie in a range."""
    size = min(size, total)
    plan = SimpleNamespace(sizes=Sizes(total, test=total), batch_size=size, fed_batches=fed, fed_rows=fed * size)
    plan.n_features, plan.dtype = 1, "float32"
    part, order = Part(np.arange(total, dtype=np.float32)[:, None], np.arange(total)), Order(0, total, window=window)
    with mock.patch("fcclf.data.order.BLOCK", 2), contextlib.closing(Ahead(plan, {"train": part}, order)) as ahead:
        ahead.at_once = at_once
        for epoch in (0, 1):
            expected = order.of_epoch(epoch)
            for number in range(ahead.batches["train"].pieces):
                X, y = ahead.samples(epoch, "train", number)
                np.testing.assert_array_equal(y, expected[ahead.batches["train"].places(number)])
                np.testing.assert_array_equal(X[:, 0], y)
