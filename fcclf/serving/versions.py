"""Numbered folders of an export, as TensorFlow Serving expects them: complete or not there.

    DIR/1/  DIR/2/ ...              versions, the newest with the largest number
    DIR/.tmp-export-<pid>-<...>/    one that is being written, with the lock of its writer

A version appears by one rename, so that others see all of it or nothing, and each of several writers gets its own
number. What a killed writer left is deleted by the next one.
"""

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

from fcclf.errors import RunError
from fcclf.runs.run_directory import locked, refuse_patterns
from fcclf.system import durable

HIDDEN = ".tmp-export-"
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
LARGEST = 2**63  # numbers of versions are smaller, because they must fit into 64 bits
ATTEMPTS = 10  # at locking a directory that another writer may just have cleared


def numbers(directory: Path) -> list[int]:
    """The numbers of the versions in a directory, in order; [] if it is not there. Raises RunError if it cannot be
    read."""
    with durable.explained("read", directory), contextlib.suppress(FileNotFoundError):
        return sorted(int(name) for name in os.listdir(directory) if is_number(name))
    return []


def is_number(name: str) -> bool:
    """Whether a folder with that name is a version."""
    return name.isascii() and name.isdecimal() and int(name) < LARGEST


@contextlib.contextmanager
def begun(directory: Path):
    """Yields the path of a folder that is not there yet, for a new version in `directory`: fill it, then `show` it.

    After the block, what was not shown is deleted, and so is the directory if it was made here and is empty. Raises
    RunError if the directory cannot be written to.
    """
    refuse_patterns(directory)
    existed = directory.is_dir()
    durable.make_directory(directory)
    _clear(directory)
    try:
        with contextlib.ExitStack() as locks:
            hidden = _hidden(directory, locks)
            try:
                yield hidden / "version"
            finally:
                shutil.rmtree(hidden, ignore_errors=True)
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # it has a version in it
                directory.rmdir()


def _hidden(directory, locks):
    """A new hidden directory, locked."""
    for attempt in range(ATTEMPTS):
        path = directory / f"{HIDDEN}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            locks.enter_context(locked(path))
            break
        except RunError:  # another writer cleared it before it was locked
            if attempt == ATTEMPTS - 1:
                raise
    return path


def _clear(directory):
    """Removes what killed writers left."""
    for left in directory.glob(f"{HIDDEN}*"):
        if left.is_dir() and not left.is_symlink():
            with contextlib.suppress(RunError), locked(left):
                shutil.rmtree(left, ignore_errors=True)


def show(folder: Path) -> Path:
    """Renames a folder that `begun` yielded to the next number, synced to disk; returns its new path."""
    for each in (*sorted(folder.rglob("*")), folder):
        durable.sync(each)
    directory = folder.parent.parent
    number = max(numbers(directory), default=0) + 1
    while not _renamed(folder, directory / str(number)):
        number += 1
    return directory / str(number)


def _renamed(folder, path):
    """Renames a folder; returns whether nobody else had taken that number."""
    try:
        durable.rename(folder, path)
    except RunError as error:
        if getattr(error.__cause__, "errno", None) not in TAKEN:
            raise
        return False
    return True
