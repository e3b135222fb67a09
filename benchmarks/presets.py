"""What the presets reach on Fashion-MNIST and how fast, beside Keras, all measured in one run.

    python benchmarks/presets.py [PRESET ...]
    python benchmarks/presets.py --seeds 5 [PRESET ...]
    python benchmarks/presets.py --held-out [PRESET ...]

For each preset: the test accuracy after its own number of epochs (that of the best epoch, with early stopping), seconds
until training begins (data, graph and compiler), and seconds an epoch. Then, for those whose layers Keras has too,
seconds an epoch of Keras' `fit` against ours, medians over alternating rounds; ours saves a checkpoint after each.
Needs keras, which nothing else here does.

With --seeds: the mean and the range of the test accuracy over that many seeds. With --held-out: the accuracy on the
last sixth of the training part, for a preset trained on the rest with other learning rates. Rates are chosen by it,
because the test part must choose nothing.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import dataclasses
import statistics
import struct
import tempfile
import time
from pathlib import Path

from fcclf import Config, Images, Session, Stack, Training, load, open_run, train
from fcclf.data import idx
from fcclf.settings.presets import PRESETS

ROUNDS, FACTOR = 3, 3
COMPARED = ("dropout-mlp", "mnist-bn", "lenet")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("--held-out", action="store_true")
    arguments = parser.parse_args()
    names = arguments.presets or list(PRESETS)
    if arguments.seeds:
        over_seeds(names, arguments.seeds)
    elif arguments.held_out:
        on_held_out(names)
    else:
        in_time(names)


def over_seeds(names, count):
    """Prints the test accuracy of each preset over seeds."""
    print(f"{'preset':14}{'mean':>8}{'lowest':>8}{'highest':>9}")
    for name in names:
        found = [accuracy(configured(name, seed=seed)) for seed in range(count)]
        print(f"{name:14}{statistics.mean(found):8.4f}{min(found):8.4f}{max(found):9.4f}", flush=True)


def on_held_out(names):
    """Prints the accuracy of each preset on a part of the training data, by learning rate."""
    with tempfile.TemporaryDirectory() as directory:
        hold_out(Path(directory))
        for name in names:
            usual = configured(name).training.learning_rate
            for rate in (usual / FACTOR, usual, usual * FACTOR):
                found = accuracy(configured(name, Images(directory), learning_rate=rate))
                print(f"{name:14} learning rate {rate:<8.2g} held-out accuracy {found:.4f}", flush=True)


def hold_out(directory):
    """Writes the training part as two parts: five sixths to train on, the last sixth to test on."""
    images, labels = idx.read_part(Path(Images().data_dir), "train")
    kept = len(labels) * 5 // 6
    for part, rows in (("train", slice(0, kept)), ("t10k", slice(kept, None))):
        for kind, values in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            head = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
            (directory / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())


def accuracy(config):
    """Test accuracy after a whole training."""
    with tempfile.TemporaryDirectory() as directory:
        train(config, Path(directory) / "run")
        with open_run(Path(directory) / "run") as run:
            test = run.dataset().test
            return float((run.predictions(test.X) == test.y).mean())


def in_time(names):
    """Prints what each preset reaches, and how fast."""
    print(f"{'preset':14}{'test accuracy':>14}{'epoch':>7}{'parameters':>12}{'begins s':>11}{'epoch s':>9}", flush=True)
    for name in names:
        print(reached(name), flush=True)
    for name in COMPARED:
        if name in names:
            print(compared(name), flush=True)


def configured(name, data=Images(), **training) -> Config:  # noqa: B008 - frozen
    settings = Training(**PRESETS[name].training | training)
    return Config(data, Stack(name), settings, Session(image_every=0, histogram_every=0))


def reached(name):
    """A line of the table: what a whole training of the preset reaches."""
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
    """Trains the run; returns (epochs finished, time) at its beginning and after each stretch."""
    found = []
    train(config, path, progress=lambda epoch, _: found.append((epoch, time.perf_counter())))
    return found


def compared(name):
    """A line: seconds an epoch of ours and of Keras."""
    config = configured(name)
    dataset = load(config)
    network = keras_network(config, dataset.shape)
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


def keras_network(config, shape):
    """The same layers and optimizer in Keras. shape: `DataShape`."""
    import keras

    layers = [keras_layer(keras, block) for block in config.layers(shape).values()]
    network, training = keras.Sequential([keras.Input((shape.n_features,)), *layers]), config.training
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
            return keras.layers.Dense(block.units, activation, **bias)
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
