"""The checkpoints of one run directory. What is on disk:

    checkpoints/epoch-000050/                         50 epochs are finished
    checkpoints/epoch-000050-batch-000012/            ... and 12 batches of the next one
        model.ckpt.index, model.ckpt.data-*           every variable of the graph, by tf.compat.v1.train.Saver
        best.ckpt.index, best.ckpt.data-*             with early stopping: the best epoch's weights alone, under the
                                                      network's own names, for other programs
        manifest.json                                 position, fingerprint; length and sha256 of these files,
                                                      and of history and events as they were
    checkpoints/checkpoint                            TensorFlow's pointer, relative; a hint for other tools, never read
    checkpoints/damaged-epoch-000050/                 set aside: it did not match its manifest
    checkpoints/.tmp-*                                unfinished or to be deleted; swept by the next writer

A save goes in this order, and a failure at any point leaves the checkpoints before it as they were:

    1. the Saver writes into .tmp-epoch-000050; from here on, training may go on
    2. history and events are fsynced and measured
    3. the manifest is written; data, index, manifest and the directory are fsynced
    4. .tmp-epoch-000050 is renamed to epoch-000050, and checkpoints/ is fsynced      <- the commit point
    5. the pointer is replaced
    6. older checkpoints than the newest `keep` are renamed to .tmp-* and deleted

So a directory named epoch-* is complete, whatever happened, and a reader needs no lock. Files are checked against the
manifest all the same: disks and people damage files too. Where history or events were repaired, the manifest of the
newest checkpoint is replaced by one with their new measures. Nothing is ever unpickled or executed.
"""

import contextlib
import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from fcclf.errors import ConfigError, RunError
from fcclf.runs import events, history
from fcclf.system import bundle, durable

FORMAT = 1
FILES = {"model.ckpt.index", "model.ckpt.data-00000-of-00001"}
BEST_FILES = {"best.ckpt.index", "best.ckpt.data-00000-of-00001"}
COMMITTED = re.compile(rf"history\.csv|((train|validation|test)/)?{events.NAME.pattern}")
COUNTERS = {"state/epoch", "best/epoch"}  # variables that are read as numbers
MOST_NAMED = 100  # variables in a message
LATER = ("state/sums", "state/epoch_start/")  # variables that the first checkpoints did not have
NAME = re.compile(r"epoch-([0-9]{6,12})(?:-batch-([0-9]{6,12}))?")


class Checkpoint(NamedTuple):
    """A committed checkpoint. committed: {file: [length, sha256]}, of history and events."""

    path: Path
    epoch: int
    batch: int
    committed: dict[str, list]

    @property
    def prefix(self):
        """What tf.compat.v1.train.Saver and tf.train.load_checkpoint take."""
        return str(self.path / "model.ckpt")


class DamagedCheckpointError(RunError):
    """A checkpoint does not match its manifest."""


def name(epoch: int, batch: int) -> str:
    """The directory name of a checkpoint; names sort as positions do up to 999,999 epochs."""
    return f"epoch-{epoch:06d}" + (f"-batch-{batch:06d}" if batch else "")


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(directory: Path, session, saver, position: tuple[int, int], best_saver=None) -> Path:
    """Writes the session's variables into an unfinished checkpoint, and returns its path. Raises RunError.

    position: (epochs finished, batches of the next one). best_saver: of the best epoch's weights, with early stopping.
    """
    temporary = directory / f".tmp-{name(*position)}"
    savers = {"model.ckpt": saver} | ({"best.ckpt": best_saver} if best_saver else {})
    with _deleted_on_failure(temporary), durable.explained("save to", temporary, tf.errors.OpError, ValueError):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        with session.graph.as_default():
            for prefix, each in savers.items():  # a ValueError where the directory is gone
                each.save(session, str(temporary / prefix), write_meta_graph=False, write_state=False)
    return temporary


def commit(temporary: Path, position: tuple[int, int], fingerprint: str, measured: Callable[[], dict[str, list]]):
    """Makes what `write` returned a checkpoint. Raises RunError.

    measured: syncs history and events to disk, and returns their {file: [length, sha256]}.
    """
    final = temporary.with_name(name(*position))
    with _deleted_on_failure(temporary), durable.explained("save to", temporary):
        committed = measured()
        files = {path.name: durable.measure(path) for path in sorted(temporary.iterdir())}
        facts = {"format": FORMAT, "epoch": position[0], "batch": position[1], "fingerprint": fingerprint}
        durable.write_file(temporary / "manifest.json", durable.seal({**facts, "files": files, "committed": committed}))
        for path in (*(temporary / file for file in files), temporary):
            durable.sync(path)
        durable.rename(temporary, final)
    _point_to(final)
    if BEST_FILES & files.keys():
        shutil.rmtree(final.with_name("best"), ignore_errors=True)  # where earlier releases kept them


