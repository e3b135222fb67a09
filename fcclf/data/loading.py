"""The data of a run, loaded as its settings say: one function for each kind of source."""

import functools
import hashlib
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_class_weight

from fcclf.data import idx, packed, shapes
from fcclf.data.dataset import Dataset, Part, aligned, aligned_copy, pixels, split, with_numbers
from fcclf.data.schema import Schema
from fcclf.data.split import part_sizes
from fcclf.data.tables import table
from fcclf.data.tables.contents import Contents
from fcclf.errors import ConfigError, RunError
from fcclf.settings import class_weight
from fcclf.settings.config import Config
from fcclf.settings.fields import brief
from fcclf.settings.sources import Curve, Images, Packed, Shape, Table
from fcclf.system import memory

FASHION_MNIST_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
FASHION_MNIST_LABELS = "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"  # sha256 of its test labels


def load(config: Config, say=lambda sentence: None) -> Dataset:
    """The data that `config.data` describes. say(sentence): called with what a table holds.

    Raises RunError if they cannot be read, ConfigError if a part of them has too few samples.
    """
    return _load(config.data, config, say)


@functools.singledispatch
def _load(source, config, say):
    raise TypeError(f"{source} is not a source of data")


@_load.register
def _(source: Shape, config, say):
    X, y = shapes.points(source)
    _, *sizes = part_sizes(config, len(y), source.known.test_size)
    return split(aligned_copy(X, np.float32), aligned_copy(y, np.int32), *sizes, source.n_classes)


@_load.register
def _(source: Curve, config, say):
    X, y = shapes.curve(source)
    _, *sizes = part_sizes(config, len(y), source.known.test_size)
    return _with_numbers(config, split(aligned_copy(X, np.float32), y, *sizes, 1))


def _with_numbers(config, dataset):
    """A data set for regression. Labels are scaled to mean 0 and deviation 1, unless logarithms are predicted."""
    if len(dataset.test.y) < 2:
        raise ConfigError(
            "test_ratio", f"is {config.data.test_ratio:g}, which leaves one test sample, but R2 needs two: raise it."
        )
    return with_numbers(dataset, scaled=config.training.loss != "poisson")


@_load.register
def _(source: Images, config, say):
    parts, schema = images(Path(source.data_dir))
    train, test = (Part(pixels(images.reshape(len(images), -1)), labels.astype(np.int32)) for images, labels in parts)
    trained, _, _ = part_sizes(config, len(train.y) + len(test.y), len(test.y))
    return Dataset(*_cut(train, trained), test, int(train.y.max()) + 1, schema)


def _cut(train, trained):
    """The training and the validation part."""
    return train.at(slice(trained)), train.at(slice(trained, None))


def images(directory: Path):
    """([(images, uint8 [samples, height, width]; labels, uint8 [samples]) of the train and the test part], their
    `Schema`). Raises RunError if they do not belong together."""
    parts = [idx.read_part(directory, part) for part in idx.PARTS]
    for images, labels in parts:
        if not len(labels) or images.shape[1:] != parts[0][0].shape[1:] or labels.max() > parts[0][1].max():
            raise RunError(
                f"the images in {directory} do not belong together: the test part must have images of the "
                "same size and no other labels than the training part."
            )
    classes = FASHION_MNIST_CLASSES if hashlib.sha256(parts[1][1]).hexdigest() == FASHION_MNIST_LABELS else ()
    return parts, Schema(classes=classes, image_shape=parts[0][0].shape[1:])


@_load.register
def _(source: Table, config, say):
    numbers, contents = config.is_regression, table.read(source, say)
    size = len(contents.y)
    _, validation_size, test_size = part_sizes(config, size, int(size * source.test_ratio))
    _check_poisson(config, source.file, contents.y)
    memory.require(memory.Needed(contents.X.nbytes), f"splitting {source.file}", "take fewer samples")
    train, test = parts_of_rows(source, contents, test_size)
    train, validation = np.split(train, [len(train) - validation_size])
    contents = contents.with_texts_of(train)
    parts = [_table_part(contents, rows) for rows in (train, validation, test)]
    missing = bool(np.isnan(contents.X).any())
    dataset = Dataset(*parts, len(contents.classes), contents.schema, categories=contents.categories, missing=missing)
    return _with_numbers(config, dataset) if numbers else dataset


