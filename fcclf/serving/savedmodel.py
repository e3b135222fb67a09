"""A model as a TensorFlow SavedModel of tag "serve": inference only, on variables named as in a run.

    saved_model.pb  variables/  assets/classes.txt

Signatures, with the outputs of `ServedModel.outputs`:
    serving_default   X [batch, features]
    columns           one input of [batch] for each column by its name, where the columns have names that can be those
                      of inputs: numbers, or texts where the column has categories
    classify          inputs, serialized tf.Example [batch] -> classes string, scores float32, both [batch, classes]
    regress           the same -> outputs float32 [batch], of a regression with one output

The features of an Example are named after the columns; if the columns are not known, one feature X holds all of them.
In X, a column with categories holds the index of the text; the number of categories stands for any other text.
"""

import contextlib
import functools
from keyword import iskeyword
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from fcclf.data.schema import Schema
from fcclf.learning.predictor import Predictor, session_config
from fcclf.network import blockwise
from fcclf.network.network import Network
from fcclf.serving import graph
from fcclf.serving.model import ServedModel
from fcclf.settings.run_config import CLASSIFICATION, REGRESSION
from fcclf.system import durable, muted

tf1 = tf.compat.v1

SERVE = tf1.saved_model.tag_constants.SERVING
DEFAULT, CLASSIFY, REGRESS, COLUMNS = "serving_default", "classify", "regress", "columns"  # signatures
FILE, CLASSES, CLASSES_NODE = "saved_model.pb", "classes.txt", "classes_file"
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})
ROWS_AT_ONCE = 8192


def write(served: ServedModel, directory: Path):
    """Writes the SavedModel into a directory that is not there yet. Raises RunError if it cannot."""
    classes_file = directory.with_name(CLASSES)
    if served.schema.classes:
        durable.write_file(classes_file, "".join(f"{label.translate(ESCAPES)}\n" for label in served.schema.classes))
    with muted.warnings_logged(), contextlib.closing(_Servable(served, classes_file)) as servable:
        servable.load(served.values)
        with durable.explained("write", directory, tf.errors.OpError), servable.session.graph.as_default():
            _build(servable, directory)
    _settle(directory / FILE)


def _build(servable, directory):
    builder = tf1.saved_model.Builder(str(directory))
    builder.add_meta_graph_and_variables(
        servable.session,
        [SERVE],
        servable.signatures,
        tf1.get_collection(tf1.GraphKeys.ASSET_FILEPATHS),
        main_op=tf1.tables_initializer("tables"),
        strip_default_attrs=True,
    )
    builder.save()


def _settle(file):
    """Makes the SavedModel independent of where it was written and of who opens it.

    classes.txt is found in assets/, so the path where it was written is removed. TensorFlow's optimizers would add up
    the terms of residual blocks in another order, so the blocks' operations are marked, which keeps the optimizers off
    them.
    """
    saved = SavedModel.FromString(file.read_bytes())
    described = saved.meta_graphs[0].graph_def
    for node in described.node:
        if node.name == CLASSES_NODE:
            node.attr["value"].tensor.string_val[0] = CLASSES.encode()
    for node in (node for function in described.library.function for node in function.node_def):
        node.attr["_grappler_do_not_remove"].b = True
    durable.write_file(file, saved.SerializeToString(deterministic=True))


def answers(directory: Path, X, threads: int) -> dict[str, np.ndarray]:
    """{name: array} of what serving_default of a SavedModel answers for X, [samples, features], in a session with
    `threads` threads. A SavedModel is a program, and this runs it."""
    with tf.Graph().as_default(), tf1.Session(config=session_config(threads)) as session, muted.warnings_logged():
        signature = tf1.saved_model.load(session, [SERVE], str(directory)).signature_def[DEFAULT]
        fetches = {name: tensor.name for name, tensor in signature.outputs.items()}
        feed = signature.inputs["X"].name
        parts = [
            session.run(fetches, {feed: X[first : first + ROWS_AT_ONCE]}) for first in range(0, len(X), ROWS_AT_ONCE)
        ]
    return {name: _decoded(np.concatenate([part[name] for part in parts])) for name in fetches}


def _decoded(values):
    """Texts, if the values are bytes; else the values."""
    return np.array([each.decode() for each in values], object) if values.dtype == object else values


# ---- the graph -------------------------------------------------------------------------------------------------------


