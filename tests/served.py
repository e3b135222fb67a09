"""SavedModels to be served, written by TensorFlow alone, whose answers can be worked out in one's head.

Of version N, a row (a, b) has the logits N a, N b and -N (a + b): an answer tells which version it comes from.
"""

import contextlib
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from starlette.testclient import TestClient

from fcclf.data.schema import Column, Schema
from fcclf.serving.server.app import Server
from fcclf.serving.server.metrics import Metrics
from fcclf.serving.server.versions import Versions
from fcclf.settings.serving import Serving

tf1 = tf.compat.v1
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{each}" for each in ("predict", "classify", "regress"))
CLASSES = ("red", "green", "blue")
NAMED = Schema((Column("width"), Column("height")), True, "colour", CLASSES)
EXAMPLES = [[1.0, 2.0], [-2.0, 0.5], [0.25, -1.0]]
RANGES = [[-2.0, 2.0], [-1.0, 3.0]]
WRITTEN = tempfile.TemporaryDirectory()  # deleted when the process ends


def logits(version: int, X) -> np.ndarray:
    """float32 [rows, 3], what that version answers."""
    X = np.asarray(X, np.float32)
    return version * np.column_stack([X, -X.sum(axis=1)])


def write(directory: Path, version: int = 1, schema: Schema = NAMED, task="classification", **notes) -> Path:
    """DIR/VERSION with a model of two features, which appears by one rename. notes: entries of model.json that are
    other than usual; format=None: no model.json."""
    directory.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(dir=directory, prefix=".tmp-"))
    shutil.copytree(_written(version, schema, task), hidden / "saved")
    if notes.get("format", 1) is not None:
        stored = {
            "format": 1,
            "task": task,
            "schema": schema.to_dict(),
            "n_features": 2,
            "layers": "dense 3",
            "note": {},
        }
        stored |= {"examples": {"X": EXAMPLES}, "ranges": RANGES} | notes
        (hidden / "saved" / "assets.extra").mkdir()
        (hidden / "saved" / "assets.extra" / "model.json").write_text(json.dumps(stored))
    os.rename(hidden / "saved", directory / str(version))
    shutil.rmtree(hidden)
    return directory / str(version)


@functools.cache
def _written(version, schema, task):
    """A SavedModel that is written once and then copied."""
    build = {"classification": _classifies, "multilabel": _labels, "regression": _measures}[task]
    return foreign(Path(tempfile.mkdtemp(dir=WRITTEN.name)) / "saved", lambda: build(version, schema))


@contextlib.contextmanager
def client(path: Path, **settings):
    """A client of a server in this process, of the versions in `path`. server: the `Server`; said: its sentences."""
    said, metrics = [], Metrics()
    versions = Versions(path, say=said.append, heard=metrics.heard)
    versions.look()
    server = Server(versions, Serving(**settings), said.append, metrics)
    with TestClient(server.app, raise_server_exceptions=False, follow_redirects=False) as client:
        client.server, client.said = server, said
        yield client
    server.batcher.close()
    versions.current.close()


def foreign(path: Path, build) -> Path:
    """A SavedModel at `path`. build: a function of nothing to {signature: (inputs, outputs, method)}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default() as graph, tf1.Session(graph=graph) as session:
        signatures = {name: signature(*each) for name, each in build().items()}
        session.run(tf1.global_variables_initializer())
        builder = tf1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, [tf1.saved_model.tag_constants.SERVING], signatures)
        builder.save()
    return path


def signature(inputs, outputs, method=PREDICT):
    """A SignatureDef of {name: tensor}."""
    info = tf1.saved_model.utils.build_tensor_info
    sides = [{name: info(tensor) for name, tensor in side.items()} for side in (inputs, outputs)]
    return tf1.saved_model.signature_def_utils.build_signature_def(*sides, method)


def _logits(version, X):
    scale = tf1.get_variable("scale", initializer=float(version), use_resource=True)
    return scale * tf.concat([X, -tf.reduce_sum(X, axis=1, keepdims=True)], axis=1)


def _inputs(version, schema):
    """(placeholders by name, logits) of X, of the columns, and of examples."""
    with tf1.variable_scope("", reuse=tf1.AUTO_REUSE):
        X, examples = tf1.placeholder(tf.float32, (None, 2), "X"), tf1.placeholder(tf.string, (None,), "examples")
        named = [tf1.placeholder(tf.string if each.categories else tf.float32, (None,)) for each in schema.columns]
        places = [_places(tensor, column) for tensor, column in zip(named, schema.columns, strict=True)]
        of_columns = _logits(version, tf.stack(places, axis=1)) if places else None
        of_examples = _logits(version, _parsed(examples, schema))
        by_name = dict(zip(schema.names, named, strict=True))
        return ({"X": X}, _logits(version, X)), (by_name, of_columns), ({"inputs": examples}, of_examples)


def _places(tensor, column):
    """What stands in X for a column's values."""
    if not column.categories:
        return tensor
    same = tf.cast(tf.equal(tensor[:, None], tf.constant(column.categories)), tf.float32)
    known = tf.reduce_sum(same * tf.range(len(column.categories), dtype=tf.float32), axis=1)
    return known + len(column.categories) * (1 - tf.reduce_sum(same, axis=1))


def _parsed(examples, schema):
    if not schema.columns:
        return tf.io.parse_example(examples, {"X": tf.io.FixedLenFeature((2,), tf.float32)})["X"]
    kinds = {column.name: tf.string if column.categories else tf.float32 for column in schema.columns}
    found = tf.io.parse_example(examples, {name: tf.io.FixedLenFeature((), kind) for name, kind in kinds.items()})
    return tf.stack([_places(found[column.name], column) for column in schema.columns], axis=1)


def _classifies(version, schema):
    by_row, by_column, by_example = _inputs(version, schema)
    names = tf.constant(schema.classes)

    def outputs(logits):
        numbers = tf.argmax(logits, axis=1, output_type=tf.int64)
        probabilities = tf.nn.softmax(logits)
        classes = tf.gather(names, numbers)
        return {"logits": logits, "probabilities": probabilities, "class_ids": numbers, "classes": classes}

    found = {"serving_default": (by_row[0], outputs(by_row[1]))}
    if schema.columns and schema.named:
        found["columns"] = (by_column[0], outputs(by_column[1]))
    scores = tf.nn.softmax(by_example[1])
    labels = tf.tile(names[None], [tf.shape(scores)[0], 1])
    found["classify"] = (by_example[0], {"classes": labels, "scores": scores}, CLASSIFY)
    return found


def _labels(version, schema):
    (X, logits), *_ = _inputs(version, schema)
    ids = tf.cast(logits > 0, tf.int64)
    return {"serving_default": (X, {"logits": logits, "probabilities": tf.sigmoid(logits), "class_ids": ids})}


def _measures(version, schema):
    (X, of_rows), _, (examples, of_examples) = _inputs(version, schema)
    return {
        "serving_default": (X, {"predictions": of_rows[:, 0]}),
        "regress": (examples, {"outputs": of_examples[:, 0]}, REGRESS),
    }
