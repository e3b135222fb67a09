"""IDX files, the format of MNIST and Fashion-MNIST: a header of big-endian 32-bit numbers, then bytes.

The header has a magic number, 0x800 + the number of dimensions, and the length of each dimension.
"""

import contextlib
import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from fcclf.errors import RunError
from fcclf.system import durable, memory

PARTS = {"train": "train", "test": "t10k"}  # part: what the names of its files begin with
MOST_PACKED = 1032  # bytes that gzip compresses into one, at most
PER_BYTE = 5  # bytes of memory for each: as it is read, and as a float32


def find_all(directory: Path):
    """Raises RunError if one of the four files is missing."""
    for part in PARTS:
        _paths(directory, part)


def _paths(directory, part):
    """[path of the images, path of the labels] of a part."""
    with durable.explained("read", directory):
        return [_find(directory, f"{PARTS[part]}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]


def read_part(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [samples, height, width], and labels, uint8 [samples], of the train or test part.

    Raises RunError if a file is missing, damaged or does not fit the other.
    """
    paths = _paths(directory, part)
    images, labels = (read(path, dimensions) for path, dimensions in zip(paths, (3, 1), strict=True))
    if len(images) != len(labels):
        found = f"{paths[0]} has {len(images)} images, but {paths[1]} has {len(labels)} labels"
        raise RunError(f"{found}: download both again.")
    return images, labels


def read(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array in an IDX file, gzip-compressed or not. At most one byte more is read than its header declares.

    Raises RunError if it is not one of `dimensions`, or too large for memory.
    """
    with durable.explained("read", path, *durable.MALFORMED), _opened(path) as file:
        shape = _shape(file, dimensions, path)
        size, declared = math.prod(shape), " x ".join(map(str, shape))
        if size > MOST_PACKED * path.stat().st_size:
            raise RunError(f"{path} is too short for {declared} bytes, as its head declares: download it again.")
        memory.require(memory.Needed(PER_BYTE * size), f"reading {path}", "take fewer samples")
        content = file.read(size + 1)
        if len(content) != size:
            found = f"{len(content)} bytes" if len(content) < size else "more bytes"
            raise RunError(f"{path} has {found} after its head, but its head declares {declared}: download it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(file, dimensions, path):
    """The length of each dimension, from the header of an open file."""
    magic, length = 0x800 + dimensions, 4 * (1 + dimensions)
    head = file.read(length)
    if len(head) < length or int.from_bytes(head[:4], "big") != magic:
        raise RunError(f"{path} does not begin with {magic:#010x}, as IDX files of {dimensions} dimensions do.")
    return struct.unpack(f">{dimensions}I", head[4:])


@contextlib.contextmanager
def _opened(path):
    """The file at `path`, open inside the block and decompressed as it is read."""
    durable.check_file(path)
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield gzip.GzipFile(fileobj=file) if packed else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RunError(f"{path} cannot be unpacked ({error}): download it again.") from error


def _find(directory, name):
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    raise RunError(
        f"there is no {name}, also not with .gz, in {directory}: install Debian's package dataset-fashion-mnist, or "
        "download the four files of MNIST or Fashion-MNIST and name their directory with --data-dir."
    )
