"""What a run records epoch by epoch: history.csv and the event files, kept in step with the checkpoints.

A checkpoint notes the length and sha256 of these files. Before a run resumes they are cut back to those lengths, and
event files begun later are deleted, so that they hold every epoch exactly once, however the run was stopped. The
history and the event files hold the same numbers: if one is damaged, it is rewritten from the other.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np

from fcclf.errors import RunError
from fcclf.runs import events, history, run_directory
from fcclf.system import durable

CURVES = {  # directory: {tag: column of the history, or of what `_with_derived` adds to it}
    "": {},
    "train": {
        "loss": "train_loss",
        "loss/penalty": "penalty",
        "loss/total": "train_total",
        "accuracy": "train_accuracy",
        "r2": "train_r2",
        "training/learning_rate": "learning_rate",
        "training/gradient_norm": "gradient_norm",
        "training/epochs_without_improvement": "wait",
        "training/epochs_per_second": "epochs_per_second",
    },
    "validation": {"loss": "validation_loss", "accuracy": "validation_accuracy", "r2": "validation_r2"},
    "test": {"loss": "test_loss", "loss/total": "test_total", "accuracy": "test_accuracy", "r2": "test_r2"},
}


class Record:
    """The open files of a run being trained. close(): closes them.

    path: the run directory. committed: {file: [length, sha256]}, what `recover` returned.
    next_epoch: the first epoch (from 1) that will be written. metrics: names of an epoch's metrics.
    """

    def __init__(self, path: Path, committed: dict[str, list], next_epoch: int, metrics: tuple[str, ...]):
        self.path, self.committed = path, dict(committed)
        attempt = events.next_attempt(path)
        with contextlib.ExitStack() as opened:  # closes what is open if the next one fails
            self.history, self.logs = opened.enter_context(contextlib.closing(history.History(path, metrics))), {}
            for name in _directories(metrics):
                log = events.EventLog(path / name, attempt, next_epoch)
                self.logs[name] = opened.enter_context(contextlib.closing(log))
            self.close = opened.pop_all().close
        self.tallies = [_Tally(file) for file in (self.history, *self.logs.values())]

    def epochs(self, first_epoch: int, metrics, seconds: float):
        """Writes the epochs from `first_epoch` on. metrics: {name: values}; seconds: what each of them took."""
        self.history.append(first_epoch, metrics, seconds)
        times = np.full(len(next(iter(metrics.values()))), seconds)
        columns = _with_derived({**metrics, history.LAST: times})
        for name, log in self.logs.items():
            log.curves(first_epoch, _tagged(name, columns))

    def graph(self, definition):
        """Writes the graph of a run for TensorBoard. definition: a GraphDef."""
        self.logs["train"].graph(definition)

    def summary(self, directory: str, epoch: int, serialized: bytes):
        """Writes a Summary of the state after `epoch` epochs. directory: one of `events.DIRECTORIES`."""
        self.logs[directory].summary(epoch, serialized)

    def flush(self):
        """Writes all buffers to the files, so that closing writes nothing, perhaps into a file that another writer has
        by then."""
        for file in (self.history, *self.logs.values()):
            file.flush()

    def commit(self) -> dict[str, list]:
        """Writes everything to disk, with an fsync; returns {file: [length, sha256]}, event files of earlier attempts
        included."""
        for tally in self.tallies:
            self.committed[str(tally.file.path.relative_to(self.path))] = tally.commit()
        return self.committed


def _directories(metrics):
    """The directories of CURVES that a run with these metrics has."""
    return [name for name, tags in CURVES.items() if not tags or set(tags.values()) & set(metrics)]


def _with_derived(columns):
    """Columns of the history, and those derived from them."""
    total = {"test_total": columns["test_loss"] + columns["penalty"]} if "test_loss" in columns else {}
    return {**columns, **total, "epochs_per_second": 1 / columns[history.LAST]}


def _tagged(name, columns):
    """{tag: values} of directory `name`; a fit, or a run of an older release, may lack a column."""
    return {tag: columns[column] for tag, column in CURVES[name].items() if column in columns}


class _Tally:
    """Length and sha256 of a growing file, updated from its new bytes alone. file: an object with `path` and
    `commit()`."""

    def __init__(self, file):
        self.file, self.length, self.digest = file, 0, hashlib.sha256()

    def commit(self):
        """Commits the file and returns its [length, sha256]."""
        self.file.commit()
        with durable.explained("read", self.file.path), open(self.file.path, "rb") as file:
            file.seek(self.length)
            new = file.read()
        self.length += len(new)
        self.digest.update(new)
        return [self.length, self.digest.hexdigest()]


# ---- resuming after a stop -------------------------------------------------------------------------------------------


def recover(path: Path, epoch: int, committed: dict[str, list], metrics: tuple[str, ...], say) -> dict[str, list]:
    """Restores the files to what they were when `epoch` epochs were committed; returns their new `committed`.

    Damaged and missing files are repaired, each with a sentence to `say`; the caller notes the new measures in the
    checkpoint. Raises RunError if the damage cannot be repaired.
    """
    damaged = unlike(path, committed)
    if history.FILE in damaged and any(os.path.dirname(file) for file in damaged):
        raise RunError(
            f"{path}: {' and '.join(damaged)} are damaged: restore them from a copy, or move the run aside and start "
            "over."
        )
    _cut_back(path, committed)
    if damaged:
        _repair(path, epoch, damaged, _newest_attempt(committed), metrics, say)
    kept = [path / history.FILE, *events.event_files(path)] if committed else []
    return {str(file.relative_to(path)): durable.measure(file) for file in kept}


def unlike(path: Path, committed: dict[str, list]) -> list[str]:
    """The files that are missing, or whose beginning differs from what was committed."""
    return [file for file, measured in committed.items() if durable.measure(path / file, measured[0]) != measured]


def check_new(path: Path, remedy: str):
    """Raises RunError if a run without a checkpoint had one before: what remains of it must not be deleted.

    remedy: what to do other than restoring a copy, a clause. A run makes checkpoints/ before history and events, and
    saves before its first epoch; it is evaluated and drawn from a checkpoint.
    """
    evaluated, recorded = [run_directory.METRICS, "figures"], [history.FILE, *filter(None, events.DIRECTORIES)]
    if (path / "checkpoints").is_dir():
        lost = _has(path, evaluated) or _holds_an_epoch(path)
    else:
        lost = _has(path, evaluated + recorded) or events.event_files(path)
    if lost:
        raise RunError(f"{path} has no checkpoint any more: restore {path / 'checkpoints'} from a copy, {remedy}")


def _has(path, names):
    return any((path / name).exists() for name in names)


def _holds_an_epoch(path):
    """Whether the history has more than its heading, or the events more than the state before the first epoch."""
    file = path / history.FILE
    with durable.explained("read", file):
        if file.exists() and file.read_bytes().count(b"\n") > 1:
            return True
    return any(step for name in events.DIRECTORIES for step, _ in events.read_values(path / name))


def _newest_attempt(committed):
    return max((events.attempt_of(Path(file)) for file in committed if file != history.FILE), default=0)


def _cut_back(path, committed):
    newest = _newest_attempt(committed)
    for file in events.event_files(path):
        if events.attempt_of(file) <= newest and str(file.relative_to(path)) not in committed:
            raise RunError(f"{file} is older than the last checkpoint, which does not know it: move it out of the run.")
    for file in [path / history.FILE, *events.event_files(path)]:
        length, _ = committed.get(str(file.relative_to(path)), (None, None))
        with durable.explained("cut back", file):
            if length is None:
                file.unlink(missing_ok=True)
            elif file.exists() and file.stat().st_size > length:
                durable.truncate(file, length)


def _repair(path, epoch, damaged, attempt, metrics, say):
    logs = {os.path.dirname(file) for file in damaged if file != history.FILE}
    if history.FILE in damaged:
        found = {}
        for name in _directories(metrics):
            curves = events.read_curves(path / name)
            found |= {column: curves.get(tag, {}) for tag, column in CURVES[name].items()}
        history.rewrite(path, epoch, {column: found[column] for column in metrics})
        say(f"{path / history.FILE} was damaged: it was rewritten from the event files, without wall-clock times")
    for name in logs:
        columns = {column: values.astype(np.float32) for column, values in history.read(path).items()}
        events.rewrite(path, name, attempt, _tagged(name, _with_derived(columns)))
        say(f"{path / name} was damaged: its curves were rewritten from history.csv; all else in it is lost")