class _Servable(Predictor):
    """A predictor whose graph has the signatures and nothing else. signatures: {name: SignatureDef}."""

    def __init__(self, served: ServedModel, classes_file: Path):
        self.served, self.classes_file = served, classes_file
        super().__init__(served.layers, served.n_features, served.threads, served.dtype)

    def build(self):
        served, schema = self.served, self.served.schema
        self.network = Network(self.layers, self.n_features, None, self.dtype)
        self.tables = {column.name: _table(column) for column in schema.columns if column.categories}
        self.signatures = {DEFAULT: self._predicting(DEFAULT, self._samples)}
        if schema.columns and schema.named and not nameless(schema):
            self.signatures[COLUMNS] = self._predicting(COLUMNS, self._columns)
        if served.task == CLASSIFICATION:
            self.signatures[CLASSIFY] = self._classifying()
        if served.task == REGRESSION and served.n_outputs == 1:
            self.signatures[REGRESS] = self._regressing()
        if schema.classes:
            path = tf.constant(str(self.classes_file), name=CLASSES_NODE)
            tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, path)

    def _outputs(self, X):
        found = blockwise.answered(X, self.network, functools.partial(graph.outputs, self.served))
        if self.served.task == CLASSIFICATION:
            found["classes"] = graph.texts(self.served, found["class_ids"])
        return found

    def _predicting(self, name, placeholders):
        """A signature of method PREDICT. placeholders: returns {name: input} and the X made from them."""
        with tf1.name_scope(name):
            inputs, X = placeholders()
            outputs = {output: tf.identity(each, output) for output, each in self._outputs(X).items()}
            return tf1.saved_model.predict_signature_def(inputs, outputs)

    def _samples(self):
        X = tf1.placeholder(self.dtype, (None, self.n_features), "X")
        return {"X": X}, X

    def _columns(self):
        kinds = [tf.string if column.categories else self.dtype for column in self.served.schema.columns]
        given = [tf1.placeholder(kind, (None,), f"column_{number}") for number, kind in enumerate(kinds)]
        inputs = dict(zip(self.served.schema.names, given, strict=True))
        return inputs, self._together(inputs)

    def _together(self, inputs):
        """X made from {name: column}."""
        places = {name: table.lookup(inputs[name]) for name, table in self.tables.items()}
        return tf.stack([tf.cast(each, self.dtype) for each in (inputs | places).values()], axis=1)

    def _classifying(self):
        with tf1.name_scope(CLASSIFY):
            serialized, X = self._examples()
            every = tf.constant(self.served.schema.classes)[None]
            labels = tf.tile(every, [tf.shape(X)[0], 1], "classes")
            scores = tf.identity(tf.cast(self._outputs(X)["probabilities"], tf.float32), "scores")
            return tf1.saved_model.classification_signature_def(serialized, labels, scores)

    def _regressing(self):
        with tf1.name_scope(REGRESS):
            serialized, X = self._examples()
            numbers = tf.cast(self._outputs(X)["predictions"], tf.float32, "outputs")
            return tf1.saved_model.regression_signature_def(serialized, numbers)

    def _examples(self):
        """(serialized tf.Examples, the X they hold)."""
        serialized, columns = tf1.placeholder(tf.string, (None,), "inputs"), self.served.schema.columns
        if columns:
            kinds = {column.name: tf.string if column.categories else tf.float32 for column in columns}
            parsed = tf.io.parse_example(
                serialized, {name: tf.io.FixedLenFeature((), kind) for name, kind in kinds.items()}
            )
            return serialized, self._together({name: parsed[name] for name in kinds})
        parsed = tf.io.parse_example(serialized, {"X": tf.io.FixedLenFeature((self.n_features,), tf.float32)})
        return serialized, tf.cast(parsed["X"], self.dtype)


def nameless(schema: Schema) -> list[str]:
    """Names of columns that cannot be names of inputs. TensorFlow 2 makes them arguments of a function, and would not
    open a SavedModel with Python keywords, symbols, or names that differ only in symbols."""
    arguments = ["".join(sign if sign.isalnum() else "_" for sign in name) for name in schema.names]
    arguments = [name if name[:1].isalpha() else f"arg_{name}" for name in arguments]
    return [
        name
        for name, argument in zip(schema.names, arguments, strict=True)
        if not name or not argument.isidentifier() or iskeyword(argument) or arguments.count(argument) > 1
    ]


def _table(column):
    """A lookup table from the texts of a column to their indices."""
    places = tf.range(len(column.categories), dtype=tf.int64)
    values = tf.lookup.KeyValueTensorInitializer(tf.constant(column.categories), places)
    return tf.lookup.StaticHashTable(values, default_value=len(column.categories))
