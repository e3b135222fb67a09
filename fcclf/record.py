"""What a run writes down epoch by epoch: history.csv and the event files, kept in step with the checkpoints.

A checkpoint notes how long these files were. Opening the record of a resumed run cuts them back to those lengths and
deletes event files begun later, so that every epoch stands in them exactly once, however the run was stopped.
"""

import contextlib
import os
from pathlib import Path

from fcclf import durable
from fcclf.errors import RunError
from fcclf.history import FILE as HISTORY
from fcclf.history import History
from fcclf.summaries import DIRECTORIES, EventLog, event_files, next_attempt


class Record(contextlib.ExitStack):
    """The open files of a run being trained; a context manager that closes them.

    path: the run directory. committed: {file: length} of the checkpoint the run goes on from, {} at the very start.
    next_epoch: the first epoch (from 1) that will be written.
    """

    def __init__(self, path: Path, committed: dict[str, int], next_epoch: int):
        super().__init__()
        self.path, self.committed = path, dict(committed)
        attempt = next_attempt(path)
        cut_back(path, committed)
        self.history = History(path)
        self.callback(self.history.close)
        self.logs = {name: EventLog(path / name, attempt, next_epoch) for name in DIRECTORIES}
        for log in self.logs.values():
            self.callback(log.close)

    def epochs(self, first_epoch: int, metrics, seconds: float):
        """Writes the epochs from `first_epoch` on; metrics: a graph.EpochMetrics; seconds: what each of them took."""
        self.history.append(first_epoch, metrics, seconds)
        train, test = self.logs["train"], self.logs["test"]
        train.curves(
            first_epoch, {"loss": metrics.train_loss, "accuracy": metrics.train_accuracy, "penalty": metrics.penalty}
        )
        test.curves(first_epoch, {"loss": metrics.test_loss, "accuracy": metrics.test_accuracy})

    def graph(self, graph):
        """Writes a tf.Graph."""
        self.logs["train"].graph(graph)

    def summary(self, epoch: int, serialized: bytes):
        """Writes a Summary that the graph made after `epoch` epochs."""
        self.logs["train"].summary(epoch, serialized)

    def commit(self) -> dict[str, int]:
        """Brings everything to the disk; {file: length} of every file of the record, earlier attempts' included."""
        for file in (self.history, *self.logs.values()):
            self.committed[str(file.path.relative_to(self.path))] = file.commit()
        return self.committed


def cut_back(path: Path, committed: dict[str, int]):
    """Cuts the record's files back to the committed lengths and deletes those begun later."""
    for file, length in committed.items():
        if not (path / file).is_file() or (path / file).stat().st_size < length:
            raise RunError(f"{path / file} is shorter than it was at the last checkpoint: restore it from a copy.")
    for file in [path / HISTORY, *event_files(path)]:
        length = committed.get(str(file.relative_to(path)))
        with durable.explained("cut back", file):
            if length is None:
                file.unlink(missing_ok=True)
            else:
                os.truncate(file, length)
