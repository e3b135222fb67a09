"""Runs at a glance: how far they have come, how good they are, and in which settings they differ.

Read from config.json, history.csv and the manifests of the checkpoints alone, without TensorFlow and without a lock.
Nothing is verified: `fcclf verify` does that.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.errors import RunError
from fcclf.learning.rules import standing
from fcclf.runs import history, run_directory
from fcclf.settings.run_config import RunConfig
from fcclf.system import durable

MEASURES = ("_loss", "_total", "_accuracy", "_r2")  # names that end so are shown with four decimals
FINISHED, UNFINISHED, TRAINING, DAMAGED = "finished", "unfinished", "being trained", "damaged"


class Overview(NamedTuple):
    """One run. epochs: those committed; best_epoch: with early stopping, the one whose weights count.

    metrics: {name: value} after the epoch whose weights count, empty before the first. columns: the history up to
    `epochs`. A damaged run has only path, state and problem, a sentence.
    """

    path: Path
    state: str
    problem: str | None = None
    config: RunConfig | None = None
    epochs: int = 0
    best_epoch: int | None = None
    metrics: dict[str, float] | None = None
    columns: dict[str, np.ndarray] | None = None


def find(logdir: Path) -> list[Overview]:
    """Every run in a log directory, by name. Raises RunError if it cannot be read."""
    if not logdir.is_dir():
        raise RunError(f"{logdir} is not a directory: name the one that runs are kept in.")
    with durable.explained("read", logdir):
        members = sorted(logdir.iterdir())
    return [_read_or_problem(path) for path in members if os.path.lexists(path / "config.json")]


def read(path: Path) -> Overview:
    """The run in `path`. Raises RunError if there is none or it is damaged."""
    config, epochs = run_directory.read(path).config, _epochs_committed(path)
    columns = history.read_until(path, epochs)
    best, stopped = standing(columns, config.stopping, config.dtype)
    state = FINISHED if stopped or epochs >= config.epochs else UNFINISHED
    counts = (best or epochs) - 1  # the row of the epoch whose weights count
    shown = [name for name in config.highlights if name in columns]
    metrics = {name: float(columns[name][counts]) for name in shown} if epochs else {}
    if run_directory.in_use(path):
        state = TRAINING
    return Overview(path, state, None, config, epochs, best, metrics, columns)


def _read_or_problem(path):
    try:
        return read(path)
    except RunError as error:
        return Overview(path, DAMAGED, problem=str(error))


def _epochs_committed(path):
    """Whole epochs in the newest checkpoint; 0 without one."""
    manifests = (path / "checkpoints").glob("epoch-*/manifest.json")
    try:
        positions = [durable.read_sealed(file, lambda manifest: manifest["epoch"]) for file in manifests]
    except FileNotFoundError:  # pruned by the writer while we looked
        return _epochs_committed(path)
    except (ValueError, OSError) as error:
        raise RunError(f"a checkpoint of {path} cannot be read ({error}): see fcclf verify.") from error
    return max(positions, default=0)


# ---- tables ----------------------------------------------------------------------------------------------------------


def listing(runs: list[Overview]) -> list[dict]:
    """A row for each run: name, data, epochs done and asked for, test scores and state."""
    scores = ["test_accuracy", *(["test_r2"] if any("test_r2" in (run.metrics or {}) for run in runs) else [])]
    return [
        {
            "run": run.path.name,
            "data": run.config.source if run.config else None,
            "epochs": run.epochs if run.config else None,
            "of": run.config.epochs if run.config else None,
            **{score: (run.metrics or {}).get(score) for score in scores},
            "state": run.state,
        }
        for run in runs
    ]


def comparison(runs: list[Overview]) -> list[dict]:
    """A row for each run: epochs, metrics, best epoch and every setting in which some of the runs differ."""
    identities = [run.config.for_display() for run in runs]
    settings = dict.fromkeys(key for identity in identities for key in identity)
    differing = [key for key in settings if len({repr(identity.get(key)) for identity in identities}) > 1]
    measured = dict.fromkeys(name for run in runs for name in run.config.highlights if name in run.metrics)
    return [
        {"run": name, "epochs": run.epochs}
        | {key: run.metrics.get(key) for key in measured}
        | {"best_epoch": run.best_epoch}
        | {key: identity.get(key) for key in differing}
        for name, run, identity in zip(names(runs), runs, identities, strict=True)
    ]


def names(runs: list[Overview]) -> list[str]:
    """The names of the runs' directories, or their whole paths if two have the same name."""
    short = [run.path.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.path) for run in runs]


def table(rows: list[dict]) -> str:
    """Rows with the same keys as aligned text under a heading, numbers aligned to the right."""
    heading = [[key.replace("_", " ") for key in rows[0]]]
    cells = heading + [[_cell(*item) for item in row.items()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = [any(isinstance(row[key], str) for row in rows) for key in rows[0]]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in cells
    )


def _cell(key, value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if key.endswith(MEASURES) else f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
