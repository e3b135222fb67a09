"""The content of a TensorFlow checkpoint, checked before TensorFlow reads it: an index that describes no possible
tensor would end the process, not just the call.

    PREFIX.index                     a table: under "" a BundleHeaderProto, under each name a BundleEntryProto
    PREFIX.data-00000-of-00001       the bytes of the tensors, where the entries say

A table (tensorflow/core/lib/io/format.cc and table.cc, LevelDB's format without compression) consists of blocks, each
followed by a byte for its compression and a checksum, and of a footer with the place of the index block, whose entries
say where the other blocks are. A block consists of entries and of the offsets of those entries that have a whole key.
An entry consists of three numbers and the bytes they describe: how many bytes of the key are shared with the entry
before, how many follow, and the length of the value; then the rest of the key, and the value. Checksums are left to
TensorFlow, which reports a wrong one.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from fcclf.system import durable

LARGEST_INDEX = 16_000_000  # bytes; of some 100,000 variables
FOOTER, MAGIC, TRAILER = 48, 0xDB4775248B80FB57, 5  # bytes; the value of the last eight; bytes after a block
MOST_DIMENSIONS, MOST_ELEMENTS = 32, 1 << 40
OTHERS = (tf.string, tf.resource, tf.variant)  # types that are not arrays of numbers


def shapes(prefix: str) -> dict[str, list[int]]:
    """{name: shape} of the arrays of numbers in a checkpoint. Raises RunError if its index is not sound."""
    index = Path(prefix + ".index")
    with durable.explained("read", index, *durable.MALFORMED, DecodeError):
        durable.check_file(index)
        if index.stat().st_size > LARGEST_INDEX:
            raise ValueError(f"it is larger than {LARGEST_INDEX} bytes")
        (key, value), *others = _table(index.read_bytes())
        header = BundleHeaderProto.FromString(value)
        if key or not 1 <= header.num_shards <= 1 + len(others) or header.endianness != BundleHeaderProto.LITTLE:
            raise ValueError("it has no header that this machine can read")
        entries = {name.decode(): BundleEntryProto.FromString(value) for name, value in others}
        _check_places(prefix, header.num_shards, entries)
        return {name: _shape(name, entry) for name, entry in entries.items() if entry.dtype not in OTHERS}


def _check_places(prefix, n_shards, entries):
    """Raises ValueError if an entry lies outside the data files."""
    sizes = {}
    for name, entry in entries.items():
        if not 0 <= entry.shard_id < n_shards:
            raise ValueError(f"{name} is in a file with a number that the header does not declare")
        data = Path(f"{prefix}.data-{entry.shard_id:05d}-of-{n_shards:05d}")
        if data not in sizes:
            durable.check_file(data)
            sizes[data] = data.stat().st_size
        if min(entry.offset, entry.size) < 0 or entry.offset + entry.size > sizes[data]:
            raise ValueError(f"{name} is not inside {data.name}")
        _shape(name, entry)


def _shape(name, entry):
    """The shape of an entry. Raises ValueError unless it is that of a whole variable with as many bytes as the entry
    has."""
    if entry.slices:
        raise ValueError(f"{name} is saved in slices, which cannot be read")
    shape, kind = [each.size for each in entry.shape.dim], tf.as_dtype(entry.dtype)
    known = not entry.shape.unknown_rank and len(shape) <= MOST_DIMENSIONS and min(shape, default=0) >= 0
    if not known or math.prod(max(each, 1) for each in shape) > MOST_ELEMENTS:
        raise ValueError(f"{name} has a shape that no variable has")
    if kind not in OTHERS and (kind != kind.base_dtype or kind.size * math.prod(shape) != entry.size):
        raise ValueError(f"{name} of {kind.name} {shape} does not have {entry.size} bytes")
    return shape


# ---- the table -------------------------------------------------------------------------------------------------------


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every entry in order. Raises ValueError or IndexError if the table is not sound."""
    footer = content[-FOOTER:]
    if len(footer) < FOOTER or int.from_bytes(footer[-8:], "little") != MAGIC:
        raise ValueError("it is no index of a checkpoint")
    _, _, offset, size, *_ = _varints(footer, 0, 4)
    last = None
    for _, place in _block(content, offset, size):
        offset, size, _ = _varints(place, 0, 2)
        for key, value in _block(content, offset, size):
            if last is not None and key <= last:
                raise ValueError("its names are not in order")
            yield key, value
            last = key


def _block(content, offset, size):
    if offset + size + TRAILER > len(content) or size < 4:
        raise ValueError("a block is not inside it")
    if content[offset + size]:
        raise ValueError("it is compressed")
    block, key, at, whole = content[offset : offset + size], b"", 0, {0}
    numbers = memoryview(block[size % 4 :]).cast("I")
    end = size - 4 * (numbers[-1] + 1)
    while at < end:
        shared, added, length, first = _varints(block, at, 3)
        if shared > len(key) or first + added + length > end:
            raise ValueError("an entry is not inside its block")
        whole |= set() if shared else {at}
        key, at = key[:shared] + block[first : first + added], first + added + length
        yield key, block[at - length : at]
    if at != end or not whole.issuperset(numbers[-1 - numbers[-1] : -1]):
        raise ValueError("the places of its entries are not those of a table")


def _varints(content, at, count):
    """`count` variable-length numbers, of seven bits in each byte, from byte `at` on; and the position after them."""
    found = []
    for _ in range(count):
        number = 0
        for shift in range(0, 64, 7):
            byte = content[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                break
        found.append(number)
    return *found, at
