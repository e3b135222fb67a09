"""Power cuts, replayed: the file operations of a run are recorded, and what a cut could leave is built and checked.

A recorded run is a list of `Moment`s, one before each file operation. The disk holds for certain what was fsynced: of
a file its content, of a directory its names. Of everything written later any part may be there after a power cut, in
any order, except that a rename is whole or not at all.
"""

import functools
import hashlib
import os
import random
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import runs
import tensorflow as tf
from faults import EARLY, After, finish, small

from fcclf.errors import RunError
from fcclf.runs import checkpoint, run_directory, training


class Moment(NamedTuple):
    """What the kernel knows before an operation, or after a save.

    inode, file: what is fsynced, or the checkpoint saved; state: {inode: its bytes, or a directory's {name: inode}}.
    """

    operation: str
    inode: int | None
    file: str
    state: dict


class Camera:
    """Records the file operations of this process on the files below `root`, which is empty."""

    def __init__(self, root, monkeypatch, lost_rename=None):
        self.root, self.moments, self.pinned, self.lost_rename = root, [], {}, lost_rename
        self.open = os.open
        for name in ("fsync", "rename", "mkdir", "unlink", "rmdir", "truncate"):
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))
        commit = checkpoint.commit
        monkeypatch.setattr(checkpoint, "commit", lambda *arguments: self._commit(commit, *arguments))

    def _commit(self, original, *arguments):
        original(*arguments)
        self.shoot("saved", file=checkpoint.name(*arguments[1]))

    def _watched(self, name, original):
        def wrapped(first, *arguments, **options):
            self.shoot(name, os.fstat(first).st_ino if name == "fsync" else None)
            if name == "rename" and self.lost_rename and re.fullmatch(self.lost_rename, Path(arguments[0]).name):
                return None
            return original(first, *arguments, **options)

        return wrapped

    def shoot(self, operation, inode=None, file=""):
        state, names = {}, {}
        self._visit(self.root, "", state, names)
        self.moments.append(Moment(operation, inode, names.get(inode, file), state))

    def _visit(self, path, name, state, names):
        inode = self._pin(path)
        names[inode] = name
        if path.is_dir():
            state[inode] = {}
            for child in path.iterdir():
                state[inode][child.name] = self._visit(child, f"{name}/{child.name}", state, names)
        else:
            state[inode] = path.read_bytes()
        return inode

    def _pin(self, path):
        """The inode's number, which is not given to another file while we hold the file open."""
        inode = path.stat().st_ino
        if inode not in self.pinned:
            self.pinned[inode] = self.open(path, os.O_PATH)
        return inode

    def close(self):
        for descriptor in self.pinned.values():
            os.close(descriptor)


class Recording(NamedTuple):
    """moments; root: inode of the root; saved: {checkpoint's name: {file: bytes}} of every acknowledged checkpoint."""

    moments: list[Moment]
    root: int
    saved: dict


SHORT = {"epochs": 4, "keep": 1}
LONG = {"epochs": 13, "keep": 2, **EARLY}


