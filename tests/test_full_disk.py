"""A disk that is full, or files that may not grow, end a run in one sentence."""

import functools
import itertools
import os
import re
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import runs
from faults import EARLY, finish, flags

from fcclf.runs import checkpoint
from fcclf.runs.trained import TrainedRun

PAGE = 4096


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.campaign
@pytest.mark.parametrize(("stride", "figures"), [(1, False), (3, True)])
def test_a_disk_that_is_full_ends_the_run_in_one_sentence_and_it_goes_on_when_there_is_room(tmp_path, stride, figures):
    settings, errors = {"epochs": 6, "keep": 2} | (EARLY if figures else {}), tmp_path / "errors"
    finish(tmp_path / "untouched", **settings)
    with small_disk(tmp_path / "disk") as disk:
        for pages in itertools.count(0, stride):
            fill(disk, pages)
            process = runs.start(*flags(disk / "run", figures, **settings), stderr=errors)
            process.join()
            assert_ended_in_one_sentence(process, errors, disk / "run")
            (disk / "ballast").unlink()
            finish(disk / "run", **settings)
            runs.assert_same_run(disk / "run", tmp_path / "untouched")
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
            r"(fcclf: (?!error).*\n)*fcclf: error: cannot .*: (No space left on device|File too large)\.\n",
            errors.read_text(),
        )
    if checkpoint.committed_paths(path / "checkpoints"):
        with TrainedRun(path):
            pass


@pytest.mark.parametrize("limits", [(1500,), runs.campaign(range(300, 4000, 50))])
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
