"""One version of a model in a session: a SavedModel, whoever made it, and what its maker noted beside it.

On disk: VERSION/saved_model.pb, variables/, assets/; and assets.extra/model.json if `fcclf export` made it. Of a
SavedModel from elsewhere only the signatures are known.
"""

import contextlib
import gc
import json
import math
import os
import secrets
import stat
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from fcclf.data.schema import Schema
from fcclf.errors import RunError
from fcclf.learning.predictor import session_config
from fcclf.serving.server import statuses
from fcclf.serving.server.examples import Features, Wanted
from fcclf.serving.server.signatures import DEFAULT, Signature, signatures
from fcclf.serving.server.statuses import RequestError
from fcclf.system import durable
from fcclf.system.durable import LONGEST_REASON, MALFORMED, explained, reason

tf1 = tf.compat.v1

SAVED_MODEL, TEXT_MODEL = "saved_model.pb", "saved_model.pbtxt"
FORMAT = 1  # of model.json
MOST_THREADS = 1024
LARGEST_GRAPH = 2**31  # bytes of the graph, as many as TensorFlow can read
LARGEST_NOTES = 64_000_000  # bytes of model.json; 5 examples of a million features
STATUSES = {  # those that TensorFlow Serving gives for errors of the graph
    tf.errors.InvalidArgumentError: statuses.BAD,
    tf.errors.FailedPreconditionError: statuses.BAD,
    tf.errors.OutOfRangeError: statuses.BAD,
    tf.errors.NotFoundError: statuses.NOT_FOUND,
    tf.errors.UnimplementedError: statuses.NOT_IMPLEMENTED,
    tf.errors.ResourceExhaustedError: statuses.TOO_MANY,
    tf.errors.UnavailableError: statuses.UNAVAILABLE,
    tf.errors.DeadlineExceededError: statuses.TIMED_OUT,
}


class Notes(NamedTuple):
    """The content of model.json. task: "classification", "multilabel" or "regression"; layers: a table, as text;
    missing: whether numbers may be missing; note: whatever else; examples: float [rows, features] or None; ranges:
    float [features, 2], least and largest, or None."""

    task: str
    schema: Schema
    n_features: int
    layers: str
    missing: bool
    note: dict
    examples: np.ndarray | None
    ranges: np.ndarray | None

    @property
    def threads(self) -> int:
        """Number of threads of the run that the model comes from; 1 if that is not known."""
        found = self.note.get("threads")
        return found if isinstance(found, int) and 1 <= found <= MOST_THREADS else 1

    @property
    def example_features(self) -> Features:
        """The features that the model takes from a tf.Example."""
        columns = {
            column.name: Wanted(bool(column.categories), 1, bool(column.categories) or self.missing)
            for column in self.schema.columns
        }
        return columns or {"X": Wanted(False, self.n_features, self.missing)}


