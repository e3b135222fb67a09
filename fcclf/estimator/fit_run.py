"""A fit kept as a run directory: what it writes down on its way, and where the next call goes on.

The directory holds what that of any run does: config.json, checkpoints/, history.csv, train/ and, with early stopping,
validation/. The samples are not kept, only their fingerprint: who goes on with a fit brings them again.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcclf.data.loading import fingerprint
from fcclf.errors import ConfigError
from fcclf.estimator.fit_loop import metric_names
from fcclf.estimator.program import Fitter, Stretch
from fcclf.runs import checkpoint, dashboard, history, run_directory
from fcclf.runs.record import Record, recover
from fcclf.settings.config import Session
from fcclf.settings.fit_config import FitConfig

SESSION = Session()  # the command line's defaults serve here too


def facts(arrays, n_features: int, n_classes: int) -> dict:
    """What a run notes of its data. arrays: those of the training and of the validation samples."""
    return {"fingerprint": fingerprint(arrays), "n_features": n_features, "n_classes": n_classes}


def stored(path: Path) -> FitConfig | None:
    """The settings of the fit in `path`, None if there is none. Raises RunError if they cannot be read."""
    config = run_directory.read(path).config if (path / "config.json").exists() else None
    return config if isinstance(config, FitConfig) else None


def past(path: Path, epochs: int, config: FitConfig) -> Stretch:
    """The first `epochs` of the history of the run in `path`. Raises RunError if it lacks one."""
    columns = history.read_until(path, epochs)
    names = metric_names(config.parameters["early_stopping"])
    metrics = {name: np.float32(columns.get(name, ())) for name in names}
    return Stretch(metrics, stopped=history.early_stopping(metrics, config)[1])


@contextlib.contextmanager
def opened(path: Path, config: FitConfig, data: dict, fitter: Fitter, warn) -> Iterator["FitRun"]:
    """The run in directory `path`, locked inside the block; `fitter`, which has begun, gets its newest state.

    data: what `facts` gave. warn(sentence): told of damage that was mended.
    Raises ConfigError if the run there has other settings or samples, or more epochs than `config` asks for, RunError
    if it cannot go on.
    """
    with run_directory.claimed(path), contextlib.ExitStack() as files:
        if stored(path):
            _check_epochs(path, config)
        description = run_directory.describe(path, config, data, warn)
        start = checkpoint.newest_sound(path / "checkpoints", description.fingerprint, warn)
        epoch, committed = (start.epoch, start.committed) if start else (0, {})
        metrics = metric_names(config.parameters["early_stopping"])
        committed = recover(path, epoch, committed, metrics, warn)
        if start:
            fitter.restore(start)
        run = FitRun(path, description, fitter, past(path, epoch, config))
        if not run.past.stopped and epoch < config.epochs:  # a fit that is finished writes nothing
            run.begin(files.enter_context(Record(path, committed, epoch + 1, metrics)))
        yield run


def _check_epochs(path, config):
    """Refuses to take a longer fit for the shorter one that is asked for."""
    done = max((checkpoint.position(each)[0] for each in checkpoint.committed_paths(path / "checkpoints")), default=0)
    if done > config.epochs:
        raise ConfigError(
            "max_iter",
            f"is {config.epochs}, but {path} has {done} epochs already: set it to {done} or more, or {config.remedy}",
        )


class FitRun:
    """The open run of a fit. past: what earlier calls trained."""

    def __init__(self, path, description, fitter: Fitter, past: Stretch):
        self.path, self.description, self.fitter, self.past = path, description, fitter, past
        self.epoch = self.saved_epoch = past.epochs
        self.began = self.saved_at = time.monotonic()

    def begin(self, record: Record):
        """Opens it for writing; of a new one, writes down what is there before the first epoch."""
        self.record = record
        if not self.epoch:
            record.graph(dashboard.graph_picture(self.fitter.session.graph))
            record.summary("", 0, dashboard.about(self.description, self.path.name))
            self._note_weights(self.fitter.values())

    @property
    def to_next_histogram(self) -> int:
        """Epochs; a stretch may not be longer."""
        return SESSION.histogram_every - self.epoch % SESSION.histogram_every

    def note(self, stretch: Stretch):
        """Writes down what was trained since the last call; saves when it is time.

        Raises ValueError if a weight is no number: the last good checkpoint stays.
        """
        values = self.fitter.finite_values()
        now = time.monotonic()
        self.record.epochs(self.epoch + 1, stretch.metrics, (now - self.began) / stretch.epochs)
        self.epoch, self.began = self.epoch + stretch.epochs, now
        if self.to_next_histogram == SESSION.histogram_every:
            self._note_weights(values)
        if now - self.saved_at > SESSION.checkpoint_seconds:
            self.save()

    def save(self):
        """Commits everything up to here, if there is anything new."""
        if self.epoch == self.saved_epoch:
            return
        directory, fingerprint = self.path / "checkpoints", self.description.fingerprint
        committed = self.record.commit()
        checkpoint.save(directory, self.fitter.session, self.fitter.saver, (self.epoch, 0), fingerprint, committed)
        checkpoint.prune(directory, SESSION.keep)
        self.saved_epoch, self.saved_at = self.epoch, time.monotonic()

    def _note_weights(self, values):
        histograms = dashboard.histograms({name: values[name] for name in self.fitter.network_names})
        self.record.summary("train", self.epoch, histograms)
