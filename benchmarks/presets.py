"""What the presets reach on Fashion-MNIST and how fast, beside Keras, all measured in one run.

    python benchmarks/presets.py [PRESET ...]

For each preset: the best and last test accuracy of its own number of epochs (of the best epoch, with early stopping),
seconds until it begins (data, graph and compiler), and seconds an epoch. Then, for those that Keras has the same layers
for, seconds an epoch of Keras' `fit` against ours, medians over alternating rounds; ours saves a checkpoint after each.
Needs keras, which nothing else here does.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fcclf import Config, Images, Session, Stack, Training, load, open_run, train
from fcclf.settings.presets import PRESETS

ROUNDS = 3
COMPARED = ("dropout-mlp", "mnist-bn", "lenet")


def main():
    names = sys.argv[1:] or list(PRESETS)
    print(f"{'preset':14}{'test accuracy':>14}{'epoch':>7}{'parameters':>12}{'begins s':>11}{'epoch s':>9}", flush=True)
    for name in names:
        print(reached(name), flush=True)
    for name in COMPARED:
        if name in names:
            print(compared(name), flush=True)


def configured(name) -> Config:
    return Config(Images(), Stack(name), Training(**PRESETS[name].training), Session(image_every=0))


def reached(name):
    """A line: what a whole training of the preset reaches."""
    with tempfile.TemporaryDirectory() as directory:
        path, called = Path(directory) / "run", time.perf_counter()
        (_, began), *_, (last, ended) = moments(configured(name), path)
        with open_run(path) as run:
            test, epoch = run.dataset().test, run.epoch
            accuracy = (run.predictions(test.X) == test.y).mean()
            parameters = sum(values.size for values in run.weights().values())
    seconds = (ended - began) / last
    return f"{name:14}{accuracy:14.4f}{epoch:7}{parameters:12,}{began - called:11.1f}{seconds:9.2f}"


def moments(config, path) -> list[tuple[int, float]]:
    """Trains the run; (epochs finished, time) of its beginning and after each stretch."""
    found = []
    train(config, path, progress=lambda epoch, _: found.append((epoch, time.perf_counter())))
    return found


def compared(name):
    """A line: seconds an epoch of ours and of Keras."""
    config = configured(name)
    dataset, network = load(config), keras_network(config)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as directory:
        for epochs in range(1, ROUNDS + 2):  # the first of each warms up
            longer = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs))
            (_, began), *_, (_, ended) = moments(longer, Path(directory) / "run")
            ours.append(ended - began)
            theirs.append(keras_epoch(network, dataset, config.training.batch_size))
    ratio = statistics.median(their / our for our, their in zip(ours[1:], theirs[1:], strict=True))
    our, their = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return f"{name}: an epoch takes {our:.2f} s, of Keras {their:.2f} s, {ratio:.2f} times as long"


def keras_epoch(network, dataset, batch_size):
    """Seconds of one epoch with an evaluation of the test part, as ours has."""
    validation, began = (dataset.test.X, dataset.test.y), time.perf_counter()
    network.fit(dataset.train.X, dataset.train.y, batch_size, epochs=1, verbose=0, validation_data=validation)
    return time.perf_counter() - began


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


if __name__ == "__main__":
    main()
