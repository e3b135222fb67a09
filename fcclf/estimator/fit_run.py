"""A fit kept as a run directory, from which the next call resumes.

The samples are not stored, only their fingerprint: the call that resumes a fit must be given the same ones.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fcclf.data.facts import Facts
from fcclf.data.schema import Schema
from fcclf.errors import ConfigError
from fcclf.learning.program import Program
from fcclf.runs import checkpoint, history, recorder, run_directory
from fcclf.runs.recorder import Recorder
from fcclf.runs.run_directory import Description
from fcclf.settings.config import Session
from fcclf.settings.fit_config import FitConfig

SESSION = Session(checkpoint_every=0, image_every=0)  # saved by time and at the end; the other defaults serve here too


def begun(path: Path) -> Description | None:
    """The `Description` of the fit in `path`, None if there is none. Raises RunError if it cannot be read."""
    found = run_directory.read(path) if (path / "config.json").exists() else None
    return found if found and isinstance(found.config, FitConfig) else None


def earlier_metrics(path: Path, epochs: int, dtype: str) -> dict[str, list[float]]:
    """{metric: values} of the first `epochs` of the run in `path`, as numbers of `dtype`. Raises RunError if an epoch
    is missing."""
    columns = history.read_until(path, epochs)
    others = (history.FIRST, history.LAST)
    return {name: values.astype(dtype).tolist() for name, values in columns.items() if name not in others}


@contextlib.contextmanager
def opened(
    path: Path, config: FitConfig, data: Facts, schema: Schema, program: Program, samples, warn
) -> Iterator[tuple]:
    """The run in directory `path`, locked inside the block; `program`, which has begun, gets its newest state.

    samples: [samples, features], whose activations are recorded. warn(sentence): called for damage that was repaired.
    Yields (a `Recorder`, or None where nothing is left to train; the earlier metrics).
    Raises ConfigError if the run there has other settings or samples, or more epochs than `config` asks for, RunError
    if it cannot be resumed.
    """
    with run_directory.claimed(path), contextlib.ExitStack() as files:
        if begun(path):
            _check_epochs(path, config)
        run = recorder.continued(path, config, data, schema, program.plan, warn)
        if run.start:
            run.restore(program)
        earlier = earlier_metrics(path, run.epoch, config.dtype)
        if program.stopped or program.epoch >= config.epochs:  # a fit that is finished writes nothing
            yield None, earlier
            return
        record = files.enter_context(run.record(program.plan.metrics))
        written = Recorder(run, program, record, SESSION, samples)
        if not run.start:
            written.begin()
        yield written, earlier


def _check_epochs(path, config):
    """Raises ConfigError if the fit has more epochs already than are asked for."""
    done = max((checkpoint.position(each)[0] for each in checkpoint.committed_paths(path / "checkpoints")), default=0)
    if done > config.epochs:
        raise ConfigError(
            "max_iter",
            f"is {config.epochs}, but {path} has {done} epochs already: set it to {done} or more, or {config.remedy}",
        )