def record(root, lost_rename=None, **settings):
    """A run, `SHORT` by default, in `root` / "run": one start is stopped, one fails with an epoch unsaved, one goes
    on."""
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        camera = Camera(root, patch, lost_rename)
        train = functools.partial(training.train, small(**settings or SHORT), root / "run")
        train(interrupts=After(2))
        with pytest.raises(ZeroDivisionError):
            train(progress=lambda *_: 1 // 0)
        train()
        camera.shoot("end")
        camera.close()
    saved = {}
    for moment in camera.moments:
        if moment.operation == "saved":
            saved |= checkpoints_in(tree(moment.state, root.stat().st_ino))
    return Recording(camera.moments, root.stat().st_ino, saved)


def tree(state, inode, prefix=""):
    """{path: bytes, or None for a directory} below a directory."""
    found = {}
    for name, child in state[inode].items():
        content = state.get(child, b"")  # b"": named on the disk, never fsynced, deleted since
        found[prefix + name] = None if isinstance(content, dict) else content
        if isinstance(content, dict):
            found |= tree(state, child, f"{prefix}{name}/")
    return found


def checkpoints_in(files):
    """{checkpoint's name: {file: bytes}} of a `tree`."""
    found = {}
    for path, content in files.items():
        parts = path.split("/")
        if len(parts) == 4 and parts[:2] == ["run", "checkpoints"] and parts[2].startswith("epoch-"):
            found.setdefault(parts[2], {})[parts[3]] = content
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recorded") / "root")


def worlds(recording, ignored=None):
    """(number of the moment, newest acknowledged checkpoint's name, the disk's `tree`) for every power cut.

    ignored: the number of an fsync that did nothing.
    """
    sure, acknowledged, seen = {recording.root: {}}, None, set()
    for number, moment in enumerate(recording.moments):
        if moment.operation == "saved":
            acknowledged = moment.file
        for state in states(sure, moment.state, recording.root):
            files = tree(state, recording.root)
            key = (acknowledged, frozenset(files.items()))
            if key not in seen:
                seen.add(key)
                yield number, acknowledged, files
        if moment.operation == "fsync" and number != ignored and moment.inode in moment.state:
            sure = {**sure, moment.inode: moment.state[moment.inode]}


def states(sure, current, root):
    """What the disk may hold: each change alone, or all but it, or with a file torn or zeroed; and none, and all."""
    changes = list(pending(sure, current))
    yield applied(sure, current, [])
    yield applied(sure, current, changes)
    for change in changes:
        others = [other for other in changes if other != change]
        yield applied(sure, current, [change])
        yield applied(sure, current, others)
        if isinstance(change, int):
            for spoilt in (torn, zeroed):
                state = applied(sure, current, changes)
                state[change] = spoilt(sure.get(change, b""), current[change])
                yield state


def pending(sure, current):
    """The changes that may be lost: a file's inode, or (a directory's inode, names that change together)."""
    for inode, content in ({inode: {} for inode in sure} | current).items():
        if isinstance(content, bytes):
            if sure.get(inode, b"") != content:
                yield inode
        elif isinstance(sure.get(inode, {}), dict):
            yield from ((inode, names) for names in renamed(sure.get(inode, {}), content))


def renamed(old, new):
    """The names that differ between two directories, as tuples: a file's old and its new name belong together."""
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    arrived = {new[name]: name for name in changed if name in new}
    groups = {name: [name] for name in arrived.values()}
    for name in changed:
        if name not in new:
            groups.setdefault(arrived.get(old[name], name), []).append(name)
    return [tuple(dict.fromkeys(group)) for group in groups.values()]


def applied(sure, current, changes):
    """The state after `changes`, each as in `pending`."""
    state = {inode: b"" if isinstance(content, bytes) else {} for inode, content in current.items()} | sure
    for change in changes:
        if isinstance(change, int):
            state[change] = current[change]
        else:
            inode, names = change
            now = current.get(inode, {})
            state[inode] = {name: child for name, child in state[inode].items() if name not in names}
            state[inode] |= {name: now[name] for name in names if name in now}
    return state


def torn(old, new):
    """Half of what was written."""
    return new[: (common(old, new) + len(new)) // 2]


def zeroed(old, new):
    """The new length, but zeros where the new content should be."""
    kept = common(old, new)
    return new[:kept] + bytes(len(new) - kept)


def common(old, new):
    """How many bytes are equal at the start."""
    return next((at for at, (left, right) in enumerate(zip(old, new, strict=False)) if left != right), len(old))


def build(files, path):
    """Writes a `tree` to the disk."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, content in files.items():
        if content is None:
            (path / name).mkdir()
        else:
            (path / name).write_bytes(content)
    return path / "run"


def problem(recording, acknowledged, files, place):
    """What is wrong after a power cut, or None."""
    run = build(files, place)
    try:
        newest = newest_checkpoint(run)
    except RunError as error:
        return str(error)
    found = checkpoints_in(files)
    if acknowledged and (newest is None or newest.path.name < acknowledged):
        return f"{acknowledged} is lost"
    if newest and newest.path.name in recording.saved and found[newest.path.name] != recording.saved[newest.path.name]:
        return f"{newest.path.name} is not what was saved"
    if newest:
        return shortened(newest, files) or misled(run, acknowledged) or None
    return None


def newest_checkpoint(run):
    """The checkpoint that a start would go on from."""
    if not (run / "checkpoints").is_dir():
        return None
    fingerprint = run_directory.read(run).fingerprint
    return checkpoint.newest(run / "checkpoints", fingerprint)


def shortened(newest, files):
    """Whether history or events lack what they held when the checkpoint was committed."""
    for file, (length, digest) in newest.committed.items():
        if hashlib.sha256((files.get(f"run/{file}") or b"")[:length]).hexdigest() != digest:
            return f"{file} is not as it was at {newest.path.name}"
    return None


def misled(run, acknowledged):
    """Whether TensorFlow's pointer leads to no checkpoint, or to one before the newest acknowledged one."""
    try:
        prefix = tf.train.latest_checkpoint(str(run / "checkpoints"))
    except ValueError as error:
        return str(error)
    if prefix is None:
        return (acknowledged or (run / "checkpoints" / "checkpoint").exists()) and "the pointer leads nowhere"
    return Path(prefix).parent.name < (acknowledged or "") and f"the pointer leads to {prefix}"


@pytest.mark.parametrize(("settings", "resumed"), [(SHORT, 2), runs.campaign(LONG, 10_000)], ids=["short", "long"])
def test_after_a_power_cut_at_any_moment_the_newest_acknowledged_checkpoint_loads(
    tmp_path, reference, recording, settings, resumed
):
    if settings != SHORT:
        recording = record(tmp_path / "recorded", **settings)
    every = list(worlds(recording))
    print(len(every), "states")
    for number, acknowledged, files in every:
        assert problem(recording, acknowledged, files, tmp_path / "root") is None, number
    for _, _, files in random.Random(0).sample(every, min(resumed, len(every))):
        path = build(files, tmp_path / "root")
        finish(path, **settings)
        runs.assert_same_run(path, reference(**settings))


@pytest.mark.slow
def test_without_any_one_fsync_of_a_save_a_power_cut_does_harm(tmp_path, recording):
    """The check of the test above can fail: each call of os.fsync in a save is needed."""
    needless = []
    for number in fsyncs_of_a_save(recording.moments):
        harm = (
            problem(recording, acknowledged, files, tmp_path / "root")
            for at, acknowledged, files in worlds(recording, ignored=number)
            if at > number
        )
        if not any(harm):
            needless.append(recording.moments[number].file)
    assert needless == []


def fsyncs_of_a_save(moments):
    """The numbers of the fsyncs of the third save: from the second acknowledgement to the third."""
    _, first, last = [number for number, moment in enumerate(moments) if moment.operation == "saved"][:3]
    numbers = [number for number in range(first, last) if moments[number].operation == "fsync"]
    assert len(numbers) >= 8
    return numbers


def test_without_the_rename_of_the_pointer_the_check_finds_harm(tmp_path):
    recording = record(tmp_path / "recorded", lost_rename="checkpoint")
    assert any(
        problem(recording, acknowledged, files, tmp_path / "root") for _, acknowledged, files in worlds(recording)
    )


def test_without_the_rename_of_a_checkpoint_the_next_start_finds_harm(tmp_path):
    """The history has epochs then that no checkpoint has."""
    with pytest.raises(RunError, match="has no checkpoint any more"):
        record(tmp_path / "recorded", lost_rename=r"epoch-.*")
