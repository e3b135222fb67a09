"""Signals in every phase of a run end the process by the signal, with everything saved."""

import functools
import itertools
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import runs
from faults import SIGNALS, Before, SignalSelf, finish, flags

PHASES = {  # where: (function, its call); signals are held in `HELD`
    "compile": ("fcclf.learning.program.Program.compile", 1),
    "first save": ("fcclf.runs.checkpoint.commit", 1),
    "first epochs": ("fcclf.learning.program.Program.advance", 1),
    "save": ("fcclf.runs.checkpoint.commit", 3),
    "last save": ("fcclf.runs.checkpoint.commit", 41),
    "evaluation": ("fcclf.views.evaluation.metrics", 1),
}
HELD, EARLY = ("first epochs", "save", "last save"), ("compile", "first save")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "phase", "times"),
    [
        (signal.SIGTERM, "last save", 1),
        (signal.SIGHUP, "evaluation", 1),
        (signal.SIGINT, "save", 2),
        (signal.SIGINT, "compile", 1),
        *(runs.campaign(*each) for each in itertools.product(SIGNALS, PHASES, (1, 2))),
    ],
)
def test_a_signal_in_any_phase_ends_the_process_by_it_and_the_run_goes_on_to_the_same_bits(
    tmp_path, reference, number, phase, times
):
    path, errors, (where, call) = tmp_path / "run", tmp_path / "errors", PHASES[phase]
    fault = Before(where, SignalSelf(number, times), call)
    process = runs.start(*flags(path, epochs=40), "--checkpoint-every", "1", faults=[fault], stderr=errors)
    process.join(timeout=60)
    assert process.exitcode == -number
    if phase in HELD and times == 1:
        assert errors.read_text().splitlines()[-1].startswith("fcclf: interrupted: saved after ")
        assert runs.variables(path)["state/epoch"] == int(errors.read_text().split("saved after ")[1].split()[0])
    if phase in EARLY:
        assert "fcclf: interrupted before anything was trained; to go on: " in errors.read_text()
    finish(path)
    runs.assert_same_run(path, reference())


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(30))
def test_signals_at_random_moments_end_the_process_within_two_seconds(tmp_path, reference, seed):
    moments, path, ready = random.Random(seed), tmp_path / "run", runs.FORKSERVER.Event()
    number, times = moments.choice(SIGNALS), moments.choice((1, 2))
    process = runs.start(*flags(path, epochs=400), faults=[ready.set])
    ready.wait()
    process.join(timeout=moments.uniform(0, 1.5))
    for _ in range(times):
        send(process.pid, number)
    process.join(timeout=2)
    assert process.exitcode in (0, -number)
    finish(path, epochs=400)
    runs.assert_same_run(path, reference(400))


def send(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.slow
@pytest.mark.parametrize("delays", [(0.3,), runs.campaign(*[[0.05 * n for n in range(40)]])])
def test_a_signal_while_tensorflow_is_imported_ends_the_process_by_it(tmp_path, delays):
    for delay, number in zip(delays, itertools.cycle(SIGNALS)):
        process = subprocess.Popen(
            [sys.executable, "-m", "fcclf", *flags(tmp_path / "run")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=runs.heed_signals,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        process.send_signal(number)
        process.communicate(timeout=5)
        assert process.returncode == -number


@pytest.mark.slow
def test_a_signal_that_the_parent_ignores_stays_ignored(tmp_path, reference):
    path = tmp_path / "run"
    ignored = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    hangup = Before("fcclf.runs.checkpoint.commit", SignalSelf(signal.SIGHUP, 2))
    process = runs.start(*flags(path), faults=[ignored, hangup])
    process.join()
    assert process.exitcode == 0
    runs.assert_same_run(path, reference())
