"""Faults on processes and storage: whatever ends a run, the next start goes on to the same bits as an untouched run.

Processes are killed, signalled, started twice and deprived of disk, streams and clock. Power cuts are replayed in this
process: every file operation of a run is recorded, and the directories that a cut could leave are built and checked.
Campaigns are the same tests with larger counts.
"""

import functools
import hashlib
import itertools
import os
import pkgutil
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import runs
import tensorflow as tf

from fcclf.errors import RunError
from fcclf.runs import checkpoint, run_directory, training
from fcclf.runs.recorder import Recorder
from fcclf.runs.trained import TrainedRun

SMALL = {
    "samples": 100,
    "noise": 0.2,
    "batch_size": 16,
    "hidden": (6, 4),
    "epochs": 40,
    "checkpoint_every": 1,
    "histogram_every": 5,
    "image_every": 0,
    "jit": "off",
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def small(**changes):
    return runs.config(**SMALL | changes)


def flags(path, **changes):
    """The arguments of `fcclf` for the run `small(**changes)` in directory `path`."""
    arguments = ["train", "moons", "--quiet", "--no-figures", "--logdir", path.parent, "--run-name", path.name]
    for name, value in (SMALL | changes).items():
        arguments += ["--" + name.replace("_", "-"), *(value if isinstance(value, tuple) else [value])]
    return [str(each) for each in arguments]


def finish(path, **changes):
    """Goes on with a run in this process; what it said."""
    sentences = []
    training.train(small(**changes), path, say=sentences.append)
    return sentences


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """epochs -> the directory of a run of so many epochs that was never touched."""

    @functools.cache
    def run(epochs=SMALL["epochs"]):
        path = tmp_path_factory.mktemp("untouched") / f"run-{epochs}"
        training.train(small(epochs=epochs, checkpoint_every=0), path)
        return path

    return run


# ---- faults inside a process -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """A fault: `action()` is called before the `call`-th call of the function `where`, such as "os.rename"."""

    where: str
    action: object
    call: int = 1

    def __call__(self):
        calls = itertools.count(1)
        wrap(self.where, before=lambda: next(calls) == self.call and self.action())


@dataclass(frozen=True)
class Death:
    """A fault: kill -9 at the `at`-th point of `FILE_OPERATIONS`, each of which has one before and one after it."""

    at: int

    def __call__(self):
        points = itertools.count(1)
        for where in FILE_OPERATIONS:
            wrap(where, before=lambda: self._reach(points), after=lambda: self._reach(points))

    def _reach(self, points):
        if next(points) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


FILE_OPERATIONS = [
    *(f"os.{name}" for name in ("open", "fsync", "rename", "mkdir", "unlink", "rmdir", "truncate", "ftruncate")),
    "tensorflow.compat.v1.train.Saver.save",
    "tensorflow.io.TFRecordWriter.write",
    "tensorflow.io.TFRecordWriter.flush",
]


def wrap(where, before=bool, after=bool):
    """Replaces the function `where` by one that also calls `before()` and `after()`."""
    owner, _, name = where.rpartition(".")
    owner = pkgutil.resolve_name(owner)
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments, **options):
        before()
        result = original(*arguments, **options)
        after()
        return result

    setattr(owner, name, wrapped)


@dataclass(frozen=True)
class SignalSelf:
    """A fault, and an action: the process sends itself a signal."""

    number: int
    times: int = 1

    def __call__(self):
        for _ in range(self.times):
            os.kill(os.getpid(), self.number)


# ---- death -----------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize(("kills", "epochs"), [(200, 400)])
def test_a_run_killed_at_random_moments_ends_bit_identical_to_an_untouched_one(tmp_path, reference, kills, epochs):
    moments, done = random.Random(kills), 0
    for number in itertools.count():
        path = tmp_path / f"run {number}"
        done += kill_until_finished(path, epochs, moments, kills - done)
        runs.assert_same_run(path, reference(epochs))
        if done == kills:
            break


