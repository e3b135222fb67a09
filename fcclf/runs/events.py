"""TensorBoard for one run directory: an `EventLog` writes the event file of one attempt in one of `DIRECTORIES`.

The directories use the same tags, so that TensorBoard overlays their curves. An attempt is one start of the program;
each has its own file, numbered rather than dated, because two starts in one second or a clock set back would mix up
dated names. On resume the files are cut back to the lengths that the checkpoint notes, so no step is in them twice. The
SessionLog START at the head of every file makes a TensorBoard that is already open drop what was cut. Files with other
names, such as a profiler's or a FileWriter's, belong to other programs: they are neither read nor touched.

Records go through tf.io.TFRecordWriter, not FileWriter: it writes in the calling thread and reports every failure,
whereas FileWriter reports the first one and then claims success.
"""

import os
import re
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

from fcclf.errors import RunError
from fcclf.system import durable

tf1 = tf.compat.v1

DIRECTORIES = ("", "train", "validation", "test")  # "": the run directory itself
PREFIX = "events.out.tfevents."
LARGEST_EVENT = 1 << 28  # bytes; no graph, picture or histogram comes near
NAME = re.compile(re.escape(PREFIX) + "([0-9]{6,12})")  # of the files of a run, by attempt


def event_files(run_path: Path) -> list[Path]:
    """Every event file of a run, oldest attempt first within each directory."""
    return [file for name in DIRECTORIES for file in _files(run_path / name)]


def _files(directory):
    return sorted((file for file in directory.glob(PREFIX + "*") if NAME.fullmatch(file.name)), key=attempt_of)


def attempt_of(file: Path) -> int:
    """The attempt that wrote an event file, from the file's name."""
    return int(NAME.fullmatch(file.name)[1])


def next_attempt(run_path: Path) -> int:
    """A number above those of all event files of the run."""
    return max(map(attempt_of, event_files(run_path)), default=0) + 1


def read_curves(directory: Path) -> dict[str, dict[int, float]]:
    """{tag: {step: value}} of the scalars in a directory's event files. Raises RunError as `read_values` does."""
    curves = {}
    for step, value in read_values(directory):
        if value.HasField("simple_value"):
            curves.setdefault(value.tag, {})[step] = value.simple_value
    return curves


def read_values(directory: Path) -> Iterator[tuple[int, tf1.Summary.Value]]:
    """(step, value) of every summary in a directory's event files, in file order.

    A truncated file, such as one that is being written, is read up to where it breaks off. Raises RunError if a file
    holds anything but events.
    """
    for file in _files(directory):
        with durable.explained("read", file, tf.errors.OpError, DecodeError):
            _check_lengths(file)
            for raw in RawEventFileLoader(str(file)).Load():
                event = tf1.Event.FromString(raw)
                for value in event.summary.value:
                    yield event.step, value


def _check_lengths(path):
    """Raises RunError if a record claims a length that TensorFlow could not allocate memory for."""
    durable.check_file(path)
    with open(path, "rb") as file:
        while len(head := file.read(12)) == 12:  # length, checksum of the length, then the data and their checksum
            (length,) = struct.unpack_from("<Q", head)
            if length > LARGEST_EVENT:
                raise RunError(f"cannot read {path}: a record of {length} bytes is none of TensorBoard's.")
            file.seek(length + 4, 1)


def read_pictures(run_path: Path, tag: str) -> list[bytes]:
    """The PNGs with this tag in the run directory itself, in the order of their epochs. Raises RunError."""
    pictures = {step: value.image.encoded_image_string for step, value in read_values(run_path) if value.tag == tag}
    return [picture for _, picture in sorted(pictures.items())]


def rewrite(run_path: Path, name: str, attempt: int, metrics: dict[str, np.ndarray]):
    """Replaces the event files of directory `name` with one of that attempt with these curves, {tag: values from step 1
    on}. The file is renamed into its place before the others are deleted."""
    directory, temporary = run_path / name, run_path / ".tmp-events"
    shutil.rmtree(temporary, ignore_errors=True)
    log = EventLog(temporary, attempt, first_step=1)
    log.curves(1, metrics)
    log.commit()
    log.close()
    durable.make_directory(directory)
    durable.rename(log.path, directory / log.path.name)
    with durable.explained("delete", directory):
        temporary.rmdir()
        for file in _files(directory):
            if file.name != log.path.name:
                file.unlink()
    durable.sync(directory)


class EventLog:
    """An open event file. `first_step` is the first step that will be written."""

    def __init__(self, directory: Path, attempt: int, first_step: int):
        self.path, self.committed = directory / f"{PREFIX}{attempt:06d}", 0
        with self._explained():
            durable.make_directory(directory)
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # TensorFlow would follow a link
            self.writer = tf.io.TFRecordWriter(str(self.path))
            self._write(file_version="brain.Event:2")
            self._write(step=first_step, session_log=tf1.SessionLog(status=tf1.SessionLog.START))
            durable.sync(directory)

    def graph(self, definition: tf1.GraphDef):
        """Adds a graph, for the Graphs tab."""
        with self._explained():
            self._write(graph_def=definition.SerializeToString())

    def curves(self, first_step: int, metrics: dict[str, np.ndarray]):
        """Adds points to each tag's curve. metrics: {tag: values of first_step and the steps after it}."""
        if not metrics:
            return
        rows = np.column_stack(list(metrics.values())).tolist()
        event = tf1.Event(summary=tf1.Summary(value=[tf1.Summary.Value(tag=tag) for tag in metrics]))
        points = list(event.summary.value)
        with self._explained():
            for step, row in enumerate(rows, start=first_step):  # one event for all: making them takes most of the time
                event.wall_time, event.step = time.time(), step
                for point, value in zip(points, row, strict=True):
                    point.simple_value = value
                self.writer.write(event.SerializeToString())

    def summary(self, step: int, serialized: bytes):
        """Adds a Summary that the graph made."""
        with self._explained():
            self._write(step=step, summary=tf1.Summary.FromString(serialized))

    def flush(self):
        """Writes all buffered events to the file."""
        with self._explained():
            self.writer.flush()

    def commit(self) -> int:
        """Writes every event to disk, with an fsync; returns the file's length in bytes."""
        self.flush()
        with self._explained():
            length = self.path.stat().st_size
            if length != self.committed:  # an fsync is not cheap
                durable.sync(self.path)
            self.committed = length
            return length

    def close(self):
        """Closes the file."""
        with self._explained():
            self.writer.close()

    def _write(self, **fields):
        self.writer.write(tf1.Event(wall_time=time.time(), **fields).SerializeToString())

    def _explained(self):
        return durable.explained("write", self.path, tf.errors.OpError)