class Model:
    """A version in its own session.

    path: its folder; number: its version; signatures: {name: Signature} of those that can be called; notes: `Notes`, or
    None; token: unique to this object, for addresses that browsers cache. threads: of the session, on which the last
    bits of an answer may depend; 0: as many as the run had. Raises RunError if it cannot be loaded. It must not be
    closed while it is in use: see `held`.
    """

    def __init__(self, path: Path, number: int, threads: int = 0):
        self.path, self.number, self.users = path, number, 0
        self.token = secrets.token_hex(4)
        self._lock = threading.Lock()
        self.notes = _read_notes(path)
        threads = threads or (self.notes.threads if self.notes else 1)
        self.session = tf1.Session(graph=tf.Graph(), config=session_config(threads))
        try:
            with explained("serve", path, Exception):  # loading another's program may raise anything
                self._load()
        except RunError:
            self.close()
            raise

    def _load(self):
        if not any((self.path / name).is_file() for name in (SAVED_MODEL, TEXT_MODEL)):
            others = " and ".join(each.name for each in sorted(self.path.glob("model.*")))
            raise ValueError(f"it has no {SAVED_MODEL}, but {others or 'other things'}, so it is no whole SavedModel")
        _check_files(self.path)
        with self.session.graph.as_default():
            definition = tf1.saved_model.load(self.session, [tf1.saved_model.tag_constants.SERVING], str(self.path))
        self.definitions = dict(definition.signature_def)
        self.signatures = self._signatures()
        self.calls = {name: self._callable(each) for name, each in self.signatures.items()}
        if self.notes:
            self._check_notes()
        self._warm_up()

    def _signatures(self):
        found = signatures(self.definitions)
        if not self.notes:
            return found
        return {
            name: each.with_missing(self.notes.missing) if each.method == "predict" else each
            for name, each in found.items()
        }

    def _callable(self, signature):
        fetches, feeds = ([spec.tensor for spec in side.values()] for side in (signature.outputs, signature.inputs))
        return self.session.make_callable(fetches, feeds)

    def _check_notes(self):
        inputs = self.signatures[DEFAULT].inputs if DEFAULT in self.signatures else {}
        if list(inputs) != ["X"] or inputs["X"].shape != (None, self.notes.n_features):
            raise ValueError(f"its model.json is of a model of {self.notes.n_features} features, and it is not one")

    def _warm_up(self):
        """Calls each signature once, because the first call is the slowest. Only with notes is it known what the
        default signature takes; others may fail."""
        for name, signature in self.signatures.items():
            known = self.notes and name == DEFAULT
            with contextlib.nullcontext() if known else contextlib.suppress(Exception):
                self.calls[name](*map(_row, signature.inputs.values()))

    def answer(self, signature: Signature, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
        """{output: array} for arrays in the order of the inputs. Raises RequestError."""
        try:
            outputs = self.calls[signature.name](*arrays)
        except tf.errors.OpError as error:
            status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), statuses.FAILED)
            raise RequestError(f"the model cannot answer: {_told(error)}.", status) from None
        except ValueError as error:
            raise RequestError(f"the model cannot answer: {reason(error)}.") from None
        except MemoryError:
            raise RequestError("there is not enough memory for these rows: send fewer.", statuses.TOO_MANY) from None
        return dict(zip(signature.outputs, outputs, strict=True))

    @contextlib.contextmanager
    def held(self):
        """Counts a user of the session inside the block, during which it is not closed."""
        with self._lock:
            self.users += 1
        try:
            yield self
        finally:
            with self._lock:
                self.users -= 1

    def metadata(self) -> dict:
        """The signatures as TensorFlow Serving reports them."""
        settings = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
        told = {name: json_format.MessageToDict(each, **settings) for name, each in self.definitions.items()}
        return {"signature_def": told}

    def close(self):
        """Closes the session and frees its memory."""
        self.calls = {}
        self.session.close()
        self.session = None
        gc.collect()  # a graph is full of reference cycles


def _told(error):
    """The message of an operation that failed, without the nodes and lines of the graph around it."""
    lines = [line.strip() for line in error.message.split("\nNode:")[-1].splitlines()]
    told = [line for line in lines if line and not line.startswith(("[[", "'"))] or [reason(error)]
    return told[0][:LONGEST_REASON].rstrip(".:")


def _check_files(path):
    """Raises ValueError if the graph is too large, or if something is not a file, such as a pipe, where loading could
    hang."""
    for folder, _, names in os.walk(path):
        for name in names:
            status = os.stat(os.path.join(folder, name))
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{name} is not a file")
            if name in (SAVED_MODEL, TEXT_MODEL) and status.st_size > LARGEST_GRAPH:
                raise ValueError(f"{name} is larger than {LARGEST_GRAPH} bytes")


def _row(spec):
    shape = [1 if length is None else length for length in spec.shape or ()]
    return np.full(shape, b"", object) if spec.is_text else np.zeros(shape, spec.dtype)


def _read_notes(path):
    """The content of assets.extra/model.json; None if there is none from fcclf. Raises RunError if it is damaged."""
    file = path / "assets.extra" / "model.json"
    if not file.exists():
        return None
    durable.check_file(file)
    with explained("read", file, *MALFORMED):
        if file.stat().st_size > LARGEST_NOTES:
            raise ValueError(f"it is larger than {LARGEST_NOTES} bytes")
        stored = json.loads(file.read_bytes())
        if not isinstance(stored, dict):
            raise ValueError("it is no object")
        if "format" not in stored:
            return None
        if stored["format"] != FORMAT:
            raise ValueError(f"its format is {stored['format']!r}, and this fcclf reads {FORMAT}")
        return _notes(stored)


def _notes(stored):
    n_features, examples = int(stored["n_features"]), stored["examples"]
    rows = None if examples is None else np.array(examples["X"], float).reshape(-1, n_features)
    ranges = None if stored["ranges"] is None else np.array(stored["ranges"], float).reshape(n_features, 2)
    schema = Schema.from_dict(stored["schema"])
    if len(schema.columns) not in (0, n_features):
        raise ValueError(f"it names {len(schema.columns)} columns of {n_features}")
    if schema.image_shape and math.prod(schema.image_shape) != n_features:
        raise ValueError(f"images of {schema.image_shape} do not have {n_features} features")
    missing = bool(stored.get("missing", False))
    return Notes(
        str(stored["task"]), schema, n_features, str(stored["layers"]), missing, dict(stored["note"]), rows, ranges
    )