def kill_until_finished(path, epochs, moments, most):
    """Starts the run again after each kill, until it finishes or was killed `most` times; how often it was."""
    for kills in range(most):
        process = runs.start(*flags(path, epochs=epochs))
        process.join(timeout=moments.uniform(0.1, 1.2))
        process.kill()
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL
    finish(path, epochs=epochs)
    return most


@pytest.mark.parametrize("stride", [113, runs.campaign(1)])
def test_death_at_any_file_operation_leaves_the_old_or_the_new_state(tmp_path, reference, stride):
    settings = {"epochs": 2, "keep": 1}
    for number in itertools.count(stride, stride):
        path = tmp_path / f"run {number}"
        process = runs.start(*flags(path, **settings), faults=[Death(at=number)])
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        finish(path, **settings)
        runs.assert_same_run(path, reference(2))
        shutil.rmtree(path)
    assert number > 2 * stride


# ---- signals ---------------------------------------------------------------------------------------------------------

PHASES = {  # where: (function, its call); signals are held in `HELD`
    "compile": ("fcclf.learning.program.Program.compile", 1),
    "first save": ("fcclf.runs.checkpoint.save", 1),
    "first epochs": ("fcclf.learning.program.Program.advance", 1),
    "save": ("fcclf.runs.checkpoint.save", 3),
    "last save": ("fcclf.runs.checkpoint.save", 41),
    "evaluation": ("fcclf.views.evaluation.metrics", 1),
}
HELD = ("first epochs", "save", "last save")


@pytest.mark.parametrize(
    ("number", "phase", "times"),
    [
        (signal.SIGTERM, "last save", 1),
        (signal.SIGHUP, "evaluation", 1),
        (signal.SIGINT, "save", 2),
        *(runs.campaign(*each) for each in itertools.product(SIGNALS, PHASES, (1, 2))),
    ],
)
def test_a_signal_in_any_phase_ends_the_process_by_it_and_the_run_goes_on_to_the_same_bits(
    tmp_path, reference, number, phase, times
):
    path, errors, (where, call) = tmp_path / "run", tmp_path / "errors", PHASES[phase]
    fault = Before(where, SignalSelf(number, times), call)
    process = runs.start(*flags(path, epochs=40), "--checkpoint-every", "1", faults=[fault], stderr=errors)
    process.join(timeout=60)
    assert process.exitcode == -number
    if phase in HELD and times == 1:
        assert errors.read_text().splitlines()[-1].startswith("fcclf: interrupted: saved after ")
        assert runs.variables(path)["state/epoch"] == int(errors.read_text().split("saved after ")[1].split()[0])
    finish(path)
    runs.assert_same_run(path, reference())


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(30))
def test_signals_at_random_moments_end_the_process_within_two_seconds(tmp_path, reference, seed):
    moments, path, ready = random.Random(seed), tmp_path / "run", runs.FORKSERVER.Event()
    number, times = moments.choice(SIGNALS), moments.choice((1, 2))
    process = runs.start(*flags(path, epochs=400), faults=[ready.set])
    ready.wait()
    process.join(timeout=moments.uniform(0, 1.5))
    for _ in range(times):
        send(process.pid, number)
    process.join(timeout=2)
    assert process.exitcode in (0, -number)
    finish(path, epochs=400)
    runs.assert_same_run(path, reference(400))


