"""The session loop: train -> chunk -> one `Session.run`.

A run is a number of steps, one for each batch, taken in chunks of at most about half a second, so that an interrupt is
answered soon; a chunk may begin and end inside an epoch. How long chunks are depends on the clock and on the intervals
of checkpoints and histograms, and changes no bit of the result.
"""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from fcclf.data import loading
from fcclf.errors import ConfigError, DivergedError
from fcclf.learning.epoch_loop import metric_names
from fcclf.learning.interrupts import Interrupts
from fcclf.learning.trainer import Trainer
from fcclf.runs import checkpoint, dashboard, history, run_directory
from fcclf.runs.checkpoint import Checkpoint
from fcclf.runs.record import Record, recover
from fcclf.runs.run_directory import Description
from fcclf.settings.config import Config
from fcclf.views.frames import Frames

CHUNK_SECONDS = 0.4  # what a chunk aims at; an interrupt is answered after one chunk and one save
FIRST_CHUNK = 16  # steps, before the speed is known
MOST_GROWTH = 16  # of the next chunk over the last


class Outcome(NamedTuple):
    """How `train` ended. epoch: epochs finished; begun_at: those finished before; interrupted: a signal ended it;
    with early stopping, best_epoch: the epoch whose weights count, stopped: it ended the run."""

    epoch: int
    begun_at: int
    interrupted: bool
    best_epoch: int | None = None
    stopped: bool = False


def train(
    config: Config,
    path: Path,
    *,
    fresh=False,
    interrupts: Interrupts | None = None,
    say=lambda sentence: None,
    progress=None,
) -> Outcome:
    """Trains the run in directory `path` up to `config.training.epochs`, from its newest checkpoint if it has one.

    fresh: move a run that is there aside and start over. interrupts: answer signals while the loop runs.
    say(sentence): told what a user should know. progress(epochs finished, {metric: last value}): called first and
    after chunks.
    Raises ConfigError if the run has other settings or data, RunError if it cannot go on, DivergedError if it diverged.
    """
    if config.training.warm_start is not None and (fresh or not path.exists()):
        _check_warm_start(config.training.warm_start, path)
    dataset = loading.load(config, say)
    config.layers(dataset.n_features, dataset.n_classes)  # refuses what does not fit before anything is made or moved
    with run_directory.claimed(path, fresh) as aside:
        if aside:
            say(f"the run that was here is now {aside}")
        description = run_directory.describe(path, config, loading.facts(dataset), say)
        start = checkpoint.newest_sound(path / "checkpoints", description.fingerprint, say)
        epoch, committed = (start.epoch, start.committed) if start else (0, {})
        metrics = metric_names(config.training.early_stopping)
        committed = recover(path, epoch, committed, metrics, say)
        if epoch >= config.training.epochs:
            return Outcome(epoch, epoch, False, *history.early_stopping(history.read(path), config))
        with Trainer(config, dataset) as trainer, Record(path, committed, epoch + 1, metrics) as record:
            run = _Run(description, path, trainer, record)
            run.begin(start, say)
            return run.loop(interrupts, progress)


def _check_warm_start(source, path):
    """Before anything is made or moved."""
    if path.resolve() in Path(checkpoint.find(source)).resolve().parents:
        raise ConfigError("warm_start", f"is {source!r}, in the run that --fresh moves aside: copy it first.")


