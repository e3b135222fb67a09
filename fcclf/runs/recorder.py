"""What is recorded of a training while it runs, and when it is saved: for runs, and for fits that have a run
directory."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from fcclf.data.facts import Facts
from fcclf.data.schema import Schema
from fcclf.errors import DivergedError, RunError
from fcclf.learning.plan import Plan
from fcclf.learning.predictor import sessions_own_threads
from fcclf.learning.program import Program, Stretch
from fcclf.runs import checkpoint, dashboard, run_directory
from fcclf.runs.checkpoint import Checkpoint
from fcclf.runs.record import Record, check_new, recover
from fcclf.runs.run_directory import Description
from fcclf.settings.config import Session
from fcclf.settings.run_config import RunConfig
from fcclf.system import durable


class Claimed(NamedTuple):
    """A run directory that may be written to. start: its newest checkpoint, None before the first; committed: {file:
    [length, sha256]} of history and events, brought back to that checkpoint; lock: the `run_directory.lock_file`."""

    path: Path
    description: Description
    start: Checkpoint | None
    committed: dict[str, list]
    lock: tuple[int, int]

    @property
    def epoch(self) -> int:
        """Number of epochs finished at the newest checkpoint."""
        return self.start.epoch if self.start else 0

    def record(self, metrics: tuple[str, ...]) -> contextlib.closing[Record]:
        """The `Record` that continues the run's files; closed at the end of a `with` block."""
        return contextlib.closing(Record(self.path, self.committed, self.epoch + 1, metrics))

    def restore(self, program: Program):
        """Restores the newest checkpoint into a program that has begun. Raises RunError if it is not what its name
        says."""
        restore(self.start, program)


def continued(path: Path, config: RunConfig, data: Facts, schema: Schema, plan: Plan, say) -> Claimed:
    """The run of `config` in directory `path`, whose lock the caller holds: new, or at its newest checkpoint.

    say(sentence): called with what was repaired. Raises ConfigError if another run is there, RunError if it cannot
    continue.
    """
    threads = plan.threads if sessions_own_threads() else "shared"
    description = run_directory.described(path, config, data, schema, say, threads, plan.device)
    start = checkpoint.newest_sound(path / "checkpoints", description.fingerprint, say)
    if not start or start.epoch < config.epochs:  # a finished run stays what it was asked for
        description = run_directory.moved_to(description, plan.device, say)
        run_directory.write(path, description)
    if start is None:
        check_new(path, config.remedy)
        durable.make_directory(path / "checkpoints")
    epoch, committed = (start.epoch, start.committed) if start else (0, {})
    recovered = recover(path, epoch, committed, plan.metrics, say)
    if recovered != committed:  # files were repaired
        start = checkpoint.recommit(start, recovered)
    return Claimed(path, description, start, recovered, run_directory.lock_file(path))


def restore(found: Checkpoint, program: Program):
    """Restores a checkpoint into a program that has begun. Raises RunError if it is not what its name says."""
    checkpoint.restore(found, program.session, program.saver)
    if program.resume() != (found.epoch, found.batch):
        raise RunError(f"{found.path} holds epoch {program.epoch}, batch {program.batch}, not what its name says.")


