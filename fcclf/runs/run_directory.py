"""One run's directory: who may write to it, what run it holds, and how far its files are committed.

    logs/<run>/config.json       the settings, the data's fingerprint, the versions; written before any step
    logs/<run>/checkpoints/      see fcclf.runs.checkpoint
    logs/<run>/history.csv       see fcclf.runs.history
    logs/<run>/train/ test/      see fcclf.runs.events
    logs/<run>/metrics.json      the last evaluation, sealed with a sha256
    logs/<run>/.lock             flock; its holder's pid is in it, and the kernel frees it when the holder dies

Paths inside are relative: a moved or copied directory is the same run. It may be reached through links, but has none
inside: a link is never followed, because what it points to does not belong to the run.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

from fcclf.data import split
from fcclf.data.facts import Facts
from fcclf.data.schema import Schema
from fcclf.errors import ConfigError, RunError
from fcclf.settings.blocks import MOST_CATEGORIES
from fcclf.settings.config import Config
from fcclf.settings.fields import brief
from fcclf.settings.fit_config import ClassifierConfig, RegressorConfig
from fcclf.settings.run_config import CPU, GPU, RunConfig, differences
from fcclf.system import durable

FORMAT = 1
INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "sve")  # they choose the kernels
SWITCHES = ("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS")  # and so do these environment variables
METRICS = "metrics.json"


class Description(NamedTuple):
    """What config.json holds.

    config: the settings, of the command line or of a fit. data: what is known of the samples. versions: of libraries,
    and what else may change the last bits, as it was when the run began. fingerprint: of settings and data together,
    when the run began; its checkpoints carry it. schema: the names of columns and classes; empty in a run of an older
    release.
    """

    config: RunConfig
    data: Facts
    versions: dict[str, str]
    fingerprint: str
    schema: Schema = Schema()

    @property
    def threads(self) -> int | None:
        """Number of threads that the run began with; None if that is not known."""
        noted = str(self.versions.get("threads"))
        return int(noted) if noted.isdecimal() and len(noted) < 5 else None

    @property
    def devices(self) -> list[str]:
        """The devices, CPU or GPU, that the run was trained on, in order. Older releases trained on the CPU alone."""
        noted = str(self.versions.get("device")).split(", ")
        return [each for each in noted if each in (CPU, GPU)] or [CPU]


def fingerprint(config: RunConfig, data: Facts) -> str:
    """sha256 of everything that decides the result: equal only for the same settings and data."""
    return hashlib.sha256(
        json.dumps([config.identity(), data.to_dict()], sort_keys=True, default=repr).encode()
    ).hexdigest()


def versions(threads: int | str, device: str) -> dict[str, str]:
    """Everything that may change the last bits of a result: versions of libraries, and what is used of the machine.
    threads: of a session, or "shared"; device: CPU or GPU."""
    packages = {name: importlib.metadata.version(name) for name in ("fcclf", "tensorflow", "numpy", "scikit-learn")}
    switches = {name: os.environ.get(name, "") for name in SWITCHES}
    machine = {"machine": platform.machine(), "cpu": _instruction_sets(), "device": device, "threads": str(threads)}
    return {**packages, **machine, **switches}


def _instruction_sets():
    """The names in `INSTRUCTION_SETS` that the processor supports."""
    with contextlib.suppress(OSError):
        words = set(Path("/proc/cpuinfo").read_text().split("\n\n")[0].split())
        return " ".join(name for name in INSTRUCTION_SETS if name in words)
    return ""


def changed(description: Description, threads: int | str, device: str) -> list[str]:
    """The versions that have changed since the run began, of those noted then: "name: before -> now"."""
    before, now = {"device": CPU, **description.versions}, versions(threads, device)
    return _changes(before, {name: now[name] for name in now if name in before})


def moved_to(description: Description, device: str, say) -> Description:
    """The description of a run that continues on `device`, which it notes. say(sentence): called if that is not the
    last one."""
    *_, before = devices = description.devices
    if device == before:
        return description
    say(
        f"the run was trained on the {before.upper()} and goes on on the {device.upper()}: its bits will differ from "
        "those of an untouched run"
    )
    return description._replace(versions=description.versions | {"device": ", ".join([*devices, device])})


# ---- links ----------------------------------------------------------------------------------------------------------


def refuse_links(path: Path):
    """Raises RunError if anything below the directory `path` is a link or a device, not a file or a directory."""
    for entry in _below(path):
        if _is_strange(entry):
            if entry.is_symlink():
                raise RunError(f"{entry.path} is a link, which could lead out of the run: put a copy in its place.")
            raise RunError(f"{entry.path} is neither a file nor a directory: move it out of the run.")


def _below(path):
    """Everything below a directory, without following links; what others delete meanwhile is left out."""
    with durable.explained("read", path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        with os.scandir(path) as entries:
            members = list(entries)
        for entry in members:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)


def _is_strange(entry):
    known = entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
    return not known and os.path.lexists(entry.path)


# ---- the lock --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def claimed(path: Path, fresh=False):
    """Makes the run directory and holds its lock inside the block. `fresh` moves an old run aside first.

    Yields the path that the old run was moved to, or None. Raises RunError if another process holds the lock, or there
    are links inside.
    """
    refuse_patterns(path)
    if not fresh:  # a run with links in it may be moved aside
        refuse_links(path)
    with contextlib.ExitStack() as locks:
        locks.enter_context(locked(path))
        aside = None
        if fresh and _members(path):
            aside = _move_aside(path)
            locks.enter_context(locked(path))
        yield aside


def refuse_patterns(path: Path):
    """Raises RunError if TensorFlow would interpret the path as a pattern."""
    if set(str(path)) & set("*?[\\"):
        raise RunError(
            f"{path} has one of * ? [ \\ in it, which TensorFlow takes for a pattern: name another directory."
        )


@contextlib.contextmanager
def locked(path: Path):
    """Makes a directory and holds the lock in it inside the block. Raises RunError if another process holds it."""
    with durable.explained("use the run directory", path):
        durable.make_directory(path)
        descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor, path):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{path} is in use by {_holder(descriptor)}") from None
    if not _is_file(descriptor, path):  # the run was moved aside between our open and our lock
        raise RunError(f"{path} was moved while it was opened: run the command again.")
    with durable.explained("write", path / ".lock"):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def in_use(path: Path) -> bool:
    """Whether a process holds the run's lock. To find out, this takes a shared lock for a moment."""
    try:
        descriptor = os.open(path / ".lock", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _holder(descriptor):
    """A phrase on which process holds the lock. For a moment after locking, the holder has not written its pid yet."""
    for _ in range(100):
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        if holder == str(os.getpid()):
            return "another training in this process: wait for it"
        if holder.isdigit() and Path("/proc", holder).exists():
            return f"process {holder}: wait for it, or stop it with: kill {holder}"
        time.sleep(0.01)
    return "a process that cannot be seen from here, on another machine or in another container: wait for it"


def _is_file(descriptor, path):
    held = os.fstat(descriptor)
    return lock_file(path) == (held.st_dev, held.st_ino)


def lock_file(path: Path) -> tuple[int, int] | None:
    """(device, inode) of the lock file of the run in `path`; None if there is none.

    As long as a lock is held, no other file has its inode.
    """
    try:
        found = os.lstat(path / ".lock")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def check_lock(path: Path, lock: tuple[int, int]):
    """Raises RunError unless `lock` is still the lock file of `path`: a writer must not write into another run."""
    with durable.explained("find", path):
        if lock_file(path) != lock:
            raise RunError(
                f"{path} was moved, deleted or replaced while it was trained: what was saved went with it; to go on, "
                "run the command where it is now."
            )


def _move_aside(path):
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    durable.rename(path, aside)
    return aside


# ---- config.json -----------------------------------------------------------------------------------------------------


def described(
    path: Path, config: RunConfig, data: Facts, schema: Schema, warn, threads: int | str = 1, device: str = CPU
) -> Description:
    """The description of the run in `path`, which begins or resumes. The caller has `claimed` it.

    threads, device: as in `versions`. Raises ConfigError if the run there has other settings or data, RunError if
    something else is there; warns if versions have changed.
    """
    now = Description(config, data, versions(threads, device), fingerprint(config, data), schema)
    if (path / "config.json").exists():
        stored = read(path)
        _check_same(path, stored, now)
        changes = changed(stored, threads, ", ".join(stored.devices))  # of the device, `moved_to` tells
        if changes:
            warn(f"the run was begun elsewhere ({'; '.join(changes)}): it goes on, but may differ in the last bits")
        return now._replace(fingerprint=stored.fingerprint, versions=stored.versions)
    if _members(path):
        (path / ".lock").unlink(missing_ok=True)  # the directory stays as it was
        raise RunError(f"{path} is not empty and has no config.json: restore it, {config.remedy}")
    return now


def write(path: Path, description: Description):
    """Writes config.json unless it has the same content already. Raises RunError if it could not be read back."""
    if (path / "config.json").exists() and read(path) == description:
        return
    document = {"format": FORMAT, **description._asdict(), **_in_json(description)}
    try:
        _parsed(document)
    except ValueError as error:
        raise RunError(f"{path} could not be read again: {error}.") from None
    durable.replace_file(path / "config.json", durable.seal(document))


def _in_json(description):
    """The members of a description that are not JSON-ready, converted."""
    return {name: getattr(description, name).to_dict() for name in ("config", "data", "schema")}


def _members(path):
    """Members of the directory except the lock and what a killed writer left."""
    return [member for member in path.iterdir() if member.name != ".lock" and not member.name.startswith(".tmp-")]


def _check_same(path, stored, now):
    old, new = stored.config, now.config
    if old.maker == new.maker:
        changes = differences(old, new) + _changes(stored.data.to_dict(), now.data.to_dict())
    else:
        changes = [f"made by: {old.maker} -> {new.maker}"]
    if changes:
        raise ConfigError(
            new.named_by, f"{path.name!r} is a run with other settings ({'; '.join(changes)}): {new.remedy}"
        )


def _changes(old, new):
    return [f"{key}: {str(old.get(key))[:64]} -> {new[key]}" for key in new if old.get(key) != new[key]]


def read(path: Path) -> Description:
    """The description of the run in `path`. Raises RunError if there is none, config.json is damaged or links are
    inside.

    Everything that reads a run begins here.
    """
    check_begun(path)
    refuse_links(path)
    file = path / "config.json"
    try:
        return durable.read_sealed(file, _parsed)
    except FileNotFoundError:
        raise RunError(f"{path} is not a run directory: it has no config.json.") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{file} cannot be read ({error}): restore it from a copy.") from None


def check_begun(path: Path):
    """Raises RunError if there is no run in `path`. It looks for config.json alone, which is quick."""
    if not os.path.lexists(path / "config.json"):
        raise RunError(f"{path} is not a run directory: it has no config.json.")


def check_loadable(path: Path, description: Description):
    """Raises RunError if the run in `path` is a fit, which does not keep its samples."""
    if not description.config.loadable:
        maker = description.config.maker
        raise RunError(f"{path} is a fit of {maker} and keeps no samples: open it with {maker}.from_run.")


def _parsed(document):
    if document["format"] != FORMAT:
        raise ValueError(f"it has another format than {FORMAT}, which this fcclf reads")
    data = Facts(**document["data"])
    data = data._replace(categories=tuple(data.categories))
    sizes = [data.n_features, data.n_classes]
    if not all(type(size) is int and 1 <= size <= 1_000_000 for size in sizes):
        shown = "its data have {} features and {} classes".format(*map(brief, sizes))
        raise ValueError(f"{shown}, but each must be from 1 to 1000000")
    if data.categories and not _are_categories(data):
        raise ValueError(f"its data have {data.n_features} features with the categories {brief(data.categories)}")
    if not (math.isfinite(data.label_mean) and 0 < data.label_stddev < math.inf):
        raise ValueError(f"its labels have mean {data.label_mean:g} and deviation {data.label_stddev:g}")
    kinds = [kind for kind in (ClassifierConfig, RegressorConfig) if kind.wrote(document["config"])]
    config = (kinds or [Config])[0].from_dict(document["config"])
    if config.loadable:
        split.check(config)
    schema = Schema.from_dict(document["schema"]) if "schema" in document else Schema()
    if len(schema.columns) not in (0, data.n_features) or len(schema.classes) not in (0, data.n_classes):
        raise ValueError(
            f"its schema names {len(schema.columns)} columns and {len(schema.classes)} classes, but its data have "
            f"{data.n_features} and {data.n_classes}"
        )
    return Description(config, data, dict(document["versions"]), str(document["fingerprint"]), schema)


def _are_categories(data):
    """Whether the categories are numbers, one for each feature."""
    fit = all(type(count) is int and 0 <= count <= MOST_CATEGORIES for count in data.categories)
    return fit and len(data.categories) == data.n_features


# ---- metrics.json ----------------------------------------------------------------------------------------------------


def keep_metrics(path: Path, description: Description, measured: dict):
    """Writes metrics.json, the last evaluation of the run in `path`. measured: JSON-ready."""
    document = {"fingerprint": description.fingerprint, **measured}
    durable.replace_file(path / METRICS, durable.seal(document))
