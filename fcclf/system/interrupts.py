"""SIGINT, SIGTERM and SIGHUP, held back while training can finish its chunk and save.

A Python signal handler cannot run inside `Session.run`, so training asks between its chunks, which are short. A second
signal ends the process at once: the last committed checkpoint stands. Signals that the parent process ignores (nohup,
background jobs) stay ignored.
"""

import contextlib
import os
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The first signal that came, remembered while signals are held back."""

    def __init__(self):
        self.received = None

    @contextlib.contextmanager
    def held(self):
        """Inside the block a signal is remembered instead of ending the process. Main thread only."""
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._remember)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def pending(self) -> bool:
        """Whether a signal has come."""
        return self.received is not None

    def raise_again(self):
        """Ends the process by the remembered signal, so that its parent sees 130, 143 or 129."""
        signal.signal(self.received, signal.SIG_DFL)
        os.kill(os.getpid(), self.received)

    def _remember(self, number, frame):
        self.received = number
        for each in SIGNALS:
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, signal.SIG_DFL)
