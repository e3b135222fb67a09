"""What a trained run answers, in every form, and what an answer costs.

    python benchmarks/answers.py formats     every answer beside the run's: predict, SavedModel, ONNX, TFLite, HTTP
    python benchmarks/answers.py rows 10000000
                                             fcclf predict on that many rows of CSV, beside pandas.read_csv alone
    python benchmarks/answers.py latency     one row at a time, in Python

The first trains on iris, wine, breast cancer and, if it is installed, Fashion-MNIST with a LeNet, and takes some
minutes. Prints Markdown tables.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

from fcclf import Config, Images, Model, Session, Stack, Table, Training, open_run, train
from fcclf.settings.sources import FASHION_MNIST

FCCLF = [sys.executable, "-m", "fcclf"]
PORT = 8519
ASKED = 200  # rows of HTTP requests
ONE_ROW = 2000  # repetitions
WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main():
    what, *words = sys.argv[1:] or ["formats"]
    with tempfile.TemporaryDirectory() as directory:
        {"formats": formats, "rows": rows, "latency": latency}[what](Path(directory), *map(int, words))


# ---- every form ------------------------------------------------------------------------------------------------------


def formats(directory):
    print("| largest difference | predict | SavedModel | ONNX | TFLite | HTTP |\n|---|---|---|---|---|---|")
    for name, config in configs(directory).items():
        train(config, directory / name)
        subprocess.run(
            [
                *FCCLF,
                "export",
                directory / name,
                directory / "models" / name,
                "--format",
                "savedmodel",
                "onnx",
                "tflite",
            ],
            check=True,
            capture_output=True,
        )
        print(f"| {name} | {' | '.join(f'{each:.2g}' for each in differences(directory, name))} |", flush=True)


def configs(directory):
    """{name: settings} of the runs."""
    found = {}
    for name in ("iris", "wine", "breast_cancer"):
        bunch = getattr(datasets, f"load_{name}")(as_frame=True)
        bunch.frame.assign(target=bunch.target_names[bunch.target]).to_csv(directory / f"{name}.csv", index=False)
        data = Table(str(directory / f"{name}.csv"))
        settings = Training(batch_size=16, epochs=200)
        found[name] = Config(data, Model((16,), standardize="features"), settings, Session(image_every=0))
    if Path(FASHION_MNIST).is_dir():
        training = Training(optimizer="adam", learning_rate=1e-3, batch_size=128, epochs=1)
        found["LeNet"] = Config(Images(), Stack("lenet"), training, Session(image_every=0))
    return found


def differences(directory, name):
    """Yields the largest difference of each form's probabilities from the run's."""
    with open_run(directory / name) as run:
        X = run.dataset().test.X
        expected = run.probabilities(X)
    version = directory / "models" / name / "1"
    yield np.abs(predicted(directory, name, X) - expected).max()
    for answered in (saved_model(version), onnx(version), tflite(version)):
        yield np.abs(answered(X) - expected).max()
    with served(directory / "models" / name) as ask:
        yield np.abs(ask(X[:ASKED]) - expected[:ASKED]).max()


def predicted(directory, name, X):
    """The probabilities that `fcclf predict` gives."""
    np.save(directory / "X.npy", X)
    words = ["predict", directory / name, directory / "X.npy", "--proba"]
    written = subprocess.run([*FCCLF, *words], check=True, capture_output=True, text=True).stdout
    _, *answers = csv.reader(io.StringIO(written))
    return np.float32([row[2:] for row in answers])


def saved_model(version):
    import tensorflow as tf

    answer = tf.saved_model.load(str(version)).signatures["serving_default"]
    return lambda X: answer(X=tf.constant(X))["probabilities"].numpy()


def onnx(version):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(version / "model.onnx"), providers=["CPUExecutionProvider"])
    return lambda X: session.run(["probabilities"], {"X": X})[0]


def tflite(version):
    from ai_edge_litert.interpreter import Interpreter

    answer = Interpreter(str(version / "model.tflite")).get_signature_runner("serving_default")
    return lambda X: answer(X=X)["probabilities"]


@contextlib.contextmanager
def served(models):
    """Yields a function of X that asks `fcclf serve` for probabilities."""
    process = subprocess.Popen([*FCCLF, "serve", models, "--port", str(PORT)], stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{PORT}/readyz", process)
        address = f"http://127.0.0.1:{PORT}/v1/models/{models.name}:predict"

        def ask(X):
            request = urllib.request.Request(address, json.dumps({"instances": X.tolist()}).encode())
            predictions = json.loads(urllib.request.urlopen(request).read())["predictions"]
            return np.float32([each["probabilities"] for each in predictions])

        yield ask
    finally:
        process.terminate()
        process.wait()


def wait_for(address, process):
    while process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address):
            return
        time.sleep(0.1)
    raise RuntimeError("the server has ended")


# ---- many rows -------------------------------------------------------------------------------------------------------


def rows(directory, count):
    """Prints seconds and memory for a file with `count` rows of four numbers, and for a tenth of it."""
    path = directory / "iris.csv"
    datasets.load_iris(as_frame=True).frame.to_csv(path, index=False)
    words = ["train", "table", path, "--logdir", directory, "--run-name", "iris", "--no-figures"]
    subprocess.run([*FCCLF, *words], check=True, capture_output=True)  # here it would add TensorFlow's memory
    print("| rows | | seconds | rows a second | most memory |\n|---|---|---|---|---|")
    for size in (count // 10, count):
        path = directory / f"{size}.csv"
        table(path, size)
        reading = "import pandas, sys; [len(each) for each in pandas.read_csv(sys.argv[1], chunksize=1 << 16)]"
        words = ["predict", directory / "iris", path, "--out", directory / "out.csv", "--quiet"]
        for name, command in (("fcclf predict", [*FCCLF, *words]), ("read_csv", [sys.executable, "-c", reading, path])):
            seconds, memory = measured(command)
            print(f"| {size:,} | {name} | {seconds:.1f} | {size / seconds:,.0f} | {memory / 1e6:.0f} MB |", flush=True)


def table(path, size):
    """Writes a file of numbers like the measurements of irises."""
    names = datasets.load_iris().feature_names
    block = pd.DataFrame(np.random.default_rng(0).uniform(0, 8, (100_000, 4)).round(2), columns=names)
    for first in range(0, size, len(block)):
        block[: size - first].to_csv(path, index=False, mode="a" if first else "w", header=not first)


def measured(command):
    """(seconds, peak bytes resident) of a process."""
    small = [sys.executable, "-c", WATCH, *map(str, command)]  # this process's own memory would count at the start
    started, finished = time.perf_counter(), subprocess.run(small, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, int(finished.stdout.split()[-1]) * 1024


# ---- one row ---------------------------------------------------------------------------------------------------------


def latency(directory):
    from sklearn.neural_network import MLPClassifier

    config = configs(directory)["iris"]
    train(config, directory / "iris")
    words = ["export", directory / "iris", directory / "models", "--format", "savedmodel", "onnx", "tflite"]
    subprocess.run([*FCCLF, *words], check=True, capture_output=True)
    iris = datasets.load_iris()
    theirs = MLPClassifier((16,), max_iter=200, random_state=0).fit(iris.data, iris.target)
    version = directory / "models" / "1"
    with open_run(directory / "iris") as run, served(directory / "models") as ask:
        forms = {
            "open_run": run.probabilities,
            "SavedModel": saved_model(version),
            "onnxruntime": onnx(version),
            "LiteRT": tflite(version),
            "MLPClassifier": theirs.predict_proba,
            "HTTP": ask,
        }
        print("| one row | median | 99th percentile |\n|---|---|---|")
        for name, answer in forms.items():
            median, slow = np.percentile(durations(answer, np.float32(iris.data[:1])), (50, 99)) * 1e6
            print(f"| {name} | {median:.0f} us | {slow:.0f} us |", flush=True)


def durations(answer, X):
    """Seconds of each of many answers, after some that are not counted."""
    found = []
    for _ in range(ONE_ROW + 100):
        started = time.perf_counter()
        answer(X)
        found.append(time.perf_counter() - started)
    return found[100:]


if __name__ == "__main__":
    main()
