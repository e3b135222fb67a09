"""A model as ONNX and as TFLite: small files for runtimes that start fast and answer a single row fast.

Both have one input, X [batch, features], and the outputs of serving_default except the texts of `classes`, which are in
the metadata of ONNX. They add up in their own order, so their last bits differ from a run's.
"""

import contextlib
import importlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from fcclf.errors import RunError
from fcclf.learning.predictor import Predictor
from fcclf.network.layers import Context
from fcclf.network.network import Network, inference
from fcclf.serving import graph
from fcclf.serving.model import ServedModel
from fcclf.serving.savedmodel import DEFAULT, SERVE
from fcclf.system import durable, muted

tf1 = tf.compat.v1

OPSET = 18  # of ONNX
PACKAGES = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "tflite": ("ai_edge_litert",)}  # that an extra installs
NUMBER = {"onnx": "float64", "tflite": "float32"}  # the type of a regression's predictions


def check(served: ServedModel, format: str):
    """Raises RunError if a model cannot be converted, or a package for that is missing."""
    if format == "tflite" and served.dtype == "float64":
        raise RunError("TFLite has no networks of float64, such as this one: export onnx, or fit with dtype='float32'.")
    for package in PACKAGES[format]:
        try:
            importlib.import_module(package)
        except ImportError as error:
            extra = f"pip install 'fcclf[{format}]'"
            raise RunError(f"{format} needs {package}, which cannot be imported ({error}): {extra}.") from error


class _Plain(Predictor):
    """A predictor whose graph answers any number of samples at once. inputs, outputs: {name: tensor}."""

    def __init__(self, served: ServedModel, predicted: str):
        self.served, self.predicted = served, predicted
        super().__init__(served.layers, served.n_features, served.threads, served.dtype)
        self.load(served.values)

    def build(self):
        self.network = Network(self.layers, self.n_features, None, self.dtype)
        X = tf1.placeholder(self.dtype, (None, self.n_features), "X")
        answers = inference(X, self.network, Context(self.network.variables, 0))["output"]
        found = graph.outputs(self.served, answers, self.predicted)
        self.inputs, self.outputs = {"X": X}, {name: tf.identity(each, name) for name, each in found.items()}


@contextlib.contextmanager
def _plain(served, format):
    with contextlib.ExitStack() as around:
        around.enter_context(muted.warnings_logged())
        plain = around.enter_context(contextlib.closing(_Plain(served, NUMBER[format])))
        around.enter_context(plain.session.graph.as_default())
        yield plain


# ---- ONNX ------------------------------------------------------------------------------------------------------------


def write_onnx(served: ServedModel, file: Path):
    """Writes the model as ONNX. Raises RunError if it cannot."""
    import tf2onnx.convert

    with _plain(served, "onnx") as plain:
        described = plain.session.graph.as_graph_def()
        frozen = tf1.graph_util.convert_variables_to_constants(plain.session, described, list(plain.outputs))
        inputs, outputs = ({f"{name}:0": name for name in names} for names in (plain.inputs, plain.outputs))
        with durable.explained("convert the model to", "ONNX", Exception):  # a converter may raise anything
            found, _ = tf2onnx.convert.from_graph_def(
                frozen,
                input_names=list(inputs),
                output_names=list(outputs),
                opset=OPSET,
                tensors_to_rename=inputs | outputs,
            )
    _describe(found, served)
    durable.write_file(file, found.SerializeToString(deterministic=True))


def _describe(found, served):
    """Names the graph and the axis of the batch, and adds the metadata."""
    import onnx.helper

    found.graph.name = "fcclf"
    for each in (*found.graph.input, *found.graph.output):
        each.type.tensor_type.shape.dim[0].dim_param = "batch"
    schema = served.schema
    texts = {"task": served.task, "classes": json.dumps(schema.classes), "schema": json.dumps(schema.to_dict())}
    onnx.helper.set_model_props(found, texts)


def onnx_answers(file: Path, X, threads: int) -> dict[str, np.ndarray]:
    """{name: array} of what onnxruntime answers for X, [samples, features], on `threads` threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": X}), strict=True))


# ---- TFLite ----------------------------------------------------------------------------------------------------------


def write_tflite(served: ServedModel, file: Path):
    """Writes the model as TFLite, with the signature serving_default. Raises RunError if it cannot."""
    scratch = file.parent.with_name("plain")
    try:
        with _plain(served, "tflite") as plain, durable.explained("write", scratch, tf.errors.OpError):
            builder = tf1.saved_model.Builder(str(scratch))
            signature = tf1.saved_model.predict_signature_def(plain.inputs, plain.outputs)
            builder.add_meta_graph_and_variables(plain.session, [SERVE], {DEFAULT: signature}, strip_default_attrs=True)
            builder.save()
        with ThreadPoolExecutor(1) as aside:  # its context is eager even if the caller builds a graph
            durable.write_file(file, aside.submit(_converted, scratch).result())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _converted(saved):
    """The bytes of a SavedModel converted to TFLite."""
    if not tf.executing_eagerly():
        raise RunError("TFLite's converter needs eager execution, which was disabled: use the command fcclf export.")
    with muted.warnings_logged(), durable.explained("convert the model to", "TFLite", Exception):
        return tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[DEFAULT]).convert()


def tflite_answers(file: Path, X, threads: int) -> dict[str, np.ndarray]:
    """{name: array} of what LiteRT answers for X, [samples, features], on `threads` threads."""
    from ai_edge_litert.interpreter import Interpreter

    with muted.stderr():  # it reports what it does with the graph
        answer = Interpreter(str(file), num_threads=threads).get_signature_runner(DEFAULT)
        return answer(X=X)
