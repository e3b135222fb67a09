"""IDX files, the format of MNIST and Fashion-MNIST: a head of big-endian 32-bit numbers, then bytes.

The head has a magic number, 0x800 + the number of dimensions, and the length of each dimension.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from fcclf.durable import explained
from fcclf.errors import RunError

PARTS = {"train": "train", "test": "t10k"}  # part: what the names of its files begin with


def read_part(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [samples, height, width], and labels, uint8 [samples], of the train or test part.

    Raises RunError if a file is missing, damaged or does not fit the other.
    """
    paths = [_find(directory, f"{PARTS[part]}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    images, labels = (read(path, dimensions) for path, dimensions in zip(paths, (3, 1), strict=True))
    if len(images) != len(labels):
        raise RunError(f"{paths[0]} has {len(images)} images, but {paths[1]} has {len(labels)} labels: get both anew.")
    return images, labels


def read(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array in an IDX file, packed by gzip or not. Raises RunError if it is not one of `dimensions`."""
    content = _content(path)
    magic, length = 0x800 + dimensions, 4 * (1 + dimensions)
    if len(content) < length or int.from_bytes(content[:4], "big") != magic:
        raise RunError(f"{path} does not begin with {magic:#010x}, as IDX files of {dimensions} dimensions do.")
    shape = struct.unpack(f">{dimensions}I", content[4:length])
    if len(content) - length != math.prod(shape):
        raise RunError(
            f"{path} has {len(content) - length} bytes after its head, but its head tells of "
            f"{' x '.join(map(str, shape))}: get it anew."
        )
    return np.frombuffer(content, np.uint8, offset=length).reshape(shape)


def _content(path):
    with explained("read", path):
        packed = path.read_bytes()
        if packed[:2] != b"\x1f\x8b":
            return packed
        try:
            return gzip.decompress(packed)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RunError(f"{path} cannot be unpacked ({error}): get it anew.") from error


def _find(directory, name):
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    raise RunError(
        f"there is no {name}, also not with .gz, in {directory}: install Debian's package dataset-fashion-mnist, or "
        "download the four files of MNIST or Fashion-MNIST and name their directory with --data-dir."
    )
