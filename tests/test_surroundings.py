"""What surrounds a process: its streams, its clock, its directory, permissions."""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import runs
from faults import After, finish, flags, small

from fcclf.runs import training


def shell(script, directory, path):
    """Runs a sh script with `train "$@"` standing for the command that trains; its exit code and what it printed."""
    command = [sys.executable, "-m", "fcclf", *flags(path)]
    code = directory / "code"
    script = f'train() {{ "$@"; echo $? > "{code}"; }}; {script}'
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, text=True, check=False)
    return int(code.read_text()), done.stdout + done.stderr


HARSH = 'mkdir gone && cd gone && rmdir "$PWD" && train "$@" <&- >&- 2>&-'
STREAMS = ["{} >&-", "{} 2>&-", "{} <&-", "{} | true", "{} 2>&1 | true"]


@pytest.mark.parametrize(
    "script",
    [
        *map(
            runs.campaign,
            [HARSH, 'train setsid --wait "$@"', *(script.format('train "$@"') for script in STREAMS)],
        ),
    ],
)
def test_closed_streams_a_deleted_directory_and_strange_names_change_nothing(tmp_path, reference, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mit Leerzeichen, ünï\U0001f319 'quotes'" / "the run"
    code, _ = shell(script, tmp_path, path)
    assert code == 0
    runs.assert_same_run(path, reference())


@pytest.mark.campaign
def test_output_that_finds_no_room_ends_in_one_sentence(tmp_path, reference):
    path = tmp_path / "run"
    code, printed = shell('train "$@" > /dev/full', tmp_path, path)
    assert code == 1
    assert re.fullmatch(r"(fcclf: .*\n)*fcclf: error: .*No space left on device.*\n", printed)
    runs.assert_same_run(path, reference())


@pytest.mark.slow
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


@pytest.mark.slow
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
