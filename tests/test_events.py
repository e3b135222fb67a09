"""Event files, read back with TensorBoard's own loaders."""

import math
import os
import random
import struct

import numpy as np
import pytest
import runs
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.summary.writer.record_writer import masked_crc32c

from fcclf.errors import RunError
from fcclf.runs import events
from fcclf.runs.events import EventLog
from fcclf.views import animation


def read(path):
    return list(LegacyEventFileLoader(str(path)).Load())


def test_every_file_begins_with_its_version_and_a_session_start(tmp_path):
    log = EventLog(tmp_path / "train", attempt=4, first_step=17)
    log.close()
    version, start = read(log.path)
    assert version.file_version == "brain.Event:2"
    assert start.session_log.status == tf.compat.v1.SessionLog.START
    assert start.step == 17


def test_curves_have_one_point_a_step_for_each_tag(tmp_path):
    log = EventLog(tmp_path / "train", attempt=1, first_step=1)
    log.curves(5, {"loss": np.float32([0.5, 0.25]), "accuracy": np.float32([1, 0])})
    log.close()
    points = [(event.step, value.tag, value.simple_value) for event in read(log.path) for value in event.summary.value]
    assert points == [(5, "loss", 0.5), (5, "accuracy", 1), (6, "loss", 0.25), (6, "accuracy", 0)]
    assert events.read_curves(tmp_path / "train") == {"loss": {5: 0.5, 6: 0.25}, "accuracy": {5: 1, 6: 0}}


def test_the_graph_reads_back(tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        tf.constant(1.0, name="one")
    log = EventLog(tmp_path / "train", attempt=1, first_step=1)
    log.graph(graph.as_graph_def())
    log.close()
    stored = tf.compat.v1.GraphDef.FromString(read(log.path)[-1].graph_def)
    assert [node.name for node in stored.node] == ["one"]


def test_a_commit_reports_the_length_that_is_on_disk(tmp_path):
    log = EventLog(tmp_path / "train", attempt=1, first_step=1)
    log.curves(1, {"loss": np.float32([0.5])})
    assert log.commit() == log.path.stat().st_size
    assert len(read(log.path)) == 3
    log.close()


def test_attempts_are_numbered_whatever_the_clock_says(tmp_path):
    assert events.next_attempt(tmp_path) == 1
    EventLog(tmp_path / "train", attempt=1, first_step=1).close()
    EventLog(tmp_path / "test", attempt=12, first_step=1).close()
    assert events.next_attempt(tmp_path) == 13


@pytest.mark.slow
def test_a_full_disk_is_reported_by_every_write(tmp_path):
    log = EventLog(tmp_path / "train", attempt=1, first_step=1)
    log.writer.close()
    log.writer = tf.io.TFRecordWriter("/dev/full")
    for _ in range(2):
        with pytest.raises(RunError, match=r"cannot write .*000001: .*space"):
            log.curves(1, {"loss": np.zeros(100_000, np.float32)})


def test_rewritten_curves_replace_the_old_files(tmp_path):
    for attempt in (1, 2):
        EventLog(tmp_path / "train", attempt=attempt, first_step=1).close()
    for _ in range(2):
        events.rewrite(tmp_path, "train", 2, {"loss": np.float32([3, 2, 1])})
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "train",
        "train/events.out.tfevents.000002",
    ]
    assert events.read_curves(tmp_path / "train") == {"loss": {1: 3, 2: 2, 3: 1}}


def record(content, length=None):
    """A record as TensorFlow frames it, with true checksums; length: what it says, by default the truth."""
    head = struct.pack("<Q", len(content) if length is None else length)
    return b"".join([head, struct.pack("<I", masked_crc32c(head)), content, struct.pack("<I", masked_crc32c(content))])


POINT = tf.compat.v1.Event(step=1, summary={"value": [{"tag": "loss", "simple_value": 0.5}]}).SerializeToString()


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (record(b"\xff" * 40), "Error parsing message"),
        (record(b"", 2**60), "a record of 1152921504606846976 bytes"),
        (record(b"", 2**64 - 1), "a record of 18446744073709551615 bytes"),
    ],
    ids=["garbage", "huge", "hugest"],
)
def test_a_sound_record_of_something_else_is_one_sentence(tmp_path, last, words):
    file = tmp_path / "events.out.tfevents.000001"
    file.write_bytes(record(POINT) + last)
    with pytest.raises(RunError, match=rf"^cannot read {file}: {words}.*\.$"):
        events.read_curves(tmp_path)


