"""Checkpoints that someone hostile wrote: whatever the index says, a sentence or the variables come of it.

TensorFlow ends the process at some of them, so each is read in a process of its own.
"""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
import runs
import tensorflow as tf
from tensorboard.summary.writer.record_writer import masked_crc32c
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from fcclf.errors import RunError
from fcclf.runs import checkpoint
from fcclf.system import bundle

tf1 = tf.compat.v1


@pytest.fixture
def prefix(tmp_path):
    """The prefix of a checkpoint of a matrix, a counter and a vector."""
    with tf.Graph().as_default(), tf1.Session() as session:
        for name, value in (("fc1/kernel", np.ones((2, 6), np.float32)), ("global_step", 3), ("fc1/bias", [1.0, 2.0])):
            tf1.get_variable(name, initializer=tf.constant(value))
        session.run(tf1.global_variables_initializer())
        return tf1.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)


# ---- a writer of tables ----------------------------------------------------------------------------------------------


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def block(entries, restarts=(0,)):
    """A block with its trailer, keys whole."""
    parts = [b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in entries]
    content = b"".join(parts) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)) + b"\0"
    return content + struct.pack("<I", masked_crc32c(content))


def place(offset, content):
    return varint(offset) + varint(len(content) - bundle.TRAILER)


def table(entries):
    """The bytes of an index of these entries, all checksums true."""
    data, empty = block(entries), block([])
    index = block([(b"\xff", place(0, data))])
    handles = place(len(data), empty) + place(len(data + empty), index)
    return data + empty + index + handles.ljust(40, b"\0") + struct.pack("<Q", bundle.MAGIC)


def messages(prefix):
    """{name: message} of the index of a sound checkpoint, the header under ""."""
    entries = {key.decode(): value for key, value in bundle._table(Path(prefix + ".index").read_bytes())}
    return {
        name: (BundleEntryProto if name else BundleHeaderProto).FromString(value) for name, value in entries.items()
    }


def write(prefix, changed):
    entries = [(name.encode(), each.SerializeToString()) for name, each in sorted(changed.items())]
    Path(prefix + ".index").write_bytes(table(entries))


def test_an_index_that_is_written_again_reads_as_before(prefix):
    before = bundle.shapes(prefix)
    write(prefix, messages(prefix))
    assert bundle.shapes(prefix) == before == {"fc1/kernel": [2, 6], "fc1/bias": [2], "global_step": []}
    np.testing.assert_array_equal(tf.train.load_variable(prefix, "fc1/bias"), [1, 2])


def test_every_shape_is_that_of_tensorflow_and_other_types_are_left_out(finished_run, tmp_path):
    found = checkpoint.find(str(finished_run))
    assert bundle.shapes(found) == tf.train.load_checkpoint(found).get_variable_to_shape_map()
    tf.train.Checkpoint(vector=tf.Variable([1.0, 2.0])).write(str(tmp_path / "objects"))
    assert bundle.shapes(str(tmp_path / "objects")) == {"vector/.ATTRIBUTES/VARIABLE_VALUE": [2]}


