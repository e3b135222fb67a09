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
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from fcclf import checkpoint, data, durable, graph, record, run_directory
from fcclf.config import Config
from fcclf.errors import DivergedError, RunError
from fcclf.graph import EpochMetrics
from fcclf.interrupts import Interrupts
from fcclf.run_directory import Description

tf1 = tf.compat.v1

CHUNK_SECONDS = 0.4  # what a chunk aims at; an interrupt is answered after one chunk and one save
FIRST_CHUNK = 16  # steps, before the speed is known
MOST_GROWTH = 16  # of the next chunk over the last


class Outcome(NamedTuple):
    """How `train` ended. epoch: epochs finished; begun_at: those finished before; interrupted: a signal ended it."""

    epoch: int
    begun_at: int
    interrupted: bool


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
    say(sentence): told what a user should know. progress(epochs finished, {metric: last value}): called after chunks.
    Raises ConfigError if the run has other settings or data, RunError if it cannot go on, DivergedError if it diverged.
    """
    if config.training.warm_start and (fresh or not path.exists()):
        checkpoint.find(config.training.warm_start)  # before anything is made
    with run_directory.claimed(path, fresh) as aside:
        if aside:
            say(f"the run that was here is now {aside}")
        dataset = data.load(config)
        facts = {
            "fingerprint": data.fingerprint(dataset),
            "n_features": dataset.n_features,
            "n_classes": dataset.n_classes,
        }
        description = run_directory.describe(path, config, facts, say)
        start = _newest_checkpoint(path, description, say)
        if start and start.epoch >= config.training.epochs:
            return Outcome(start.epoch, start.epoch, interrupted=False)
        with _Run(description, dataset, path) as run:
            run.begin(start, say)
            return run.loop(interrupts, progress)


def session_config(threads: int) -> tf1.ConfigProto:
    """CPU only: small nets are faster there, and bit-equality is promised there."""
    return tf1.ConfigProto(
        device_count={"GPU": 0},
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=threads,
        # XLA optimizes the compiled loop; for the rest, rewriting costs more time than it saves.
        graph_options=tf1.GraphOptions(rewrite_options=RewriterConfig(disable_meta_optimizer=True)),
    )


def _newest_checkpoint(path, description, say):
    """The checkpoint to go on from, or None at the very start."""
    directory = path / "checkpoints"
    durable.make_directory(directory)
    checkpoint.sweep(directory)
    return checkpoint.newest_sound(directory, description.fingerprint, say)


class _Run(contextlib.ExitStack):
    """A run being trained: its graph in a session, its record, and the step it has reached."""

    def __init__(self, description: Description, dataset: data.Dataset, path: Path):
        super().__init__()
        self.config, self.fingerprint, self.path = description.config, description.fingerprint, path
        self.dataset = dataset
        n_train, n_test = len(dataset.y_train), len(dataset.y_test)
        self.n_batches = graph.batches_per_epoch(n_train, self.config.training.batch_size)
        self.graph = graph.build(self.config, dataset.n_features, dataset.n_classes, (n_train, n_test))
        self.session = tf1.Session(graph=self.graph.logits.graph, config=session_config(self.config.session.threads))
        self.callback(self.session.close)
        self.orders = data.EpochOrders(self.config.training, n_train, self.graph.loop.order.shape[0])
        self.callback(self.orders.close)
        self.step = self.saved_step = 0
        self.saved_at = time.monotonic()

    @property
    def epoch(self):
        """Epochs finished."""
        return self.step // self.n_batches

    # ---- beginning

    def begin(self, start: checkpoint.Checkpoint | None, say):
        """Restores `start` or initialises; opens the record; compiles the epoch loop."""
        if start:
            self.restore(start)
            say(f"going on after epoch {start.epoch}" + (f", batch {start.batch}" if start.batch else ""))
        else:
            self.initialize(say)
        committed = record.recover(self.path, self.epoch, start.committed if start else {}, say)
        self.record = self.enter_context(record.Record(self.path, committed, self.epoch + 1))
        self.run_epochs(self.step, self.step)
        if not start:
            self.record.graph(self.session.graph)
            self.record_histograms()
            self.save()

    def restore(self, start):
        checkpoint.restore(start, self.session, self.graph.saver)
        self.step = self.saved_step = start.epoch * self.n_batches + start.batch
        global_step, epoch = self.session.run([self.graph.state.global_step, self.graph.state.epoch])
        if (global_step, epoch) != (self.step, start.epoch):
            raise RunError(f"{start.path} holds step {global_step} of epoch {epoch}, which is not what its name says.")

    def initialize(self, say):
        self.session.run(self.graph.initializer)
        source = self.config.training.warm_start
        if source:
            variables = self.session.graph.get_collection(tf1.GraphKeys.TRAINABLE_VARIABLES)
            loaded, others = checkpoint.load_matching(self.session, checkpoint.find(source), variables)
            say(f"warm start: loaded {', '.join(loaded)}; not in the checkpoint: {', '.join(others) or 'none'}")

    # ---- the loop

    def loop(self, interrupts, progress) -> Outcome:
        """Chunks until the last epoch or a signal."""
        begun_at, end, budget = self.epoch, self.config.training.epochs * self.n_batches, FIRST_CHUNK
        with interrupts.held() if interrupts else contextlib.nullcontext():
            while self.step < end and not (interrupts and interrupts.pending()):
                started, before = time.perf_counter(), self.step
                metrics = self.chunk(min(end, self.next_stop(budget)))
                if progress:
                    progress(self.epoch, metrics)
                if self.save_is_due():
                    self.save()
                steps, seconds = self.step - before, time.perf_counter() - started
                budget = max(1, min(MOST_GROWTH * steps, int(steps * CHUNK_SECONDS / seconds)))
            if self.step != self.saved_step:
                self.save()
        return Outcome(self.epoch, begun_at, interrupted=self.step < end)

    def next_stop(self, budget):
        """The step to end the next chunk before: the budget, the rows of the fed order, the next interval."""
        session = self.config.session
        stops = [self.step + budget, (self.epoch + self.graph.loop.order.shape[0]) * self.n_batches]
        for interval in (session.checkpoint_every, session.histogram_every):
            if interval:
                stops.append((self.epoch // interval + 1) * interval * self.n_batches)
        return min(stops)

    def chunk(self, stop):
        """Trains up to step `stop` and records the epochs that ended; the last one's metrics, {} if none did."""
        started, first_epoch = time.perf_counter(), self.epoch
        metrics, finite = self.run_epochs(self.step, stop)
        self.step = stop
        count = self.epoch - first_epoch
        sound = _leading_finite(metrics, count)
        if sound:
            seconds = (time.perf_counter() - started) / count
            self.record.epochs(first_epoch + 1, EpochMetrics(*(values[:sound] for values in metrics)), seconds)
        if sound < count or not finite:
            raise self.diverged(first_epoch + sound + 1)
        if count and self.is_interval(self.config.session.histogram_every):
            self.record_histograms()
        return {name: values[count - 1] for name, values in metrics._asdict().items()} if count else {}

    def run_epochs(self, start, stop):
        """One `Session.run` over the steps from `start` to before `stop`; an `EpochResults` of arrays."""
        first_epoch, first = divmod(start, self.n_batches)
        last_epoch, last = divmod(max(stop, start + 1) - 1, self.n_batches)
        loop = self.graph.loop
        feed = {
            loop.X_train: self.dataset.X_train,
            loop.y_train: self.dataset.y_train,
            loop.X_test: self.dataset.X_test,
            loop.y_test: self.dataset.y_test,
            loop.order: self.orders.rows(first_epoch, last_epoch),
            loop.n_epochs: last_epoch - first_epoch + 1 if stop > start else 0,
            loop.first: first,
            loop.last: last + 1,
        }
        return self.session.run(loop.results, feed)

    # ---- recording and saving

    def record_histograms(self):
        self.record.summary(self.epoch, self.session.run(self.graph.histograms))

    def is_interval(self, interval):
        return interval > 0 and self.step % (interval * self.n_batches) == 0

    def save_is_due(self):
        session = self.config.session
        return (
            self.is_interval(session.checkpoint_every) or time.monotonic() - self.saved_at > session.checkpoint_seconds
        )

    def save(self):
        """Commits everything up to this step."""
        directory, position = self.path / "checkpoints", (self.epoch, self.step % self.n_batches)
        committed = self.record.commit()
        checkpoint.save(directory, self.session, self.graph.saver, position, self.fingerprint, committed)
        checkpoint.prune(directory, self.config.session.keep)
        self.saved_step, self.saved_at = self.step, time.monotonic()

    def diverged(self, epoch):
        return DivergedError(
            f"training diverged in epoch {epoch}: the loss or a variable became NaN or infinite; the last good "
            f"checkpoint is epoch {self.saved_step // self.n_batches}: try a lower --learning-rate than "
            f"{self.config.training.learning_rate:g}, or --clip-norm 1."
        )


def _leading_finite(metrics, count):
    """How many of the first `count` epochs have finite metrics, up to the first that has not."""
    finite = np.all(np.isfinite(metrics), axis=0)[:count]
    return count if finite.all() else int(np.argmin(finite))
