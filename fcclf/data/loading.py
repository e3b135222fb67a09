"""Arrays only: the data sets and their split into a training and a test part, as functions of the settings."""

import hashlib
import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

from fcclf.data import idx, memory, table
from fcclf.errors import ConfigError, RunError
from fcclf.settings.blocks import Block
from fcclf.settings.config import Config
from fcclf.settings.sources import Images, Shape, Table

FASHION_MNIST_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
FASHION_MNIST_LABELS = "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"  # sha256 of its test labels
MAKING = 80  # bytes that a sample of a shape takes while it is made
BLOCK = 8192  # samples whose statistics are taken at once


class Dataset(NamedTuple):
    """The arrays of a run.

    X_*: float32 [samples, features]; y_*: int32 [samples], class numbers from 0. The validation part is held out of the
    training part for early stopping, else it is empty. n_classes: how many there are, seen in training or not.
    class_names: theirs, or () where they have numbers only.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_validation: np.ndarray
    y_validation: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int
    class_names: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        """What to call each class."""
        return [*(self.class_names or map(str, range(self.n_classes)))]

    @property
    def n_features(self):
        """Columns of X."""
        return self.X_train.shape[1]

    @property
    def arrays(self):
        """The six arrays."""
        return self[:6]

    @property
    def sizes(self):
        """Numbers of training, validation and test samples."""
        return len(self.y_train), len(self.y_validation), len(self.y_test)


def load(config: Config, say=lambda sentence: None) -> Dataset:
    """The data that `config.data` describes. say(sentence): told what is odd about them.

    Raises RunError if they cannot be had, ConfigError if a part of them has too few samples.
    """
    if isinstance(config.data, Images):
        return _images(config)
    if isinstance(config.data, Table):
        return _table(config, say)
    X, y = points(config.data)
    _, *sizes = config.part_sizes(len(y), config.data.test_size)
    return split(X.astype(np.float32), y.astype(np.int32), *sizes, config.data.n_classes)


def points(shape: Shape):
    """The samples of a shape: X, float64 [samples, 2], and y, int64 [samples]."""
    size, noise, seed = shape.samples, shape.noise, shape.data_seed
    memory.require(memory.Needed(MAKING * size), f"making {size} samples", "make fewer with --samples")
    if shape.name == "moons":
        return datasets.make_moons(size, noise=noise, random_state=seed)
    if shape.name == "circles":
        return datasets.make_circles(size, noise=noise, random_state=seed, factor=0.5)
    if shape.name == "blobs":
        return datasets.make_blobs(size, centers=shape.classes, cluster_std=noise, random_state=seed)
    return _spirals(size, shape.classes, noise, np.random.Generator(np.random.PCG64(seed)))


def _spirals(size, classes, noise, generator):
    y = generator.permutation(np.arange(size) % classes)
    radius = np.sqrt(generator.uniform(size=size))  # as many points on each piece of an arm as it is long
    angle = 2 * np.pi * (radius + y / classes)
    arms = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return arms + generator.normal(scale=noise, size=arms.shape), y


def _images(config):
    parts = [idx.read_part(Path(config.data.data_dir), part) for part in idx.PARTS]
    for images, labels in parts:
        if not len(labels) or images.shape[1:] != parts[0][0].shape[1:] or labels.max() > parts[0][1].max():
            raise RunError(
                f"the images in {config.data.data_dir} do not belong together: the test part must have images of the "
                "same size and no other labels than the training part."
            )
    (X_train, y_train), (X_test, y_test) = (
        (_pixels(images.reshape(len(images), -1)), labels.astype(np.int32)) for images, labels in parts
    )
    _, validation_size, _ = config.part_sizes(len(y_train) + len(y_test), len(y_test))
    trained, n_classes = len(y_train) - validation_size, int(y_train.max()) + 1
    names = FASHION_MNIST_CLASSES if hashlib.sha256(parts[1][1]).hexdigest() == FASHION_MNIST_LABELS else ()
    held_out = X_train[trained:], y_train[trained:]
    return Dataset(X_train[:trained], y_train[:trained], *held_out, X_test, y_test, n_classes, names)


def _pixels(X):
    return np.divide(X, np.float32(255), out=_aligned(X.shape))


def _table(config, say):
    source = config.data
    contents = table.read(Path(source.file), source.label, say)
    size = len(contents.y)
    _, validation_size, test_size = config.part_sizes(size, int(size * source.test_ratio))
    if min(test_size, size - test_size) < len(contents.classes):
        raise ConfigError(
            "test_ratio", f"is {source.test_ratio:g}, which leaves a part without some class: move it nearer to 0.5."
        )
    memory.require(memory.Needed(contents.X.nbytes), f"splitting {source.file}", "take fewer samples")
    train, test = train_test_split(
        np.arange(size), test_size=test_size, stratify=contents.y, random_state=source.data_seed
    )
    train, validation = np.split(train, [len(train) - validation_size])
    arrays = [(_rows(contents.X, part), contents.y[part]) for part in (train, validation, test)]
    return Dataset(*itertools.chain.from_iterable(arrays), len(contents.classes), contents.classes)


def _rows(X, numbers):
    """A copy of some rows of X."""
    return np.take(X, numbers, axis=0, out=_aligned((len(numbers), X.shape[1])), mode="clip")  # clip: without a buffer


def _aligned(shape):
    """An empty float32 array that begins at a multiple of 64 bytes: a session takes it as it is, others it copies."""
    spare = np.empty(4 * math.prod(shape) + 64, np.uint8)
    first = -spare.ctypes.data % 64
    return spare[first : first + 4 * math.prod(shape)].view(np.float32).reshape(shape)


def split(X, y, validation_size, test_size, n_classes) -> Dataset:
    """The last `test_size` samples are the test part, those before them the validation part, the rest for training."""
    tested = len(y) - test_size
    parts = slice(0, tested - validation_size), slice(tested - validation_size, tested), slice(tested, None)
    return Dataset(*(array[part] for part in parts for array in (X, y)), n_classes)


def statistics(X, each_feature: bool) -> dict[str, np.ndarray]:
    """mean and stddev of X, float32 [samples, features]: of each feature, or of all together; 1 where stddev is 0."""
    axis = 0 if each_feature else None
    parts = [X[first : first + BLOCK] for first in range(0, len(X), BLOCK)]  # float64 copies of all would take too much
    count = X.size / (X.shape[1] if each_feature else 1)
    mean = sum(part.sum(axis, dtype=np.float64) for part in parts) / count
    variance = sum(np.square(part - mean).sum(axis) for part in parts) / count
    return {"mean": mean, "stddev": np.where(variance > 0, np.sqrt(variance), 1.0)}


def layer_statistics(layers: dict[str, Block], X) -> dict[str, np.ndarray]:
    """{variable name: values} for the layers that need the statistics of the training data X."""
    needed = {name: block.over for name, block in layers.items() if block.over}
    return {
        f"{name}/{key}": values
        for name, over in needed.items()
        for key, values in statistics(X, over == "features").items()
    }


def fingerprint(arrays) -> str:
    """sha256 over every array's bytes, shape and type: equal for equal data only."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def facts(dataset: Dataset) -> dict:
    """What a run notes of its data: fingerprint, n_features and n_classes."""
    return {
        "fingerprint": fingerprint(dataset.arrays),
        "n_features": dataset.n_features,
        "n_classes": dataset.n_classes,
    }
