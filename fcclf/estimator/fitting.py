"""The session loop of a fit: stretch -> one `Session.run`.

It runs in a thread, because a KeyboardInterrupt cannot be answered inside `Session.run`: the stretch that runs is
finished, written down and counts. Where a fit is cut into stretches changes no bit of it.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

from sklearn import config_context, get_config

from fcclf.estimator.callbacks import Tasks
from fcclf.estimator.fit_run import FitRun
from fcclf.estimator.program import Fitter, Stretch


class Fit:
    """A fit under way. stretches: what was trained so far, by earlier calls too; interrupted: by the user."""

    def __init__(self, fitter: Fitter, arrays, shuffle: bool, n_epochs: int, run: FitRun | None = None):
        """fitter: has begun. arrays: of the training and the held-out samples. n_epochs: in all."""
        self.fitter, self.arrays, self.shuffle, self.n_epochs, self.run = fitter, arrays, shuffle, n_epochs, run
        self.stretches = [run.past] if run and run.past.epochs else []
        self.interrupted = False

    @property
    def epochs(self) -> int:
        """Trained so far."""
        return sum(stretch.epochs for stretch in self.stretches)

    @property
    def stopped(self) -> bool:
        """By its own rules."""
        return bool(self.stretches) and self.stretches[-1].stopped

    def metrics(self) -> dict[str, list]:
        """{name: values of all epochs}."""
        names = self.stretches[0].metrics
        return {name: [value for each in self.stretches for value in each.metrics[name].tolist()] for name in names}

    def train(self, verbose: bool, tasks: Tasks | None):
        """Until it is over. verbose: print the loss of each epoch. tasks: of scikit-learn's callbacks.

        Raises KeyboardInterrupt if no epoch could be finished before one.
        """
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(int).result()  # the block waits for the thread only once it has begun
            try:
                thread.submit(self._loop, stop, verbose, tasks, get_config()).result()
            except KeyboardInterrupt:
                self.interrupted = True
                stop.set()
        if not self.stretches:
            raise KeyboardInterrupt

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
        with tasks.epoch(self, stop):
            return self._advance(1)

    def _advance(self, most):
        stretch = self.fitter.advance(self.arrays, self.shuffle, min(most, self.n_epochs - self.epochs))
        self.stretches.append(stretch)
        if self.run:
            self.run.note(stretch)
        return stretch


def _print(stretch: Stretch, epochs):
    """epochs: finished, those of the stretch counted."""
    for row, number in enumerate(range(epochs - stretch.epochs + 1, epochs + 1)):
        print(f"Iteration {number}, loss = {stretch.metrics['train_total'][row]:.8f}")
        if "validation_accuracy" in stretch.metrics:
            print(f"Validation score: {stretch.metrics['validation_accuracy'][row]:.6f}")
