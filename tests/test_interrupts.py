"""Signals: held back while it matters, and passed on as they came."""

import os
import signal

import pytest
import runs

from fcclf.system.interrupts import Interrupts


@pytest.fixture
def default_handlers():
    """Signals end the process unless the test says otherwise; restored afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_held_signal_is_remembered(number, default_handlers):
    interrupts = Interrupts()
    with interrupts.held():
        assert not interrupts.pending()
        os.kill(os.getpid(), number)
        assert interrupts.pending()
    assert interrupts.received == number


def test_a_second_signal_is_not_held(default_handlers):
    with Interrupts().held():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_handlers_are_restored(default_handlers):
    with Interrupts().held():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_a_signal_that_the_parent_ignores_stays_ignored(default_handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts = Interrupts()
    with interrupts.held():
        os.kill(os.getpid(), signal.SIGHUP)
    assert not interrupts.pending()


def test_the_process_ends_by_the_signal_it_got():
    program = (
        "import os, signal, sys\n"
        "from fcclf.system.interrupts import Interrupts\n"
        "interrupts = Interrupts()\n"
        "if not (child := os.fork()):\n"
        "    with interrupts.held(): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    interrupts.raise_again()\n"
        "print(os.WTERMSIG(os.waitpid(child, 0)[1]))"
    )
    assert int(runs.python(program)) == signal.SIGTERM
