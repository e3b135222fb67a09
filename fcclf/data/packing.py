"""Converts data of any kind to packed data, in bounded memory: `fcclf pack`.

A table is read twice at most: once into a file of numbers, unless it consists of arrays that can be read by index, and
then row by row in the order of its parts. X is never in memory as a whole; labels, weights and row numbers are. The new
directory is created under a temporary name and renamed when everything in it is on disk.
"""

import contextlib
import glob
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcclf.data import loading
from fcclf.data.dataset import Part, pixels
from fcclf.data.packed import DOCUMENT, Pack, file_name
from fcclf.data.rows import Chosen, gathered
from fcclf.data.tables import npz, table
from fcclf.data.tables.kept import OnDisk
from fcclf.data.tables.told import looked_through
from fcclf.errors import ConfigError, RunError
from fcclf.settings.config import Config
from fcclf.settings.run_config import CLASSIFICATION, REGRESSION
from fcclf.settings.sources import Packed, Table
from fcclf.system import durable, memory

LEAST_GATHERED, MOST_GATHERED = 1 << 26, 1 << 29  # bytes of X that are reordered at once
SHARE = 0.25  # of the available memory, for that
ITEM = 4  # bytes of a float32
PER_ROW = 96  # bytes in memory for the label of a row, and its place in the split


def pack(source: Table, directory: Path, say=lambda sentence: None, progress=lambda rows: None):
    """Packs `source.file`, a table or a directory of NPY or IDX files, into `directory`, which must not exist yet.

    say(sentence): called with what the data hold. progress(rows): called with the number read, then written. Raises
    RunError if the data cannot be read or packed, ConfigError if a part of them has too few samples.
    """
    path = Path(source.file)
    if directory.exists():
        raise RunError(f"{directory} is there already: name another directory, or delete it.")
    with _begun(directory, say) as folder:
        if path.is_dir() and not (path / "X.npy").exists():
            parts, made = _of_images(path)
        else:
            parts, made = _of_table(path, source, folder, say, progress)
        _check_free(sum(ITEM * part.X.shape[0] * part.X.shape[1] for part in parts.values()), folder)
        files = [file for name, part in parts.items() for file in _write(folder, name, part, progress)]
        made = made._replace(files={file: durable.measure(folder / file) for file in files}, settings=source.to_dict())
        durable.write_file(folder / DOCUMENT, durable.seal(made.to_dict()))
        for left in set(folder.iterdir()) - {folder / file for file in (*files, DOCUMENT)}:
            left.unlink()
    loading.load(Config(Packed(str(directory), task=made.task)))  # reads it all, and records its fingerprint


@contextlib.contextmanager
def _begun(directory, say) -> Iterator[Path]:
    """A new directory that becomes `directory` when the block ends. If the block fails, nothing is left. What a killed
    process left is deleted by the next, which says so."""
    durable.make_directory(directory.parent)
    for left in directory.parent.glob(f".tmp-{glob.escape(directory.name)}-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            say(f"{left} was left unfinished by an earlier process: it is deleted")
            shutil.rmtree(left, ignore_errors=True)
    folder = directory.with_name(f".tmp-{directory.name}-{os.getpid()}")
    try:
        durable.make_directory(folder)
        yield folder
        durable.sync(folder)
        durable.rename(folder, directory)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check_free(needed, folder):
    """Raises RunError if `needed` bytes do not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(
            f"packing needs {memory.written(needed)} in {folder.parent}, but {memory.written(free)} are free: "
            "name a directory on another disk."
        )


class _Pixels:
    """Images as rows of pixels from 0 to 1, computed on demand."""

    def __init__(self, images):
        self.images = images.reshape(len(images), -1)
        self.shape, self.dtype = self.images.shape, np.dtype(np.float32)

    def __getitem__(self, rows):
        return pixels(self.images[rows])

    def __len__(self):
        return len(self.images)


def _of_images(path):
    """({name: part}, the pack without its files) of the IDX files in a directory."""
    parts, schema = loading.images(path)
    found = {
        name: Part(_Pixels(images), labels.astype(np.int32))
        for name, (images, labels) in zip(("train", "test"), parts, strict=True)
    }
    return found, Pack(CLASSIFICATION, int(found["train"].y.max()) + 1, schema, (), False, {}, {})


def _of_table(path, source, folder, say, progress):
    """({name: part}, the pack without its files) of a table. X of a part are `Chosen` rows of it."""
    contents = _contents(path, source, folder, say, progress)
    size = len(contents.y)
    memory.require(memory.Needed(PER_ROW * size), f"splitting {path}", "pack fewer rows")
    test_size = int(size * source.test_ratio)
    if test_size < (2 if source.task == REGRESSION else 1):
        raise ConfigError("test_ratio", f"is {source.test_ratio:g}, which leaves too few of {size} rows: raise it.")
    train, test = loading.parts_of_rows(source, contents, test_size)
    contents = contents.with_texts_of(train)
    missing = bool(looked_through(contents.X).missing.any())
    made = Pack(source.task, len(contents.classes) or 1, contents.schema, contents.categories, missing, {}, {})
    return {"train": _part(contents, train), "test": _part(contents, test)}, made


def _part(contents, rows):
    """The part that has some rows, given by number."""
    weights = None if contents.weights is None else contents.weights[rows]
    return Part(Chosen(contents.X, rows), contents.y[rows], weights)


def _contents(path, source, folder, say, progress):
    """The contents of a table, whose X can be read by index."""
    if path.is_dir():
        files = [path / f"{name}.npy" for name in npz.wanted(source)]
    elif path.suffix == ".npz":
        files = _unpacked(path, npz.wanted(source), folder)
    else:
        return table.read(source, say, OnDisk(folder / "rows"), progress)
    return table.checked(npz.of_arrays(path, source, *map(_mapped, files)), source, say)


def _mapped(path):
    durable.check_file(path)
    with durable.explained("read", path, *durable.MALFORMED):
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _unpacked(path, names, folder):
    """Unpacks arrays of an NPZ file, each into a file of its own; returns their paths."""
    durable.check_file(path)
    with durable.explained("read", path, *durable.MALFORMED), zipfile.ZipFile(path) as archive:
        _check_free(sum(archive.getinfo(f"{name}.npy").file_size for name in names), folder)
        for name in names:
            with archive.open(f"{name}.npy") as member, open(folder / f"{name}.npy", "wb") as file:
                shutil.copyfileobj(member, file, durable.BLOCK)
    return [folder / f"{name}.npy" for name in names]


def _write(folder, name, part, progress):
    """Writes the arrays of a part; returns the names of their files."""
    files = {file_name(name, array): each for array, each in part._asdict().items() if each is not None}
    for file, array in files.items():
        with durable.explained("write", folder / file), open(folder / file, "wb") as opened:
            if array is part.X:
                _write_rows(opened, array, progress)
            else:
                np.lib.format.write_array(opened, array, allow_pickle=False)
            opened.flush()
            os.fsync(opened.fileno())
    return list(files)


def _write_rows(file, X, progress):
    """Writes X as an array of float32, some rows at a time."""
    header = {"descr": "<f4", "fortran_order": False, "shape": X.shape}
    np.lib.format.write_array_header_1_0(file, header)
    at_once = min(max(LEAST_GATHERED, int(SHARE * memory.available_memory())), MOST_GATHERED)
    rows = max(1, at_once // (np.dtype(X.dtype).itemsize * X.shape[1]))
    for first in range(0, len(X), rows):
        some = gathered(X, np.arange(first, min(len(X), first + rows)))
        file.write(some.astype(np.float32, copy=False).data)
        progress(first + len(some))
