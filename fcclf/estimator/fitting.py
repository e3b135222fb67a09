"""The session loop of a fit: stretch -> one `Session.run`.

It runs in a thread, because a KeyboardInterrupt cannot be answered inside `Session.run`: the stretch that runs is
finished, written down and counts. Where a fit is cut into stretches changes no bit of it.
"""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from sklearn import config_context, get_config

from fcclf.estimator.callbacks import Tasks
from fcclf.estimator.fit_run import FitRun
from fcclf.estimator.program import Fitter, Stretch


class Fit:
    """A fit under way.

    epochs: trained so far, by earlier calls too. metrics: {name: values of all of them}. stopped: it is over by its own
    rules. interrupted: by the user.
    """

    def __init__(self, fitter: Fitter, arrays, shuffle: bool, n_epochs: int, run: FitRun | None = None):
        """fitter: has begun. arrays: of the training and the held-out samples. n_epochs: in all."""
        self.fitter, self.arrays, self.shuffle, self.n_epochs, self.run = fitter, arrays, shuffle, n_epochs, run
        self.epochs, self.metrics, self.stopped, self.interrupted = 0, {}, False, False
        if run:
            self._add(run.past)

    def train(self, verbose: bool, tasks: Tasks | None):
        """Until it is over. verbose: print the loss of each epoch. tasks: of scikit-learn's callbacks.

        Raises KeyboardInterrupt if no epoch could be finished before one.
        """
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(int).result()  # the block waits for the thread only once it has begun
            self._wait(thread.submit(self._loop, stop, verbose, tasks, get_config()), stop)
        if not self.epochs:
            raise KeyboardInterrupt

    def _wait(self, loop, stop):
        """For the end of the loop, a future, whatever the user does; raises what it raised."""
        while True:
            try:
                return loop.result()
            except KeyboardInterrupt:
                self.interrupted = True
                stop.set()
                if loop.done() and isinstance(loop.exception(), KeyboardInterrupt):  # a callback's
                    return None

    def _loop(self, stop, verbose, tasks, config):
        with config_context(**config):  # scikit-learn's settings are those of a thread
            if tasks:
                tasks.skip(self.epochs)
            while self.epochs < self.n_epochs and not self.stopped and not stop.is_set():
                stretch = self._epoch(tasks, stop) if tasks else self._advance(self.fitter.plan.most_epochs)
                if verbose:
                    _print(stretch, self.epochs)
        if self.run:
            self.run.save()

    def _epoch(self, tasks, stop):
        """An epoch alone, so that callbacks see each."""
        with self._saved_on_error():
            task = tasks.begin_epoch()
        stretch = self._advance(1)
        with self._saved_on_error():
            if tasks.end_epoch(task, self):
                stop.set()
        return stretch

    def _advance(self, most):
        most = min(most, self.n_epochs - self.epochs, *([self.run.to_next_histogram] if self.run else []))
        stretch = self.fitter.advance(self.arrays, self.shuffle, most)
        if self.run:
            self.run.note(stretch)
        self._add(stretch)
        return stretch

    def _add(self, stretch):
        self.epochs, self.stopped = self.epochs + stretch.epochs, stretch.stopped
        for name, values in stretch.metrics.items():
            self.metrics.setdefault(name, []).extend(values.tolist())

    @contextlib.contextmanager
    def _saved_on_error(self):
        """The block is other people's code: what was trained outlasts its failure."""
        try:
            yield
        except BaseException:
            if self.run:
                self.run.save()
            raise


def _print(stretch: Stretch, epochs):
    """epochs: finished, those of the stretch counted."""
    for row, number in enumerate(range(epochs - stretch.epochs + 1, epochs + 1)):
        print(f"Iteration {number}, loss = {stretch.metrics['train_total'][row]:.8f}")
        if "validation_accuracy" in stretch.metrics:
            print(f"Validation score: {stretch.metrics['validation_accuracy'][row]:.6f}")