def recommit(found: Checkpoint, committed: dict[str, list]) -> Checkpoint:
    """Replaces the measures of history and events, which were repaired, in the manifest of a checkpoint."""
    manifest = _manifest(found.path)
    durable.replace_file(found.path / "manifest.json", durable.seal({**manifest, "committed": committed}))
    return found._replace(committed=committed)


@contextlib.contextmanager
def _deleted_on_failure(temporary):
    try:
        yield
    except RunError:
        shutil.rmtree(temporary, ignore_errors=True)  # else it would keep a full disk full
        raise


def _point_to(final):
    """Writes TensorFlow's own pointer file, so that tf.train.latest_checkpoint(checkpoints/) works."""
    pointer, prefix = final.parent / "checkpoint", f"{final.name}/model.ckpt"
    text = f'model_checkpoint_path: "{prefix}"\nall_model_checkpoint_paths: "{prefix}"\n'
    with durable.explained("read", pointer):
        if not pointer.is_file() or pointer.read_bytes() != text.encode():
            durable.replace_file(pointer, text)


def prune(directory: Path, keep: int):
    """Deletes all but the newest `keep` checkpoints, each after a rename, so that it is complete or not there at
    all."""
    for path in committed_paths(directory)[:-keep]:
        doomed = path.with_name(f".tmp-{path.name}")
        with durable.explained("delete", path):
            path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def sweep(directory: Path):
    """Deletes what a killed writer left unfinished. The caller holds the run's lock."""
    for path in [*directory.glob(".tmp-*"), *directory.glob("epoch-*/.tmp-*")]:
        with durable.explained("delete", path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


# ---- reading ---------------------------------------------------------------------------------------------------------


def committed_paths(directory: Path) -> list[Path]:
    """The committed checkpoints, oldest first."""
    return sorted((path for path in directory.glob("epoch-*") if NAME.fullmatch(path.name)), key=position)


def position(path: Path) -> tuple[int, int]:
    """(epochs finished, batches of the next one) of a committed checkpoint, by its name."""
    epoch, batch = NAME.fullmatch(path.name).groups(default="0")
    return int(epoch), int(batch)


def newest(directory: Path, fingerprint: str) -> Checkpoint | None:
    """The newest checkpoint, verified; None if there is none. Raises DamagedCheckpointError or FileNotFoundError."""
    paths = committed_paths(directory)
    return verified(paths[-1], fingerprint) if paths else None


def newest_sound(directory: Path, fingerprint: str, warn) -> Checkpoint | None:
    """Like `newest`, for the writer, who holds the run's lock.

    Damaged checkpoints are set aside, each with a `warn(sentence)`; what a killed writer left unfinished is deleted.
    Raises RunError if there were checkpoints and every one is damaged.
    """
    sweep(directory)
    for path in reversed(committed_paths(directory)):
        try:
            found = verified(path, fingerprint)
        except DamagedCheckpointError as damage:
            aside = _set_aside(path)
            warn(f"{damage} It was set aside as {aside.name}.")
        else:
            _point_to(found.path)
            return found
    if any(directory.glob("damaged-*")):
        raise RunError(
            f"no checkpoint in {directory} is sound, so this run cannot go on: restore one from a copy, "
            "or move the run aside and start over."
        )
    return None


def verified(path: Path, fingerprint: str) -> Checkpoint:
    """The checkpoint at `path`, every byte checked against its manifest.

    Raises DamagedCheckpointError if it is not as it was written or the disk cannot read it, RunError if something else
    prevents reading it, and FileNotFoundError if it was pruned meanwhile.
    """
    try:
        return _verified(path, fingerprint)
    except RunError as error:
        if getattr(error.__cause__, "errno", None) == errno.EIO:
            raise DamagedCheckpointError(str(error)) from error
        raise


def _verified(path, fingerprint):
    manifest = _manifest(path)
    if name(manifest["epoch"], manifest["batch"]) != path.name:
        raise DamagedCheckpointError(f"{path} holds the manifest of another checkpoint.")
    if manifest["fingerprint"] != fingerprint:
        raise RunError(f"{path} belongs to a run with other settings or data: put it back where it was.")
    for file, measured in manifest["files"].items():
        if durable.measure(path / file) != measured:
            if not path.exists():  # pruned by the writer while we looked
                raise FileNotFoundError(path)
            raise DamagedCheckpointError(f"{path / file} is not as it was written.")
    return Checkpoint(path, manifest["epoch"], manifest["batch"], manifest["committed"])


def restore(found: Checkpoint, session, saver):
    """Loads a checkpoint into the session's variables. Raises FileNotFoundError if it was pruned meanwhile.

    Variables that earlier releases did not have yet keep their initial values if the checkpoint lacks them.
    """
    variables = session.graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES)
    try:
        with session.graph.as_default():
            lacking = _lacking(found, variables)
            if found.batch and lacking:
                raise RunError(
                    f"{found.path} was saved inside an epoch by an earlier version: finish the epoch with that."
                )
            if lacking:
                session.run(tf.compat.v1.variables_initializer(lacking))
                saver = tf.compat.v1.train.Saver([each for each in variables if each not in lacking])
            saver.restore(session, found.prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(found, error) from error


def values(found: Checkpoint) -> dict:
    """{variable name: its values}. Raises RunError if they cannot be read, FileNotFoundError as in `restore`."""
    try:
        names, reader = _shapes(found), tf.train.load_checkpoint(found.prefix)
        read = {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(found, error) from error
    for name in COUNTERS & read.keys():
        if read[name].shape or read[name].dtype.kind != "i":
            raise RunError(f"{found.path} does not fit its run: {name} is no whole number.")
    return read


def _shapes(found):
    """{name: shape} of the variables in a checkpoint. Raises RunError or FileNotFoundError."""
    try:
        return bundle.shapes(found.prefix)
    except RunError as error:
        raise (error if found.path.exists() else FileNotFoundError(found.path)) from error


def _unreadable(found, error):
    if not found.path.exists():
        return FileNotFoundError(found.path)
    return RunError(f"{found.path} cannot be read: {durable.reason(error)}.")


def _lacking(found, variables):
    """Those of the `variables` in LATER that a checkpoint lacks. Raises RunError if it lacks others, or if shapes
    differ, which a Saver does not check."""
    shapes, lacking = _shapes(found), []
    for variable in variables:
        name, shape = variable.op.name, variable.shape.as_list()
        if name not in shapes and name.startswith(LATER):
            lacking.append(variable)
        elif shapes.get(name) != shape:
            raise RunError(f"{found.path} does not fit its run: {name} has shape {shapes.get(name)}, not {shape}.")
    return lacking


def _manifest(path):
    file = path / "manifest.json"
    try:
        return durable.read_sealed(file, _checked)
    except FileNotFoundError:
        if not path.exists():  # pruned by the writer while we looked
            raise
        raise DamagedCheckpointError(f"{file} is missing.") from None
    except ValueError as error:
        raise DamagedCheckpointError(f"{file} cannot be read: {error}.") from None
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}.") from error


def _checked(manifest):
    if manifest["format"] != FORMAT:
        raise ValueError(f"it has another format than {FORMAT}, which this fcclf reads")
    measures = [*manifest["files"].values(), *manifest["committed"].values()]
    counts = [manifest["epoch"], manifest["batch"], *(length for length, _ in measures)]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("a count or length is not a whole number")
    ours = set(manifest["files"]) in (FILES, FILES | BEST_FILES)
    if not ours or not all(COMMITTED.fullmatch(file) for file in manifest["committed"]):
        raise ValueError("it names other files than a run has")
    newest = {}  # the newest event file of each directory; one start makes one in each
    for file in sorted(set(manifest["committed"]) - {history.FILE}):
        directory, _, name = file.rpartition("/")
        newest[directory] = name
    whole = history.FILE in manifest["committed"] and "train" in newest
    if manifest["committed"] and (not whole or len(set(newest.values())) > 1):
        raise ValueError("it does not name history and events that belong together")
    return manifest


def _set_aside(path):
    number = 0
    while True:
        aside = path.with_name(f"damaged-{path.name}" + (f"-{number}" if number else ""))
        if not aside.exists():
            durable.rename(path, aside)
            return aside
        number += 1


# ---- other programs' checkpoints -------------------------------------------------------------------------------------


def find(path: str) -> str:
    """The prefix of the TF1 checkpoint at `path`, which is a prefix itself or a directory with a pointer. Raises
    ConfigError."""
    for candidate in (
        path,
        tf.train.latest_checkpoint(path),
        tf.train.latest_checkpoint(str(Path(path) / "checkpoints")),
    ):
        if candidate and Path(candidate + ".index").is_file():
            return candidate
    raise ConfigError(
        "warm_start",
        f"is {path!r}, but no checkpoint is there: give a prefix such as DIR/model.ckpt, or a run directory.",
    )


def load_matching(session, prefix: str, variables) -> tuple[list[str], list[str]]:
    """Restores those `variables` that the checkpoint holds under the same name and shape.

    Returns (names of those restored, names of the others). Raises RunError if nothing matches or the checkpoint cannot
    be read.
    """
    with durable.explained("read", prefix, tf.errors.OpError):
        shapes = bundle.shapes(prefix)
        matching = [variable for variable in variables if shapes.get(variable.op.name) == variable.shape.as_list()]
        if not matching:
            raise RunError(
                f"{prefix} has no variable that matches this network by name and shape; it has "
                f"{sorted(shapes)[:MOST_NAMED]}."
            )
        with session.graph.as_default():
            tf.compat.v1.train.Saver(matching).restore(session, prefix)
    loaded = [variable.op.name for variable in matching]
    return loaded, [variable.op.name for variable in variables if variable.op.name not in loaded]