class _Run:
    """A run being trained: a trainer, what it writes down, and when it saves."""

    def __init__(self, description: Description, path: Path, trainer: Trainer, record: Record):
        self.description, self.config, self.path = description, description.config, path
        self.trainer, self.record, self.frames = trainer, record, Frames(trainer)
        self.saved_step, self.saved_best, self.saved_at = 0, None, time.monotonic()
        self.epoch_began = time.perf_counter()

    def begin(self, start: Checkpoint | None, say):
        """Restores `start`, or initialises and commits the beginning; compiles the epoch loop."""
        if start:
            self.trainer.restore(start)
            self.saved_step = self.trainer.step
            say(f"going on after epoch {start.epoch}" + (f", batch {start.batch}" if start.batch else ""))
        else:
            self.trainer.initialize(self.config.training.warm_start, say)
        self.trainer.advance(self.trainer.step)
        self.epoch_began = time.perf_counter()
        if not start:
            self.record.graph(dashboard.graph_picture(self.trainer.session.graph))
            self.record.summary("", 0, dashboard.about(self.description, self.path.name))
            self.observe()
            self.save()

    # ---- the loop

    def loop(self, interrupts, progress) -> Outcome:
        """Chunks until the last epoch or a signal."""
        trainer, budget = self.trainer, FIRST_CHUNK
        begun_at, end = trainer.epoch, self.config.training.epochs * trainer.n_batches
        if progress:
            progress(begun_at, {})
        with interrupts.held() if interrupts else contextlib.nullcontext():
            while trainer.step < end and not trainer.stopped and not (interrupts and interrupts.pending()):
                started, before = time.perf_counter(), trainer.step
                metrics = self.chunk(min(end, self.next_stop(budget)))
                if progress:
                    progress(trainer.epoch, metrics)
                if self.save_is_due():
                    self.save()
                steps, seconds = trainer.step - before, time.perf_counter() - started
                budget = max(1, min(MOST_GROWTH * steps, int(steps * CHUNK_SECONDS / seconds)))
            if trainer.step != self.saved_step:
                self.save()
        interrupted = trainer.step < end and not trainer.stopped
        return Outcome(trainer.epoch, begun_at, interrupted, trainer.best_epoch, trainer.stopped)

    def next_stop(self, budget):
        """The step to end the next chunk before: the budget, the trainer's limit, the next interval."""
        trainer, session = self.trainer, self.config.session
        stops = [trainer.step + budget, trainer.furthest_stop]
        for interval in (session.checkpoint_every, session.histogram_every, session.image_every):
            if interval:
                stops.append((trainer.epoch // interval + 1) * interval * trainer.n_batches)
        return min(stops)

    def chunk(self, stop):
        """Trains up to step `stop` and records the epochs that ended; the last one's metrics, {} if none did."""
        first_epoch = self.trainer.epoch
        if not self.trainer.batch:
            self.epoch_began = time.perf_counter()
        results = self.trainer.advance(stop)
        metrics, count = results.metrics, self.trainer.epoch - first_epoch
        sound = _leading_finite(metrics, count)
        if sound:
            seconds = (time.perf_counter() - self.epoch_began) / count
            self.record.epochs(first_epoch + 1, {name: values[:sound] for name, values in metrics.items()}, seconds)
        if sound < count or not results.finite:
            raise self.diverged(first_epoch + sound + 1)
        if count:
            self.epoch_began = time.perf_counter()
            self.observe()
        return {name: values[count - 1] for name, values in metrics.items()} if count else {}

    def observe(self):
        """Records histograms and pictures of the network as it is now, each at its interval."""
        if self.is_interval(self.config.session.histogram_every):
            self.record.summary("train", self.trainer.epoch, self.trainer.histograms())
        if self.is_interval(self.config.session.image_every) and self.is_round():
            self.record_pictures()

    def record_pictures(self):
        """Records what the test part and the plane look like to the network."""
        epoch, y = self.trainer.epoch, self.trainer.dataset.y_test
        logits = self.trainer.logits(self.trainer.dataset.X_test)
        self.record.summary("test", epoch, dashboard.pr_curves(y, softmax(logits, axis=1)))
        for directory, tag, png in self.frames.draw(logits, f"epoch {epoch}"):
            self.record.summary(directory, epoch, dashboard.image(tag, png))

    def is_interval(self, interval):
        """The run stands at a multiple of `interval` epochs; 0 is never."""
        return interval > 0 and self.trainer.step % (interval * self.trainer.n_batches) == 0

    def is_round(self):
        """The intervals between pictures so far are 0 to 10, 20, 30 ... 100, 200 ...: drawing must not take over."""
        count = self.trainer.epoch // self.config.session.image_every
        return count % 10 ** (len(str(count)) - 1) == 0

    def diverged(self, epoch):
        """The error for a loss or variable that is no number in `epoch`."""
        return DivergedError(
            f"training diverged in epoch {epoch}: the loss or a variable became NaN or infinite; the last good "
            f"checkpoint is epoch {self.saved_step // self.trainer.n_batches}: try a lower --learning-rate than "
            f"{self.config.training.learning_rate:g}, or --clip-norm 1."
        )

    # ---- saving

    def save_is_due(self):
        """By epochs or by time."""
        session = self.config.session
        return (
            self.is_interval(session.checkpoint_every) or time.monotonic() - self.saved_at > session.checkpoint_seconds
        )

    def save(self):
        """Commits everything up to this step."""
        trainer, directory = self.trainer, self.path / "checkpoints"
        position, committed = (trainer.epoch, trainer.batch), self.record.commit()
        fingerprint = self.description.fingerprint
        if trainer.best_epoch != self.saved_best:
            checkpoint.save_best(directory, trainer.session, trainer.graph.best.saver)
            self.saved_best = trainer.best_epoch
        checkpoint.save(directory, trainer.session, trainer.graph.saver, position, fingerprint, committed)
        checkpoint.prune(directory, self.config.session.keep)
        self.saved_step, self.saved_at = trainer.step, time.monotonic()


def _leading_finite(metrics, count):
    """How many of the first `count` epochs have finite metrics, up to the first that has not."""
    finite = np.all(np.isfinite(list(metrics.values())), axis=0)[:count]
    return count if finite.all() else int(np.argmin(finite))
