"""What the presets reach on Fashion-MNIST and how fast, beside Keras, all measured in one run.

    python benchmarks/presets.py [PRESET ...]

For each preset: the best and last test accuracy of its own number of epochs (of the best epoch, with early stopping),
seconds to compile, and seconds an epoch. Then, for those that Keras has the same layers for, seconds an epoch of Keras'
`fit` against ours, medians over alternating rounds. Needs keras, which nothing else here does.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fcclf.data import loading
from fcclf.learning.program import Program
from fcclf.learning.stretches import stretches
from fcclf.runs import training
from fcclf.runs.trained import TrainedRun
from fcclf.settings import blocks
from fcclf.settings.config import Config, Session, Training
from fcclf.settings.model import Stack
from fcclf.settings.presets import PRESETS
from fcclf.settings.sources import Images

ROUNDS = 3
COMPARED = ("dropout-mlp", "mnist-bn", "lenet")


def main():
    names = sys.argv[1:] or list(PRESETS)
    print(
        f"{'preset':14}{'test accuracy':>14}{'epoch':>7}{'parameters':>12}{'compile s':>11}{'epoch s':>9}", flush=True
    )
    for name in names:
        print(reached(name), flush=True)
    for name in COMPARED:
        if name in names:
            print(compared(name), flush=True)


def configured(name) -> Config:
    return Config(Images(), Stack(name), Training(**PRESETS[name].training), Session(image_every=0))


def reached(name):
    """A line: what a whole training of the preset reaches."""
    config, moments = configured(name), []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run"
        training.train(config, path, progress=lambda epoch, _: moments.append((epoch, time.perf_counter())))
        with TrainedRun(path) as run:
            dataset, epoch = run.dataset(), run.epoch
            accuracy = (run.predictions(dataset.test.X) == dataset.test.y).mean()
    (_, started), (last, ended) = moments[0], moments[-1]
    layers = config.layers(dataset.n_features, dataset.n_classes)
    parameters = sum(row.trained + row.statistics for row in blocks.rows(layers, dataset.n_features))
    seconds = (ended - started) / last
    return f"{name:14}{accuracy:14.4f}{epoch:7}{parameters:12,}{compile_seconds(config, dataset):11.1f}{seconds:9.2f}"


def compile_seconds(config, dataset):
    """Seconds that building the graph and compiling the loop take."""
    started = time.perf_counter()
    begun(config, dataset).close()
    return time.perf_counter() - started


def begun(config, dataset):
    """A compiled program that has begun."""
    program = Program(training.plan_on(config, dataset))
    training.begin(program, config, dataset)
    program.compile(loading.parts(config, dataset))
    return program


def compared(name):
    """A line: seconds an epoch of ours and of Keras."""
    config = configured(name)
    dataset = loading.load(config)
    ours, theirs = [], []
    network = keras_network(config)
    program, n_batches = begun(config, dataset), training.plan_on(config, dataset).n_batches
    epochs = stretches(program, loading.parts(config, dataset), ROUNDS + 1, longest=n_batches)  # an epoch each
    for _ in range(ROUNDS + 1):  # the first of each warms up
        ours.append(seconds(lambda: next(epochs)))
        theirs.append(seconds(lambda: keras_epoch(network, dataset, config.training.batch_size)))
    ratio = statistics.median(their / our for our, their in zip(ours[1:], theirs[1:], strict=True))
    our, their = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return f"{name}: an epoch takes {our:.2f} s, of Keras {their:.2f} s, {ratio:.2f} times as long"


def keras_epoch(network, dataset, batch_size):
    """One epoch with an evaluation of the test part, as ours has."""
    validation = (dataset.test.X, dataset.test.y)
    network.fit(dataset.train.X, dataset.train.y, batch_size, epochs=1, verbose=0, validation_data=validation)


def keras_network(config):
    """The same layers and optimizer in Keras."""
    import keras

    network = keras.Sequential([keras.Input((784,)), *(keras_layer(keras, block) for block in config.model.layers)])
    training = config.training
    kind = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[training.optimizer]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(kind(training.learning_rate), loss, metrics=["accuracy"])
    return network


def keras_layer(keras, block):
    settings = dataclasses.asdict(block)
    match type(block).__name__:
        case "Dense":
            activation = {"identity": None}.get(block.activation, block.activation)
            penalty = keras.regularizers.L2(block.l2 / 2) if block.l2 else None
            bias = {"use_bias": block.use_bias, "kernel_regularizer": penalty}
            return keras.layers.Dense(block.units or 10, activation, **bias)
        case "Conv2D":
            return keras.layers.Conv2D(block.filters, block.size, padding=block.padding, activation=block.activation)
        case "BatchNorm":
            return keras.layers.BatchNormalization(**settings)
        case "Activation":
            return keras.layers.Activation(block.function)
        case "MaxPool":
            return keras.layers.MaxPooling2D(block.size)
        case "Reshape":
            return keras.layers.Reshape((block.height, block.width, block.channels))
        case name:
            return getattr(keras.layers, name)(**settings)


def seconds(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
