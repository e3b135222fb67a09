"""The session loop of a fit, in a thread.

A KeyboardInterrupt cannot be handled inside `Session.run`: the current stretch is finished, recorded and counts.
Where a fit is cut into stretches changes no bit of it.
"""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from sklearn import config_context, get_config

from fcclf.estimator.callbacks import Tasks
from fcclf.learning.program import Program
from fcclf.learning.stretches import stretches

DIVERGED = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed. Or learning_rate_init is too high: lower it."
)


class Fit:
    """A fit in progress.

    metrics: {name: values of all epochs, those of earlier calls included}. interrupted: whether by the user.
    """

    def __init__(
        self,
        program: Program,
        parts,
        sampling: str,
        n_epochs: int,
        recorder=None,
        earlier=None,
        scoring=None,
        shuffle_window: int | None = None,
    ):
        """program: one that has begun. parts: {name: `Part`}. sampling, shuffle_window: as for `stretches`. n_epochs:
        the last epoch to train, counted from the first of `earlier`, the metrics of epochs trained already.
        recorder: of a fit that is kept as a run, or None. scoring: the `Scoring` that ends it, or None.
        """
        self.program, self.parts, self.sampling, self.recorder, self.scoring = (
            program,
            parts,
            sampling,
            recorder,
            scoring,
        )
        self.metrics = {name: list(values) for name, values in (earlier or {}).items()}
        self.shuffle_window = shuffle_window
        self.n_epochs, self.interrupted, self.tasks, self.task = n_epochs, False, None, None
        self.most_epochs = program.epoch - self.epochs + n_epochs  # of the program

    @property
    def epochs(self) -> int:
        """Number of epochs finished, those of earlier calls included."""
        return len(self.metrics.get("train_total", ()))

    @property
    def stopped(self) -> bool:
        """Whether the stopping rule ended the fit."""
        return self.scoring.stopped if self.scoring else self.program.stopped

    def train(self, verbose: bool, tasks: Tasks | None):
        """Trains to the last epoch, or until the rule or the user stops it.

        verbose: print the loss of each epoch. tasks: of scikit-learn's callbacks.

        Raises KeyboardInterrupt if the user interrupts before an epoch is finished.
        """
        stop, self.tasks = threading.Event(), tasks
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(int).result()  # the block waits for the thread only once it has begun
            self._wait(thread.submit(self._loop, stop, verbose, get_config()), stop)
        if not self.epochs:
            raise KeyboardInterrupt

    def _wait(self, loop, stop):
        """Waits for the future `loop`, however often the user interrupts. Raises the error that ended it."""
        while True:
            try:
                return loop.result()
            except KeyboardInterrupt:
                self.interrupted = True
                stop.set()
                if loop.done() and isinstance(loop.exception(), KeyboardInterrupt):  # a callback's
                    return None

    def _loop(self, stop, verbose, config):
        recorder = contextlib.closing(self.recorder) if self.recorder else contextlib.nullcontext()
        with config_context(**config), recorder:  # scikit-learn's settings are those of a thread
            if self.tasks:
                self.tasks.skip(self.epochs)
            for stretch in stretches(
                self.program,
                self.parts,
                self.most_epochs,
                sampling=self.sampling,
                shuffle_window=self.shuffle_window,
                next_stop=self._next_stop,
                asked_to_stop=stop.is_set,
            ):
                self._note(stretch, stop)
                if verbose:
                    self._print(stretch.epochs)
            if self.recorder:
                self.recorder.finish()

    def _next_stop(self):
        """The step before which the next stretch must end: at the latest the end of the epoch if there are callbacks or
        a scorer, which see each epoch. With callbacks, an epoch's task begins here."""
        program, stops = self.program, [self.recorder.next_stop()] if self.recorder else []
        if self.tasks or self.scoring:
            stops.append((program.epoch + 1) * program.plan.n_batches)
        if self.tasks and not program.batch:
            with self._saved_on_error():
                self.task = self.tasks.begin_epoch()
        return min(stops, default=program.furthest_stop)

    def _note(self, stretch, stop):
        keeps_best = self.scoring or self.program.plan.keeps_best
        if not stretch.finite and (self.recorder or not keeps_best):
            raise ValueError(DIVERGED)
        if self.recorder:
            self.recorder.note(stretch)
        for name, values in stretch.metrics.items():
            self.metrics.setdefault(name, []).extend(values.tolist())
        if self.scoring and stretch.epochs:
            self._score(stop)
        if self.tasks and stretch.epochs:
            with self._saved_on_error():
                if self.tasks.end_epoch(self.task, self):
                    stop.set()

    def _score(self, stop):
        score = self.scoring.note(self.program.kept_values())
        self.metrics.setdefault(f"validation_{self.program.plan.objective.score}", []).append(score)
        if self.scoring.stopped:
            stop.set()

    @contextlib.contextmanager
    def _saved_on_error(self):
        """Runs user code in the block: if it fails, what was trained is saved before the error is passed on."""
        try:
            yield
        except BaseException:
            if self.recorder:
                self.recorder.finish()
            raise

    def _print(self, count):
        """Prints the last `count` epochs as scikit-learn does."""
        scores = self.metrics.get(f"validation_{self.program.plan.objective.score}")
        for number in range(self.epochs - count, self.epochs):
            print(f"Iteration {number + 1}, loss = {self.metrics['train_total'][number]:.8f}")
            if scores:
                print(f"Validation score: {scores[number]:.6f}")