def crafted(chance):
    """An event whose fields may hold anything, or what is no event."""
    value = tf.compat.v1.Summary.Value(tag=chance.choice(["loss", "pictures/boundary", "", "\0", "../" * 90]))
    kind = chance.choice(["number", "picture", "tensor", "histogram", "nothing"])
    if kind == "number":
        value.simple_value = chance.choice([0.5, math.nan, math.inf, -1e38])
    if kind == "picture":
        value.image.height, value.image.width = (chance.choice([0, 6, -1, 2**31 - 1]) for _ in range(2))
        value.image.encoded_image_string = chance.choice([b"", chance.randbytes(99), b"\x89PNG\r\n\x1a\n" + bytes(99)])
    if kind == "tensor":
        value.tensor.dtype = chance.choice([1, 7, 9])
        value.tensor.tensor_shape.dim.add(size=chance.choice([1, -1, 2**62]))
        value.tensor.tensor_content = chance.randbytes(chance.choice([0, 4, 99]))
    if kind == "histogram":
        value.histo.bucket.extend([math.nan] * chance.choice([0, 1, 1000]))
    event = tf.compat.v1.Event(wall_time=chance.choice([0.0, math.nan, -1e300]), step=chance.choice([0, 1, -(2**63)]))
    event.summary.value.append(value)
    content = bytearray(event.SerializeToString())
    for _ in range(chance.choice([0, 0, 1, 5])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("count", [30, runs.campaign(3000)])
def test_crafted_events_are_read_or_refused_in_one_sentence(tmp_path, count):
    file, picture = tmp_path / "events.out.tfevents.000001", tmp_path / "boundary.gif"
    for number in range(count):
        chance = random.Random(number)
        file.write_bytes(record(POINT) + b"".join(record(crafted(chance)) for _ in range(chance.randint(1, 3))))
        for read in (
            lambda: events.read_curves(tmp_path),
            lambda: animation.write(picture, events.read_pictures(tmp_path, "pictures/boundary") or [b""]),
        ):
            try:
                read()
            except RunError as error:
                runs.assert_one_sentence(error)


@pytest.mark.parametrize("last", [b"", record(POINT)[:7], record(POINT)[:-1], record(POINT, 1000), bytes(40)])
def test_a_file_that_breaks_off_is_read_up_to_there(tmp_path, last):
    (tmp_path / "events.out.tfevents.000001").write_bytes(record(POINT) + last)
    assert events.read_curves(tmp_path) == {"loss": {1: 0.5}}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_an_event_file_that_is_no_file_is_one_sentence(tmp_path, make):
    make(tmp_path / "events.out.tfevents.000001")
    with pytest.raises(RunError, match=r"cannot read .*000001: it is not a file\.$"):
        events.read_pictures(tmp_path, "pictures/boundary")


OTHERS = [  # a FileWriter's, a profiler's, and what only looks like ours
    "events.out.tfevents.1700000000.host.123.0.v2",
    "events.out.tfevents.1700000000.host.profile-empty",
    "events.out.tfevents.000001.v2",
    "events.out.tfevents.00001",
    "events.out.tfevents.000001 (copy)",
]


@pytest.mark.parametrize("name", OTHERS)
def test_other_programs_event_files_are_not_counted_read_or_touched(tmp_path, name):
    log = EventLog(tmp_path / "train", attempt=1, first_step=1)
    log.curves(1, {"loss": np.float32([0.5])})
    log.close()
    other = tmp_path / "train" / name
    log.path.rename(other)
    before = other.read_bytes()
    assert events.event_files(tmp_path) == []
    assert events.next_attempt(tmp_path) == 1
    assert events.read_curves(tmp_path / "train") == {}
    events.rewrite(tmp_path, "train", 1, {"loss": np.float32([3, 2, 1])})
    assert other.read_bytes() == before
    assert events.read_curves(tmp_path / "train") == {"loss": {1: 3, 2: 2, 3: 1}}


def test_an_event_file_does_not_go_where_a_link_leads(tmp_path):
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "events.out.tfevents.000001").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="cannot write"):
        EventLog(tmp_path / "train", attempt=1, first_step=1)
    assert (tmp_path / "elsewhere").read_text() == "precious"
