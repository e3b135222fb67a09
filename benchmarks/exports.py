"""How fast a network answers in each format, how long its program takes to start, and how much memory it takes.

    python benchmarks/exports.py

Two networks: that of the two moons (2-6-4-1) and one for images (784-200-100-60-10), fitted for an epoch and exported
by `FCClassifier.export`. Each way to answer runs in a separate process with one thread. Prints seconds from its start
until the model is loaded; microseconds for one row, median and 99th percentile of 2000; rows a second in batches of
8192; largest memory. Needs onnx, tf2onnx, onnxruntime and ai-edge-litert, which the extras onnx and tflite install.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

NETWORKS = {"moons, 2-6-4-1": (2, (6, 4), 2), "images, 784-200-100-60-10": (784, (200, 100, 60), 10)}
ONE_ROW, BATCH, BATCHES = 2000, 8192, 12


def main():
    for title, (n_features, hidden, n_classes) in NETWORKS.items():
        print(f"{title:28}{'ready s':>9}{'one row us':>12}{'p99 us':>9}{'rows/s':>12}{'memory MB':>11}", flush=True)
        with tempfile.TemporaryDirectory() as directory:
            exported(Path(directory), n_features, hidden, n_classes)
            for name in WAYS:
                command = [sys.executable, __file__, name, f"{directory}/1", str(n_features), str(time.time())]
                print(subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL), end="", flush=True)


def exported(directory, n_features, hidden, n_classes):
    """Exports a network of these sizes in every format."""
    from fcclf import FCClassifier

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1000, n_features)), rng.integers(n_classes, size=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch is not enough to converge
        classifier = FCClassifier(hidden, "elu", dtype="float32", max_iter=1).fit(X, y)
    classifier.export(directory, ["savedmodel", "onnx", "tflite"])


# ---- a process for each way: (path of the version) -> X -> probabilities ---------------------------------------------


def session(path):
    import tensorflow.compat.v1 as tf

    opened = tf.Session(graph=tf.Graph(), config=one_thread(tf))
    with opened.graph.as_default():
        signature = tf.saved_model.load(opened, ["serve"], path).signature_def["serving_default"]
    return opened.make_callable(signature.outputs["probabilities"].name, [signature.inputs["X"].name])


def one_thread(tf):
    return tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


def tensorflow_2(path):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    model = tf.saved_model.load(path)
    return lambda X: model.signatures["serving_default"](X=tf.constant(X))["probabilities"].numpy()


def onnxruntime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(f"{path}/model.onnx", options)
    return lambda X: opened.run(["probabilities"], {"X": X})[0]


def litert(path):
    from ai_edge_litert.interpreter import Interpreter

    answer = Interpreter(f"{path}/model.tflite", num_threads=1).get_signature_runner("serving_default")
    return lambda X: answer(X=X)["probabilities"]


WAYS = {
    "SavedModel, Session": session,
    "SavedModel, TensorFlow 2": tensorflow_2,
    "ONNX, onnxruntime": onnxruntime,
    "TFLite, LiteRT": litert,
}


def measured(name, path, n_features, started):
    """A line of the table."""
    answer = WAYS[name](path)
    ready = time.time() - started
    X = np.random.default_rng(0).standard_normal((BATCH, n_features), np.float32)
    single = sorted(seconds(answer, X[:1]) for _ in range(ONE_ROW))
    bulk = min(seconds(answer, X) for _ in range(BATCHES))
    memory = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    rest = (
        f"{single[ONE_ROW // 2] * 1e6:12.0f}{single[ONE_ROW * 99 // 100] * 1e6:9.0f}{BATCH / bulk:12,.0f}{memory:11.0f}"
    )
    return f"{name:28}{ready:9.1f}{rest}"


def seconds(answer, X):
    started = time.perf_counter()
    answer(X)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(measured(*sys.argv[1:3], int(sys.argv[3]), float(sys.argv[4]))) if len(sys.argv) > 1 else main()