class Recorder:
    """Records what stretches return, and saves checkpoints. While the disk takes a checkpoint, the next stretch trains;
    if that fails, the next `note` or `finish` raises RunError.

    samples: float32 [samples, features], whose activations are recorded. frames: what draws the pictures, or None.
    """

    def __init__(self, run: Claimed, program: Program, record: Record, session: Session, samples, frames=None):
        self.path, self.description, self.program, self.record = run.path, run.description, program, record
        self.session, self.samples, self.frames, self.lock = session, samples, frames, run.lock
        self.saved, self.saved_at = (program.epoch, program.batch), time.monotonic()
        self.epoch_began = time.perf_counter()
        self.beside, self.saving = ThreadPoolExecutor(max_workers=1), None

    def begin(self):
        """Records what there is before the first epoch. Raises RunError if that cannot be saved."""
        run_directory.check_lock(self.path, self.lock)
        program = self.program
        program.fed_step  # noqa: B018 - the picture shows the tutorial's graph too
        self.record.graph(dashboard.graph_picture(program.session.graph))
        self.record.summary("", 0, dashboard.about(self.description, self.path.name))
        self.observe()
        self.saved = self._commit(*self._written())

    def next_stop(self) -> int:
        """The step at which something is due next."""
        every = (self.session.checkpoint_every, self.session.histogram_every, self.session.image_every)
        epoch, n_batches = self.program.epoch, self.program.plan.n_batches
        stops = [(epoch // interval + 1) * interval * n_batches for interval in every if interval]
        return min(stops, default=self.program.furthest_stop)

    def note(self, stretch: Stretch) -> dict[str, float]:
        """Records the epochs of a stretch; returns the last one's metrics, {} if none was finished.

        Raises DivergedError if a weight or metric is not finite; the last good checkpoint stays. Raises RunError if
        something cannot be written, of the save before too, or if the run directory was moved away or replaced.
        """
        ended = time.perf_counter()
        self.wait()
        run_directory.check_lock(self.path, self.lock)
        metrics, count = stretch.metrics, stretch.epochs
        sound = _leading_finite(metrics, count)
        if sound:
            seconds = (ended - self.epoch_began) / count
            sound_metrics = {name: values[:sound] for name, values in metrics.items()}
            self.record.epochs(stretch.first_epoch + 1, sound_metrics, seconds)
        if sound < count or not stretch.finite:
            raise self._diverged(stretch.first_epoch + sound + 1)
        if count:
            self.observe()
        self.record.flush()
        if self._save_is_due():
            self.save()
        if not self.program.batch:
            self.epoch_began = time.perf_counter()
        return {name: values[-1] for name, values in metrics.items()} if count else {}

    def observe(self):
        """Records histograms and pictures of the network in its present state, each at its interval."""
        epoch = self.program.epoch
        if self._is_interval(self.session.histogram_every):
            self.record.summary("train", epoch, self.program.histograms(self.samples))
        if self.frames and self._is_interval(self.session.image_every) and self._is_round():
            self._draw(epoch)

    def _draw(self, epoch):
        """Records the pictures and, for classes, how well each is distinguished from the others."""
        dataset, test = self.frames.dataset, self.frames.dataset.test
        if dataset.is_regression:
            answers = self.program.answers(test.X)
        else:
            answers = self.program.logits(test.X)
            source = self.description.config.source
            curves = dashboard.pr_curves(test.y, softmax(answers, axis=1), dataset.classes, source)
            self.record.summary("test", epoch, curves)
        for directory, tag, png in self.frames.draw(answers, f"epoch {epoch}"):
            self.record.summary(directory, epoch, dashboard.image(tag, png))

    def _is_interval(self, interval):
        """Whether the run is at a multiple of `interval` epochs; 0 is never."""
        return interval > 0 and not self.program.batch and self.program.epoch % interval == 0

    def _is_round(self):
        """Whether the number of picture intervals so far is 0 to 10, 20, 30 ... 100, 200 ...: drawing must not take
        over."""
        count = self.program.epoch // self.session.image_every
        return count % 10 ** (len(str(count)) - 1) == 0

    def _diverged(self, epoch):
        return DivergedError(
            f"training diverged in epoch {epoch}: the loss or a variable became NaN or infinite; the last good "
            f"checkpoint is epoch {self.saved[0]}: try a lower --learning-rate than "
            f"{self.program.given.learning_rate:g}, or --clip-norm 1."
        )

    def _save_is_due(self):
        """Whether a checkpoint is due, by epochs or by time, and anything was trained since the last one."""
        late = time.monotonic() - self.saved_at > self.session.checkpoint_seconds
        return self._has_moved() and (late or self._is_interval(self.session.checkpoint_every))

    def _has_moved(self):
        return (self.program.epoch, self.program.batch) != self.saved

    def finish(self):
        """Saves what is not saved yet. Raises RunError as `note` does."""
        self.wait()
        if self._has_moved():
            self.save()
            self.wait()

    def close(self):
        """Ends the thread after the save in progress, whose failure is not told. No save can follow."""
        try:
            self.beside.shutdown()
        finally:
            self.beside.shutdown()  # waits again if it was interrupted: the files must stay open

    def save(self):
        """Begins to commit everything up to this step. Until `wait`, nothing may be recorded. Raises RunError if the
        save before it failed, or if the run directory was moved away or replaced."""
        self.wait()
        self.saving = self.beside.submit(self._commit, *self._written())

    def _written(self):
        """(path of the unfinished checkpoint of this step, the step's position)."""
        run_directory.check_lock(self.path, self.lock)
        program, directory, position = self.program, self.path / "checkpoints", (self.program.epoch, self.program.batch)
        best_saver = program.best_saver if program.plan.keeps_best and program.best_epoch else None
        return checkpoint.write(directory, program.session, program.saver, position, best_saver), position

    def _commit(self, written, position):
        checkpoint.commit(written, position, self.description.fingerprint, self._recorded)
        run_directory.check_lock(self.path, self.lock)
        checkpoint.prune(written.parent, self.session.keep)
        return position

    def _recorded(self):
        """{file: [length, sha256]} of history and events, which are on disk, in the run's own directory."""
        committed = self.record.commit()
        run_directory.check_lock(self.path, self.lock)
        return committed

    def wait(self):
        """Waits for the save in progress. Raises RunError if it failed."""
        if not self.saving:
            return
        try:
            self.saved, self.saved_at = self.saving.result(), time.monotonic()
        except RunError:
            self.saving = None
            run_directory.check_lock(self.path, self.lock)  # the likely reason
            raise
        self.saving = None


def _leading_finite(metrics, count):
    """How many of the first `count` epochs have finite metrics, before the first that does not."""
    finite = np.all(np.isfinite(list(metrics.values())), axis=0)[:count]
    return count if finite.all() else int(np.argmin(finite))
