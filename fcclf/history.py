"""history.csv: one row for each finished epoch.

Rows are appended as chunks of epochs end. A checkpoint notes the file's length once it is on disk, and a resumed run
cuts the file back to the length that its checkpoint notes. Numbers read back as the same float32.
"""

import csv
import os
from pathlib import Path

import numpy as np

from fcclf import durable
from fcclf.errors import RunError

FILE = "history.csv"
METRICS = ("train_loss", "train_accuracy", "penalty", "test_loss", "test_accuracy")
COLUMNS = ("epoch", *METRICS, "seconds")  # seconds: wall-clock time of the epoch, the one column that varies


class History:
    """The open history file of a run that is being trained."""

    def __init__(self, run_path: Path):
        self.path = run_path / FILE
        with durable.explained("write", self.path):
            self.file = open(self.path, "a", encoding="ascii", newline="")  # noqa: SIM115 - closed by close()
            durable.sync(run_path)
            if not self.file.tell():
                self.file.write(",".join(COLUMNS) + "\n")

    def append(self, first_epoch: int, metrics, seconds: float):
        """Rows for the epochs from `first_epoch` on. metrics: one float32 array for each of METRICS."""
        with durable.explained("write", self.path):
            for number, row in enumerate(zip(*metrics, strict=True)):
                values = [str(np.float32(value)) for value in row]
                self.file.write(",".join([str(first_epoch + number), *values, f"{seconds:.6f}"]) + "\n")

    def commit(self) -> int:
        """Brings every row to the disk; the file's length in bytes."""
        with durable.explained("write", self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            return self.file.tell()

    def close(self):
        with durable.explained("write", self.path):
            self.file.close()


def rewrite(run_path: Path, epochs: int, columns: dict[str, dict[int, float]]):
    """Writes the file anew from {metric: {epoch: value}}, without times. Raises RunError if a value is missing."""
    lines = [",".join(COLUMNS)]
    for epoch in range(1, epochs + 1):
        if not all(epoch in columns[metric] for metric in METRICS):
            raise RunError(f"{run_path / FILE} is damaged, and epoch {epoch} is not in the events: restore a copy.")
        lines.append(",".join([str(epoch), *(str(np.float32(columns[metric][epoch])) for metric in METRICS), "nan"]))
    durable.replace_file(run_path / FILE, "\n".join(lines) + "\n")


def read(run_path: Path) -> dict[str, np.ndarray]:
    """{column: values} of a run's history; epoch is int64, the others float64. A torn last line is left out."""
    with durable.explained("read", run_path / FILE), open(run_path / FILE, encoding="ascii", newline="") as file:
        whole_lines = [line for line in file if line.endswith("\n")]
    rows = list(csv.DictReader(whole_lines))
    columns = {column: np.array([float(row[column]) for row in rows]) for column in COLUMNS}
    return {**columns, "epoch": columns["epoch"].astype(np.int64)}
