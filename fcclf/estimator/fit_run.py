"""A fit kept as a run directory: what it writes down on its way, and where the next call goes on.

The directory holds what that of any run does: config.json, checkpoints/, history.csv, train/ and, with early stopping,
validation/. The samples are not kept, only their fingerprint: who goes on with a fit brings them again.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcclf import checkpoint, dashboard, history, record, run_directory
from fcclf.config import Session
from fcclf.estimator.fit_loop import metric_names
from fcclf.estimator.program import Fitter, Stretch
from fcclf.fit_config import FitConfig

SESSION = Session()  # the command line's defaults serve here too


def facts(arrays, n_features: int, n_classes: int) -> dict:
    """What a run notes of its data. arrays: those of the training and of the validation samples."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return {"fingerprint": digest.hexdigest(), "n_features": n_features, "n_classes": n_classes}


def stored_seed(path: Path) -> int | None:
    """That of the fit in `path`, None if there is none. Raises RunError if it cannot be read."""
    if not (path / "config.json").exists():
        return None
    config = run_directory.read(path).config
    return config.seed if isinstance(config, FitConfig) else None


def past(path: Path, epochs: int, config: FitConfig) -> Stretch:
    """The first `epochs` of the history of the run in `path`."""
    names = metric_names(config.parameters["early_stopping"])
    columns = history.read(path) if epochs else {}
    metrics = {name: columns.get(name, np.empty(0))[:epochs].astype(np.float32) for name in names}
    return Stretch(metrics, stopped=history.early_stopping(metrics, config)[1])


@contextlib.contextmanager
def opened(path: Path, config: FitConfig, data: dict, fitter: Fitter, warn) -> Iterator["FitRun"]:
    """The run in directory `path`, locked inside the block; `fitter`, which has begun, gets its newest state.

    data: what `facts` gave. warn(sentence): told of damage that was mended.
    Raises ConfigError if the run there has other settings or samples, RunError if it cannot go on.
    """
    with run_directory.claimed(path), contextlib.ExitStack() as files:
        description = run_directory.describe(path, config, data, warn)
        start = checkpoint.newest_sound(path / "checkpoints", description.fingerprint, warn)
        epoch, committed = (start.epoch, start.committed) if start else (0, {})
        metrics = metric_names(config.parameters["early_stopping"])
        committed = record.recover(path, epoch, committed, metrics, warn)
        if start:
            fitter.restore(start)
        yield FitRun(path, description, fitter, past(path, epoch, config), committed, files)


class FitRun:
    """The open run of a fit. past: what earlier calls trained. files: an ExitStack that closes what is opened."""

    def __init__(self, path, description, fitter: Fitter, past: Stretch, committed, files):
        self.path, self.description, self.fitter, self.past = path, description, fitter, past
        self.committed, self.files, self.record = committed, files, None
        self.epoch = self.saved_epoch = past.epochs
        self.began = self.saved_at = time.monotonic()

    def note(self, stretch: Stretch):
        """Writes down what was trained since the last call; saves when it is time.

        Raises ValueError if a weight is no number: the last good checkpoint stays.
        """
        values = self.fitter.finite_values()
        if self.record is None:  # a fit that was finished already writes nothing
            self._open(tuple(stretch.metrics))
        now = time.monotonic()
        self.record.epochs(self.epoch + 1, stretch.metrics, (now - self.began) / stretch.epochs)
        self.epoch, self.began = self.epoch + stretch.epochs, now
        self.record.summary(
            "train", self.epoch, dashboard.histograms({name: values[name] for name in self.fitter.network_names})
        )
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

    def _open(self, metrics):
        self.record = record.Record(self.path, self.committed, self.epoch + 1, metrics)
        self.files.enter_context(self.record)
        if not self.epoch:
            self.record.graph(dashboard.graph_picture(self.fitter.session.graph))
            self.record.summary("", 0, dashboard.about(self.description, self.path.name))
