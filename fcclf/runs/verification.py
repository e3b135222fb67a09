"""Checks whether a run directory is sound, and whether training again leads to its newest checkpoint.

`check` changes nothing. It reads config.json and the data it describes; every file of every checkpoint, and whether the
variables are finite; history and event files, up to where the newest checkpoint committed them; and metrics.json. It
does not check figures, other programs' files, and TensorFlow's pointer, which is never trusted.

`replay` trains again in memory, from the checkpoint before the newest, or from the beginning if there is none, and
compares bit for bit. It uses the device that the run was trained on last, if that is available.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcclf.data import loading
from fcclf.errors import RunError
from fcclf.learning.predictor import sees_gpu, sessions_own_threads
from fcclf.learning.program import borrowed
from fcclf.learning.stretches import stretches
from fcclf.runs import checkpoint, history, record, recorder, run_directory, training
from fcclf.runs.checkpoint import Checkpoint
from fcclf.runs.run_directory import Description
from fcclf.settings.run_config import CPU
from fcclf.system import durable


def check(path: Path) -> Iterator[str]:
    """Yields a sentence for each thing that is wrong with the run in `path`. Raises RunError if it is not a run."""
    description = run_directory.read(path)
    config = description.config
    if config.loadable and loading.load(config).facts != description.data:
        yield f"{path / 'config.json'}: the data it describes are not those the run was trained on."
    checkpoints = checkpoint.committed_paths(path / "checkpoints")
    if not checkpoints:
        yield f"{path} has no checkpoint."
    for each in checkpoints:
        try:
            found = checkpoint.verified(each, description.fingerprint)
        except RunError as damage:
            yield str(damage)
        else:
            yield from _check_values(found)
            if each == checkpoints[-1]:
                yield from _check_record(path, found)
                yield from _check_metrics(path, found, description.fingerprint)


def _check_values(found):
    variables = checkpoint.values(found)
    for name, values in variables.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            yield f"{found.path}: {name} is not finite."
    epoch = variables.get("state/epoch", found.epoch)  # a fit does not count epochs
    if epoch != found.epoch:
        yield f"{found.path} holds epoch {epoch}."


def _check_record(path, found):
    damaged = record.unlike(path, found.committed)
    yield from (f"{path / file} is not as it was at the last checkpoint." for file in damaged)
    if history.FILE in found.committed and history.FILE not in damaged:
        epochs = history.read(path)["epoch"][: found.epoch]
        if not np.array_equal(epochs, np.arange(1, found.epoch + 1)):
            yield f"{path / history.FILE} does not have each epoch from 1 to {found.epoch} once."


def _check_metrics(path, found, fingerprint):
    """Yields a sentence if there is a metrics.json that is damaged, of another run or of a later epoch."""
    file = path / run_directory.METRICS
    try:
        epoch, of = durable.read_sealed(file, lambda metrics: (int(metrics["epoch"]), metrics["fingerprint"]))
        if of != fingerprint or epoch > found.epoch:
            raise ValueError("it is of another run or a later epoch")
    except FileNotFoundError:
        return
    except (ValueError, OSError) as error:
        yield f"{file} is no evaluation of this run ({error}): fcclf evaluate {path} writes it again."


def replay(path: Path, say=lambda sentence: None) -> str | None:
    """None if training again gives the newest checkpoint of the run in `path`; else a sentence on what differs first.

    Raises RunError if there is no sound checkpoint to compare with.
    """
    description = run_directory.read(path)
    run_directory.check_loadable(path, description)
    *before, newest = _two_newest(path, description)
    config = description.config
    dataset, device = loading.load(config), _device(description, say)
    planned = training.plan_on(config, dataset, description, device)
    with borrowed(training.program_for(planned), planned) as program:
        training.begin(program, config, dataset)
        if before:
            recorder.restore(before[0], program)
        stop = newest.epoch * program.plan.n_batches + newest.batch
        say(f"training again from {before[0].path.name if before else 'the beginning'} to {newest.path.name}")
        for _ in stretches(
            program,
            loading.parts(config, dataset),
            newest.epoch + 1,
            sampling=config.training.sampling,
            shuffle_window=config.training.shuffle_window,
            next_stop=lambda: stop,
            asked_to_stop=lambda: (program.epoch, program.batch) >= (newest.epoch, newest.batch),
        ):
            pass
        difference = _first_difference(program.values(), newest)
        return difference and f"{difference}{_reason(description, program.plan)}"


def _device(description, say):
    """The device that the run was trained on last; the CPU if that was a GPU and there is none."""
    *_, last = description.devices
    if last == CPU or sees_gpu():
        return last
    say("the run was trained on a GPU, but TensorFlow sees none here: it is replayed on the CPU, whose bits are others")
    return CPU


def _two_newest(path, description: Description) -> list[Checkpoint]:
    paths = checkpoint.committed_paths(path / "checkpoints")[-2:]
    if not paths:
        raise RunError(f"{path} has no checkpoint: let it train first.")
    return [checkpoint.verified(each, description.fingerprint) for each in paths]


def _reason(description, plan):
    """Why training again may legitimately give other bits, a sentence; empty if it may not."""
    changes = run_directory.changed(description, plan.threads if sessions_own_threads() else "shared", plan.device)
    if description.threads is None:
        changes.append(f"threads: not noted -> {plan.threads}")
    return f" It was trained elsewhere ({'; '.join(changes)}): not comparable bit for bit." if changes else ""


def _first_difference(values, newest):
    stored = checkpoint.values(newest)
    for name in sorted(values):
        if not np.array_equal(values[name], stored[name]):
            largest = np.abs(np.subtract(values[name], stored[name], dtype=np.float64)).max()
            return f"{name} differs from {newest.path.name}, by {largest:g} at most."
    return None