def _check_poisson(config, name, *labels):
    if config.training.loss == "poisson" and min(y.min() for y in labels) < 0:
        raise ConfigError("loss", f"is poisson, but {name} has labels below 0: use squared_error.")


def parts_of_rows(source: Table, contents: Contents, test_size: int):
    """(row numbers of the training part, validation included; row numbers of the test part) of a table, in the order of
    the parts. Raises ConfigError if a part is too small to have every class."""
    size = len(contents.y)
    if min(test_size, size - test_size) < len(contents.classes):
        raise ConfigError(
            "test_ratio", f"is {source.test_ratio:g}, which leaves a part without some class: move it nearer to 0.5."
        )
    stratify = contents.y if contents.classes else None
    return train_test_split(np.arange(size), test_size=test_size, stratify=stratify, random_state=source.data_seed)


def _table_part(contents, rows):
    """The part that has some rows, given by number. X is a copy."""
    X = aligned((len(rows), contents.X.shape[1]))
    np.take(contents.X, rows, axis=0, out=X, mode="clip")  # clip: the default needs a buffer
    return Part(X, contents.y[rows], None if contents.weights is None else contents.weights[rows])


@_load.register
def _(source: Packed, config, say):
    directory = Path(source.directory)
    pack = packed.read(directory)
    if pack.task != source.task:
        raise ConfigError("task", f"is {source.task}, but {directory} was packed for {pack.task}: set it to that.")
    train, test = packed.parts(directory, pack)
    _check_poisson(config, directory, train.y, test.y)
    trained, _, _ = part_sizes(config, len(train.y) + len(test.y), len(test.y))
    dataset = Dataset(
        *_cut(train, trained), test, pack.n_classes, pack.schema, categories=pack.categories, missing=pack.missing
    )
    dataset = _with_numbers(config, dataset) if config.is_regression else dataset
    return dataset._replace(digest=packed.digest(directory, pack, dataset))


# ---- what is trained on ----------------------------------------------------------------------------------------------


def parts(config: Config, dataset: Dataset) -> dict[str, Part]:
    """{name: part} of the parts that have samples; class weights are applied to training and validation.

    Raises ConfigError if a weight is for a class that the data do not have, or a part has a total weight of 0.
    """
    of_class = None if dataset.is_regression else _class_weights(config, dataset)
    weighted = {"train": dataset.train, "validation": dataset.validation}
    if of_class is not None:
        weighted = {name: _times(part, of_class[part.y]) for name, part in weighted.items()}
    found = {name: part for name, part in (weighted | {"test": dataset.test}).items() if len(part.y)}
    for name, part in found.items():
        if part.weights is not None and not part.weights.any():
            setting = "class_weight" if of_class is not None else "weight_column"
            raise ConfigError(setting, f"leaves the {name} part without a sample that weighs more than 0: raise one.")
    return found


def _class_weights(config, dataset):
    """The weights of the classes, float32 [classes], or None if all count the same. Classes without samples have 0."""
    given = class_weight.parsed(config.training.class_weight)
    if given is None:
        return None
    y, weights = np.concatenate([dataset.train.y, dataset.validation.y]), np.zeros(dataset.n_classes, np.float32)
    unknown = [label for label in (given if isinstance(given, dict) else ()) if label not in dataset.classes]
    if unknown:
        raise ConfigError(
            "class_weight", f"names the class {unknown[0]!r}, but the data have {brief(dataset.classes)}."
        )
    if isinstance(given, dict):
        given = {number: given.get(label, 1.0) for number, label in enumerate(dataset.classes)}
    seen = np.unique(y)
    weights[seen] = compute_class_weight(given, classes=seen, y=y)
    return weights


def _times(part, weights):
    """The part with its weights multiplied by `weights`."""
    return part._replace(weights=weights if part.weights is None else part.weights * weights)