@pytest.mark.slow
def test_a_large_index_of_many_blocks_is_read(tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        for number in range(300):
            tf1.get_variable(f"a_variable_with_a_long_name_of_{number}", initializer=tf.zeros((1, number)))
        session.run(tf1.global_variables_initializer())
        prefix = tf1.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    assert bundle.shapes(prefix) == tf.train.load_checkpoint(prefix).get_variable_to_shape_map()


# ---- hostile indexes -------------------------------------------------------------------------------------------------

NUMBERS = (-(2**63), -(2**31), -1, 0, 1, 2, 7, 128, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)


def change_shape(entry, chance):
    dimensions = [chance.choice(NUMBERS) for _ in range(chance.choice((0, 1, 2, 3, 33, 255, 1000)))]
    entry.ClearField("shape")
    for size in dimensions:
        entry.shape.dim.add(size=size)


def change_one_length(entry, chance):
    entry.shape.dim.add(size=chance.choice(NUMBERS))


def forget_rank(entry, chance):
    entry.shape.unknown_rank = True


def change_type(entry, chance):
    entry.dtype = chance.choice([*range(33), 101, 107, 120, 1000, 2**31 - 1, -1])


def change_place(entry, chance):
    entry.offset, entry.size = chance.choice(NUMBERS), chance.choice([entry.size, *NUMBERS])


def change_shard(entry, chance):
    entry.shard_id = chance.choice([number for number in NUMBERS if -(2**31) <= number < 2**31])


def change_checksum(entry, chance):
    entry.crc32c ^= 1


def add_slice(entry, chance):
    part = entry.slices.add()
    for _ in range(chance.choice((0, 2, 3))):
        part.extent.add(start=chance.choice(NUMBERS), length=chance.choice(NUMBERS))


def change_header(header, chance):
    header.num_shards = chance.choice([header.num_shards, -(2**31), -1, 0, 2, 2**31 - 1])
    header.endianness = chance.choice([0, 0, 1, 7, -1])
    header.version.producer = chance.choice([1, 0, -1, 2**31 - 1])
    header.version.min_consumer = chance.choice([0, 0, -1, 2**31 - 1])


CHANGES = (change_shape, change_one_length, forget_rank, change_type, change_place, change_shard, change_checksum)
CHANGES += (add_slice,)


def craft(prefix, chance):
    """Makes a sound checkpoint a hostile one; says how."""
    path = Path(prefix + ".index")
    if chance.random() < 0.2:
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 2, 5))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        return "bytes"
    if chance.random() < 0.1:
        entries = [(chance.randbytes(chance.randint(0, 9)), chance.randbytes(chance.randint(0, 40))) for _ in range(3)]
        path.write_bytes(table(chance.choice((entries, sorted(entries), [(b"", b""), *entries], []))))
        return "garbage"
    changed = messages(prefix)
    name = chance.choice(list(changed))
    how = chance.choice(CHANGES) if name else change_header
    how(changed[name], chance)
    write(prefix, changed)
    return f"{how.__name__} {name}: {changed[name]}"


def came_of(prefix):
    """What the reading of a checkpoint gives, by both of its ways: names, or the sentence that refuses it."""
    with tf.Graph().as_default(), tf1.Session() as session:
        variables = [tf1.get_variable(*each) for each in (("fc1/kernel", (2, 6)), ("fc1/bias", (2,)))]
        session.run(tf1.global_variables_initializer())
        found = checkpoint.Checkpoint(Path(prefix).parent, 0, 0, {})
        answers = []
        for read in (lambda: checkpoint.load_matching(session, prefix, variables), lambda: checkpoint.values(found)):
            try:
                answers.append(list(read()))
            except RunError as error:
                answers.append(str(error))
        return answers


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, runs.campaign(400)])
def test_a_hostile_index_never_ends_the_process(prefix, count):
    sound, refused = Path(prefix + ".index").read_bytes(), 0
    for number in range(count):
        Path(prefix + ".index").write_bytes(sound)
        print(number, craft(prefix, random.Random(number)))
        answers = runs.elsewhere(came_of, prefix)
        sentences = [answer for answer in answers if isinstance(answer, str)]
        assert all(len(each) < 600 and "\n" not in each for each in sentences), sentences
        refused += bool(sentences)
    assert refused > count / 2


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("fc1/bias", {"offset": 2**62}, "fc1/bias is not inside model.ckpt.data-00000-of-00001"),
        ("fc1/bias", {"size": 9}, r"fc1/bias of float32 \[2\] does not have 9 bytes"),
        ("fc1/bias", {"shard_id": 1}, "fc1/bias is in a file with a number"),
        ("fc1/bias", {"dtype": 101}, r"fc1/bias of float32_ref \[2\] does not have"),
        ("", {"num_shards": 0}, "it has no header that this machine can read"),
        ("", {"endianness": 1}, "it has no header that this machine can read"),
    ],
)
def test_what_is_wrong_with_an_index_is_said(prefix, name, changes, words):
    changed = messages(prefix)
    for field, value in changes.items():
        setattr(changed[name], field, value)
    write(prefix, changed)
    with pytest.raises(RunError, match=f"^cannot read {prefix}.index: {words}"):
        bundle.shapes(prefix)


@pytest.mark.parametrize("content", [b"", b"text\n" * 20, bytes(48), b"\xff" * 4000])
def test_a_file_that_is_no_index_is_one_sentence(prefix, content):
    Path(prefix + ".index").write_bytes(content)
    with pytest.raises(RunError, match=r"\.index: it is no index of a checkpoint\.$"):
        bundle.shapes(prefix)


def test_missing_data_are_one_sentence(prefix):
    Path(prefix + ".data-00000-of-00001").unlink()
    with pytest.raises(RunError, match=r"cannot read .*data-00000-of-00001: No such file or directory\.$"):
        bundle.shapes(prefix)
