"""history.csv: one row for each finished epoch.

Rows are appended as chunks of epochs end. A checkpoint notes the file's length once it is on disk, and a resumed run
cuts the file back to the length that its checkpoint notes. Numbers read back as the same floats.
"""

import os
from pathlib import Path

import numpy as np

from fcclf.errors import RunError
from fcclf.system import durable

FILE = "history.csv"
FIRST, LAST = "epoch", "seconds"  # columns; seconds: wall-clock time of the epoch, the one that varies


class History:
    """The open history file of a run that is being trained. metrics: names of the columns between epoch and seconds. A
    file with other columns keeps them, such as that of a run that an older release began."""

    def __init__(self, run_path: Path, metrics: tuple[str, ...]):
        self.path = run_path / FILE
        self.metrics = _heading(self.path) or metrics
        with durable.explained("write", self.path):
            self.file = open(  # noqa: SIM115 - closed by close()
                self.path, "a", encoding="ascii", newline="", opener=durable.open_no_link
            )
            durable.sync(run_path)
            if not self.file.tell():
                self.file.write(",".join([FIRST, *metrics, LAST]) + "\n")

    def append(self, first_epoch: int, metrics, seconds: float):
        """Appends rows for the epochs from `first_epoch` on. metrics: {name: float32 or float64 array}."""
        with durable.explained("write", self.path):
            columns = (metrics[name] for name in self.metrics)
            for epoch, row in enumerate(zip(*columns, strict=True), start=first_epoch):
                self.file.write(f"{epoch},{','.join(map(str, row))},{seconds:.6f}\n")

    def flush(self):
        """Writes all buffered rows to the file."""
        with durable.explained("write", self.path):
            self.file.flush()

    def commit(self) -> int:
        """Writes every row to disk, with an fsync; returns the file's length in bytes."""
        self.flush()
        with durable.explained("write", self.path):
            os.fsync(self.file.fileno())
            return self.file.tell()

    def close(self):
        """Closes the file."""
        with durable.explained("write", self.path):
            self.file.close()


def _heading(path):
    """The columns between the first and the last; () if there is no file yet."""
    with durable.explained("read", path):
        if not path.exists():
            return ()
        with open(path, encoding="ascii") as file:
            return tuple(file.readline().rstrip("\n").split(","))[1:-1]


def rewrite(run_path: Path, epochs: int, columns: dict[str, dict[int, float]]):
    """Writes the whole file from {metric: {epoch: value}}, without times. Raises RunError if a value is missing."""
    lines = [",".join([FIRST, *columns, LAST])]
    for epoch in range(1, epochs + 1):
        if not all(epoch in values for values in columns.values()):
            raise RunError(f"{run_path / FILE} is damaged, and epoch {epoch} is not in the events: restore a copy.")
        lines.append(",".join([str(epoch), *(str(np.float32(values[epoch])) for values in columns.values()), "nan"]))
    durable.replace_file(run_path / FILE, "\n".join(lines) + "\n")


def read(run_path: Path) -> dict[str, np.ndarray]:
    """{column: values} of a run's history; epoch is int64, the others float64. An incomplete last line is left out.

    Raises RunError if the file cannot be read or is not a history.
    """
    path = run_path / FILE
    try:
        with durable.explained("read", path), open(path, encoding="ascii", newline="") as file:
            heading, *rows = [line for line in file if line.endswith("\n")] or [FIRST]
        names = heading.strip().split(",")
        values = np.loadtxt(rows, delimiter=",", ndmin=2) if rows else np.empty((0, len(names)))
        if names[0] != FIRST or values.shape[1] != len(names):
            raise ValueError(f"{values.shape[1]} columns under the heading {heading.strip()[:60]!r}")
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): train the run again, which mends it.") from error
    columns = dict(zip(names, values.T, strict=True))
    return {**columns, FIRST: columns[FIRST].astype(np.int64)}


def read_until(run_path: Path, epochs: int) -> dict[str, np.ndarray]:
    """The first `epochs` rows of `read`; {} if `epochs` is 0. Raises RunError if one is missing."""
    columns = {name: values[:epochs] for name, values in read(run_path).items()} if epochs else {}
    if epochs and len(columns[FIRST]) < epochs:
        raise RunError(f"{run_path / FILE} lacks epochs before {epochs}: train the run again, which mends it.")
    return columns
