"""SIGINT, SIGTERM and SIGHUP, held back so that training can finish its chunk and save.

A Python signal handler cannot run inside `Session.run`, so training asks between its chunks, which are short. A second
signal ends the process at once; the last committed checkpoint remains. Signals that the parent process ignores (nohup,
background jobs) stay ignored.
"""

import contextlib
import os
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ending_with(sentence: str):
    """Lets a signal inside the block end the process with a line on standard error, the one of now, even if it is
    redirected meanwhile. Main thread only."""
    stderr = os.dup(2)

    def end(number, frame):
        with contextlib.suppress(OSError):
            os.write(stderr, f"{sentence}\n".encode(errors="backslashreplace"))
        _end_by(number)

    try:
        with _handled_by(end):
            yield
    finally:
        os.close(stderr)


@contextlib.contextmanager
def _handled_by(handler):
    """Sets the handler of the signals inside the block, except of those that the parent process ignores."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _end_by(number):
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class Interrupts:
    """Remembers the first signal that comes while signals are held back."""

    def __init__(self):
        self.received = None

    @contextlib.contextmanager
    def held(self):
        """Remembers a signal that comes inside the block, which then does not end the process. Main thread only."""
        with _handled_by(self._remember):
            yield

    def pending(self) -> bool:
        """Whether a signal has come."""
        return self.received is not None

    def raise_again(self):
        """Ends the process by the remembered signal, so that its parent sees 130, 143 or 129."""
        _end_by(self.received)

    def _remember(self, number, frame):
        self.received = number
        for each in SIGNALS:
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, signal.SIG_DFL)
