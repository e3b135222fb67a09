"""How fast training is, against a fed loop as TF1 tutorials write it, all measured in one run, alternating.

    python benchmarks/speed.py

Prints, as medians over the rounds: microseconds a step of the fed loop, of training with everything on except pictures
(metrics and summaries each epoch, a checkpoint every 50, histograms every 100), and of the bare compiled loop; seconds
of the whole command with 5000 epochs, pictures and figures included, against TensorFlow's import alone; and the memory
of 2,000,000 samples at batch 1024.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from beside.commands import from_moons, peak_megabytes, seconds

from fcclf.data import loading
from fcclf.data.order import EpochOrders, Order
from fcclf.learning.plan import batches_per_epoch
from fcclf.learning.program import Program
from fcclf.runs import training
from fcclf.settings.config import Config, Session, Training

tf1 = tf.compat.v1

ROUNDS = 5
FED_EPOCHS, TRAINED_EPOCHS, BARE_EPOCHS = 40, 2500, 1000


def main():
    steps = {"fed loop": [], "everything on": [], "bare compiled loop": []}
    config = Config(training=Training(epochs=TRAINED_EPOCHS), session=Session(image_every=0))
    dataset = loading.load(config)
    bare = Bare(config, dataset)
    for _ in range(ROUNDS):
        steps["fed loop"].append(fed_loop(config, dataset))
        steps["everything on"].append(everything_on(config))
        steps["bare compiled loop"].append(bare.time())
    fed = steps["fed loop"]
    for name, times in steps.items():
        ratio = statistics.median(one / other for one, other in zip(fed, times, strict=True))
        print(f"{name:20}{statistics.median(times) * 1e6:8.1f} us a step{ratio:8.1f} x", flush=True)
    whole_process()
    memory()


def fed_loop(config, dataset):
    """Seconds a step of the loop that tutorials teach: a Session.run for each batch, an evaluation with two scalar
    summaries each epoch, a Saver.save every 50 epochs."""
    random, size = np.random.default_rng(0), config.training.batch_size
    n_batches = -(-(len(dataset.train.y) + len(dataset.test.y)) // size)  # as the tutorial counts
    with tempfile.TemporaryDirectory() as directory, tf.Graph().as_default() as graph, tf1.Session() as session:
        X, y, train_op, evaluation = tutorials_graph(config)
        session.run(tf1.global_variables_initializer())
        writer, saver = tf1.summary.FileWriter(directory, graph), tf1.train.Saver()
        started = time.perf_counter()
        for epoch in range(FED_EPOCHS):
            for _ in range(n_batches):
                samples = random.integers(0, len(dataset.train.y), size)
                session.run(train_op, {X: dataset.train.X[samples], y: dataset.train.y[samples]})
            writer.add_summary(session.run(evaluation, {X: dataset.test.X, y: dataset.test.y}), epoch)
            if epoch % 50 == 0:
                saver.save(session, directory + "/model.ckpt")
        return (time.perf_counter() - started) / FED_EPOCHS / n_batches


def tutorials_graph(config):
    """(X, y, the training step, the summaries of an evaluation) of the tutorials' network, without penalties."""
    X, y = tf1.placeholder(tf.float32, (None, 2)), tf1.placeholder(tf.int32, (None,))
    outputs = X
    for units in (*config.model.hidden, 2):
        kernel = tf1.get_variable(f"kernel{units}", (outputs.shape[1], units))
        outputs = tf.matmul(outputs, kernel) + tf1.get_variable(f"bias{units}", (units,))
        outputs = tf.nn.elu(outputs) if units != 2 else outputs
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs))
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(outputs, 1, tf.int32), y), tf.float32))
    summaries = tf1.summary.merge([tf1.summary.scalar("loss", loss), tf1.summary.scalar("accuracy", accuracy)])
    return X, y, tf1.train.AdamOptimizer(config.training.learning_rate).minimize(loss), summaries


def everything_on(config):
    """Seconds a step of `training.train`, from the end of its first chunk to the end of its last."""
    moments = []
    with tempfile.TemporaryDirectory() as directory:
        training.train(
            config, Path(directory) / "run", progress=lambda epoch, _: moments.append((epoch, time.perf_counter()))
        )
    (first_epoch, started), (last_epoch, ended) = moments[0], moments[-1]
    n_batches = batches_per_epoch(config.data.known.samples - config.data.known.test_size, config.training.batch_size)
    return (ended - started) / (last_epoch - first_epoch) / n_batches


class Bare:
    """The compiled loop alone: nothing is written, and the order is made beforehand."""

    def __init__(self, config, dataset):
        self.program, self.parts = Program(training.plan_on(config, dataset)), loading.parts(config, dataset)
        self.n_epochs = min(50, self.program.plan.most_epochs)  # in one Session.run
        training.begin(self.program, config, dataset)
        with contextlib.closing(EpochOrders(Order(0, len(dataset.train.y)), self.program.plan.most_epochs)) as orders:
            self.rows = orders.rows(0, self.n_epochs - 1)
        self.train(1)  # compiles

    def train(self, n_epochs):
        for first in range(0, n_epochs, self.n_epochs):
            count = min(self.n_epochs, n_epochs - first)
            self.program.run_loop(self.parts, self.rows, count, 0, self.program.plan.n_batches)

    def time(self):
        """Seconds a step."""
        started = time.perf_counter()
        self.train(BARE_EPOCHS)
        return (time.perf_counter() - started) / BARE_EPOCHS / self.program.plan.n_batches


def whole_process():
    imports, commands = [], []
    for _ in range(ROUNDS):
        imports.append(seconds("-c", "import tensorflow"))
        with tempfile.TemporaryDirectory() as directory:
            commands.append(
                seconds("-m", "fcclf", "train", "moons", "--epochs", "5000", "--quiet", "--logdir", directory)
            )
    extra = statistics.median(command - only for command, only in zip(commands, imports, strict=True))
    print(
        f"5000 epochs, whole command: {statistics.median(commands):.1f} s, of which TensorFlow's import "
        f"{statistics.median(imports):.1f} s and the rest {extra:.1f} s"
    )


def memory():
    """Prints the peak memory of a child that trains on 2,000,000 samples, above that of one that only imports."""
    only = peak_megabytes("-c", "import fcclf.runs.training, fcclf.runs.trained, fcclf.views.evaluation")
    whole = from_moons(2_000_000)
    print(f"2,000,000 samples at batch 1024: {whole - only:.0f} MB above the {only:.0f} MB of the imports")


if __name__ == "__main__":
    main()