def send(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.parametrize("delays", [(0.3,), runs.campaign(*[[0.05 * n for n in range(40)]])])
def test_a_signal_while_tensorflow_is_imported_ends_the_process_by_it(tmp_path, delays):
    for delay, number in zip(delays, itertools.cycle(SIGNALS)):
        process = subprocess.Popen(
            [sys.executable, "-m", "fcclf", *flags(tmp_path / "run")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=runs.heed_signals,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        process.send_signal(number)
        process.communicate(timeout=5)
        assert process.returncode == -number


def test_a_signal_that_the_parent_ignores_stays_ignored(tmp_path, reference):
    path = tmp_path / "run"
    ignored = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    hangup = Before("fcclf.runs.checkpoint.save", SignalSelf(signal.SIGHUP, 2))
    process = runs.start(*flags(path), faults=[ignored, hangup])
    process.join()
    assert process.exitcode == 0
    runs.assert_same_run(path, reference())


# ---- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [1, runs.campaign(50)])
def test_of_two_starters_at_the_same_instant_one_trains_and_the_other_names_it(tmp_path, reference, pairs):
    for pair in range(pairs):
        path, barrier = tmp_path / f"run {pair}", runs.FORKSERVER.Barrier(2)
        errors = [tmp_path / f"{pair}-{name}" for name in "ab"]
        both = [runs.start(*flags(path), faults=[barrier.wait], stderr=error) for error in errors]
        for process in both:
            process.join()
        assert sorted(process.exitcode for process in both) == [0, 1]
        winner, loser = sorted(both, key=lambda process: process.exitcode)
        assert f"in use by process {winner.pid}:" in errors[both.index(loser)].read_text()
        runs.assert_same_run(path, reference())


@pytest.mark.parametrize("loads", [10, runs.campaign(200)])
def test_a_run_can_be_read_while_it_saves_and_prunes_at_every_epoch(tmp_path, loads):
    path, saved, epochs = tmp_path / "run", runs.FORKSERVER.Event(), []
    writer = runs.start(*flags(path, epochs=10**6, keep=1), faults=[Before("fcclf.runs.checkpoint.prune", saved.set)])
    try:
        assert saved.wait(timeout=60)
        for _ in range(loads):
            with TrainedRun(path) as run:
                epochs.append(run.epoch)
            assert runs.curves(path)
        assert writer.exitcode is None
    finally:
        writer.terminate()
        writer.join()
    assert epochs == sorted(epochs)
    assert epochs[0] < epochs[-1]


# ---- surroundings ----------------------------------------------------------------------------------------------------


def shell(script, path, **changes):
    """Runs a sh script with "$@" standing for the command that trains; its exit code and what it printed."""
    command = [sys.executable, "-m", "fcclf", *flags(path, **changes)]
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


HARSH = 'mkdir gone && cd gone && rmdir "$PWD" && "$@" <&- >&- 2>&-'


@pytest.mark.parametrize(
    "script",
    [
        *map(
            runs.campaign,
            [HARSH, '"$@" >&-', '"$@" 2>&-', '"$@" <&-', 'setsid "$@"', '"$@" | true', '"$@" 2>&1 | true'],
        ),
    ],
)
def test_closed_streams_a_deleted_directory_and_strange_names_change_nothing(tmp_path, reference, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mit Leerzeichen, ünï\U0001f319 'quotes'" / "the run"
    code, _ = shell(script, path)
    assert code == 0
    runs.assert_same_run(path, reference())


@pytest.mark.campaign
def test_output_that_finds_no_room_ends_in_one_sentence(tmp_path, reference):
    path = tmp_path / "run"
    code, printed = shell('"$@" > /dev/full', path)
    assert code == 1
    assert re.fullmatch(r"(fcclf: .*\n)*fcclf: error: .*No space left on device.*\n", printed)
    runs.assert_same_run(path, reference())


def test_a_clock_set_back_between_two_starts_changes_nothing(tmp_path, reference, monkeypatch):
    path, clock = tmp_path / "run", time.time
    training.train(small(), path, interrupts=After(2))
    monkeypatch.setattr(time, "time", lambda: clock() - 86_400)
    training.train(small(), path, interrupts=After(2))
    monkeypatch.setattr(time, "time", lambda: clock() - 3 * 86_400)
    finish(path)
    runs.assert_same_run(path, reference())


@pytest.mark.campaign
def test_a_run_that_was_moved_or_copied_goes_on_in_its_new_place(tmp_path, reference, monkeypatch):
    path = tmp_path / "here" / "run"
    training.train(small(), path, interrupts=After(3))
    shutil.copytree(path, tmp_path / "copy")
    path.parent.rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    finish(Path("run"))
    finish(tmp_path / "copy")
    for place in (tmp_path / "there" / "run", tmp_path / "copy"):
        runs.assert_same_run(place, reference())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_read_only_run_directory_is_refused_in_one_sentence_and_stays_as_it_is(tmp_path, reference):
    path, errors = tmp_path / "run", tmp_path / "errors"
    training.train(small(), path, interrupts=After(3))
    before = contents(path)
    with read_only(path):
        process = runs.start(*flags(path), stderr=errors)
        process.join()
    assert process.exitcode == 1
    assert re.fullmatch(r"fcclf: error: .*Read-only file system.*\n", errors.read_text())
    assert contents(path) == before
    finish(path)
    runs.assert_same_run(path, reference())


def contents(path):
    """{relative path: bytes} of every file."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@contextmanager
def read_only(path):
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", path], check=True)
        yield
    finally:
        subprocess.run(["umount", path], check=True)


# ---- epochs and stretches --------------------------------------------------------------------------------------------


class After:
    """Interrupts that end a run after `chunks` chunks."""

    def __init__(self, chunks):
        self.left = chunks

    @contextmanager
    def held(self):
        yield

    def pending(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.campaign
def test_more_epochs_go_on_as_one_long_run_and_fewer_are_past_already(tmp_path, reference):
    path, errors = tmp_path / "run", tmp_path / "errors"
    for epochs in (7, 40):
        finish(path, epochs=epochs)
        runs.assert_same_run(path, reference(epochs))
    process = runs.start(*flags(path, epochs=5), stderr=errors)
    process.join()
    assert process.exitcode == 0
    assert "finished 40 epochs, past the 5 asked for" in errors.read_text()
    runs.assert_same_run(path, reference())


PARTITIONS = [  # where the 6 epochs of 5 batches are cut
    [5 * epoch for epoch in range(1, 6) if mask & 1 << epoch - 1] for mask in range(32)
]


@pytest.mark.parametrize("every", [1, runs.campaign(5), runs.campaign(0)])
@pytest.mark.parametrize("masks", [(10,), runs.campaign(range(32))])
def test_all_partitions_of_the_epochs_into_starts_give_the_same_bits(tmp_path, reference, monkeypatch, masks, every):
    for mask in masks:
        path = tmp_path / f"run {mask}"
        in_stretches(monkeypatch, path, [[cut] for cut in PARTITIONS[mask]], every)
        runs.assert_same_run(path, reference(6))


@pytest.mark.parametrize("count", [1, runs.campaign(50)])
def test_random_cuts_inside_epochs_into_chunks_and_starts_give_the_same_bits(tmp_path, reference, monkeypatch, count):
    places = random.Random(count)
    for number in range(count):
        path = tmp_path / f"run {number}"
        cuts = sorted(places.sample(range(1, 30), places.randint(1, 12)))
        stops = sorted(places.sample(range(len(cuts)), min(len(cuts), places.randint(1, 4))))
        starts = [cuts[first:last] for first, last in itertools.pairwise([0, *stops, len(cuts)])]
        in_stretches(monkeypatch, path, [each for each in starts if each], places.choice((0, 1, 5)))
        runs.assert_same_run(path, reference(6))


def in_stretches(monkeypatch, path, starts, every):
    """Trains 6 epochs: one start for each list of steps, stopped at its last step, chunks ending at the others too."""
    settings = {"epochs": 6, "checkpoint_every": every}
    with monkeypatch.context() as patch:
        for cuts in starts:
            stretch = Stretch(cuts)
            patch.setattr(Recorder, "next_stop", lambda recorder, stretch=stretch: stretch.next_stop(recorder))
            outcome = training.train(small(**settings), path, interrupts=stretch, longest_stretch=30)
            assert outcome.interrupted
    finish(path, **settings)


NEXT_STOP = Recorder.next_stop


class Stretch(After):
    """Interrupts that end a run at the last of the steps `cuts`; `next_stop` ends its chunks at all of them."""

    def __init__(self, cuts):
        self.cuts, self.reached = cuts, 0

    def next_stop(self, recorder):
        self.reached = min([NEXT_STOP(recorder), *(cut for cut in self.cuts if cut > recorder.program.step)])
        return self.reached

    def pending(self):
        return self.reached == self.cuts[-1]


# ---- a full disk -----------------------------------------------------------------------------------------------------

PAGE = 4096


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("stride", [runs.campaign(1)])
def test_a_disk_that_is_full_ends_the_run_in_one_sentence_and_it_goes_on_when_there_is_room(
    tmp_path, reference, stride
):
    settings, errors = {"epochs": 6, "keep": 2}, tmp_path / "errors"
    with small_disk(tmp_path / "disk") as disk:
        for pages in itertools.count(0, stride):
            fill(disk, pages)
            process = runs.start(*flags(disk / "run", **settings), stderr=errors)
            process.join()
            assert_ended_in_one_sentence(process, errors, disk / "run")
            (disk / "ballast").unlink()
            finish(disk / "run", **settings)
            runs.assert_same_run(disk / "run", reference(6))
            shutil.rmtree(disk / "run")
            if process.exitcode == 0:
                break
    assert pages > stride


@contextmanager
def small_disk(path):
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(disk, pages):
    """Leaves that many free pages."""
    free = os.statvfs(disk).f_bavail
    (disk / "ballast").write_bytes(bytes((free - pages) * PAGE))


def assert_ended_in_one_sentence(process, errors, path):
    """It finished, or failed in one sentence with its last committed checkpoint sound."""
    assert process.exitcode in (0, 1)
    if process.exitcode == 1:
        assert re.fullmatch(
            r"fcclf: error: cannot .*: (No space left on device|File too large)\.\n", errors.read_text()
        )
    if checkpoint.committed_paths(path / "checkpoints"):
        with TrainedRun(path):
            pass


@pytest.mark.parametrize("limits", [(400, 1500), runs.campaign(range(300, 4000, 50))])
def test_files_that_may_not_grow_end_the_run_in_one_sentence(tmp_path, reference, limits):
    settings, errors = {"epochs": 6, "keep": 2}, tmp_path / "errors"
    for limit in limits:
        path = tmp_path / f"run {limit}"
        limited = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        process = runs.start(*flags(path, **settings), faults=[limited], stderr=errors)
        process.join()
        assert process.exitcode == 1
        assert_ended_in_one_sentence(process, errors, path)
        finish(path, **settings)
        runs.assert_same_run(path, reference(6))
        shutil.rmtree(path)


# ---- power loss ------------------------------------------------------------------------------------------------------
#
# A recorded run is a list of `Moment`s, one before each file operation. The disk holds for certain what was fsynced: of
# a file its content, of a directory its names. Of everything written later any part may be there after a power cut, in
# any order, except that a rename is whole or not at all.


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
        save = checkpoint.save
        monkeypatch.setattr(checkpoint, "save", lambda *arguments: self._save(save, *arguments))

    def _save(self, original, *arguments):
        original(*arguments)
        self.shoot("saved", file=checkpoint.name(*arguments[3]))

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


def record(root, lost_rename=None):
    """A run of 4 epochs in `root` / "run": one start is stopped, one fails with an epoch unsaved, one goes on."""
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        camera = Camera(root, patch, lost_rename)
        train = functools.partial(training.train, small(epochs=4, keep=1), root / "run")
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


@pytest.mark.parametrize("resumed", [2, runs.campaign(2000)])
def test_after_a_power_cut_at_any_moment_the_newest_acknowledged_checkpoint_loads(
    tmp_path, reference, recording, resumed
):
    every = list(worlds(recording))
    for number, acknowledged, files in every:
        assert problem(recording, acknowledged, files, tmp_path / "root") is None, number
    for _, _, files in random.Random(0).sample(every, min(resumed, len(every))):
        path = build(files, tmp_path / "root")
        finish(path, epochs=4, keep=1)
        runs.assert_same_run(path, reference(4))


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


@pytest.mark.parametrize("lost", ["epoch-.*", "checkpoint"])
def test_without_any_one_rename_of_a_save_the_check_finds_harm(tmp_path, lost):
    recording = record(tmp_path / "recorded", lost_rename=lost)
    assert any(
        problem(recording, acknowledged, files, tmp_path / "root") for _, acknowledged, files in worlds(recording)
    )
