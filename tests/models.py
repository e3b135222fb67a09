"""Models of every kind, with random values, and what they answer: for the tests of what is exported."""

import functools

import numpy as np
import stacks

from fcclf.data.schema import Column, Schema
from fcclf.learning.predictor import Predictor
from fcclf.serving.model import ServedModel
from fcclf.settings import blocks, presets
from fcclf.settings.blocks import Fill
from fcclf.settings.model import Model
from fcclf.settings.run_config import CLASSIFICATION, MULTILABEL, REGRESSION

IRIS = Schema(
    tuple(map(Column, ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"))),
    named=True,
    label="species",
    classes=("setosa", "versicolor", "virginica"),
)
ODD = ("a, b", 'said "c"', "größer als d; naïve", "two\nlines", "\\n", "")
COLOURS = Column("colour", ("red", "grün", "a, b"))
MIXED = Schema((Column("weight"), COLOURS, Column("width")), named=True, classes=("no", "yes"))
HOUSES = Schema(tuple(map(Column, ("rooms", "age"))), named=True, label="price")
UNNAMED = Schema(tuple(map(Column, "12")), classes=("0", "1"))


def _counted(n_classes):
    return Schema(classes=tuple(map(str, range(n_classes))))


MODELS = {  # name: features, layers, outputs, task, schema, more
    "iris": (4, Model(hidden=(6, 4), standardize="features").layers, 3, CLASSIFICATION, IRIS, {}),
    "sigmoid": (2, Model().layers, 1, CLASSIFICATION, UNNAMED, {}),
    "one class": (2, Model().layers, 1, CLASSIFICATION, Schema(classes=("only",)), {}),
    "odd labels": (3, Model().layers, 6, CLASSIFICATION, Schema(classes=ODD), {}),
    "categories": (3, Model().layers, 1, CLASSIFICATION, MIXED, {}),
    "lacking": (3, (Fill(), *Model().layers), 1, CLASSIFICATION, MIXED, {}),
    "normalised": (30, Model(hidden=(50, 20), batch_norm="after").layers, 4, CLASSIFICATION, _counted(4), {}),
    "residual": (4, stacks.RESIDUAL, 3, CLASSIFICATION, IRIS, {}),
    "every dense": (4, stacks.EVERY_DENSE, 3, CLASSIFICATION, IRIS, {}),
    "convolutions": (784, presets.PRESETS["lenet"].layers, 10, CLASSIFICATION, _counted(10), {}),
    "large": (784, Model(hidden=(256, 100)).layers, 10, CLASSIFICATION, _counted(10), {}),
    "multilabel": (4, Model().layers, 3, MULTILABEL, IRIS, {}),
    "float64": (4, Model(batch_norm="before").layers, 3, CLASSIFICATION, IRIS, {"dtype": "float64"}),
    "regression": (2, Model().layers, 1, REGRESSION, HOUSES, {"label_mean": 1e6, "label_stddev": 3.7}),
    "logarithms": (2, Model().layers, 1, REGRESSION, HOUSES, {"logarithms": True}),
    "outputs": (2, Model().layers, 2, REGRESSION, Schema(), {"dtype": "float64"}),
}
QUICK = ("iris", "categories", "convolutions", "outputs")  # of `MODELS`, for every run of the tests


@functools.cache
def model(name) -> ServedModel:
    """One of `MODELS`, always with the same values."""
    n_features, layers, n_outputs, task, schema, more = MODELS[name]
    named, shapes, rng = blocks.named(layers, n_outputs), {}, np.random.default_rng(0)
    for placed in blocks.placed(named, (n_features,)):
        shapes |= placed.trained | placed.statistics
    values = {variable: _drawn(rng, variable, shape) for variable, shape in shapes.items()}
    return ServedModel(tuple(named.items()), n_features, values, task, schema, **{"note": {"source": "a test"}} | more)


def _drawn(rng, variable, shape):
    """Values of a variable; deviations and variances are positive."""
    if variable.endswith(("variance", "stddev")):
        return rng.uniform(0.5, 2, shape)
    return rng.normal(0, 0.5 if len(shape) < 2 else 1 / np.sqrt(np.prod(shape[:-1])), shape)


@functools.cache
def samples(name, rows=1000):
    """[rows, features] for one of `MODELS`; of a column with categories their places, and those of unknown texts."""
    served, rng = model(name), np.random.default_rng(1)
    X = rng.standard_normal((rows, served.n_features))
    for number, column in enumerate(served.schema.columns):
        if column.categories:
            X[:, number] = rng.integers(len(column.categories) + 1, size=rows)
        elif served.missing:
            X[rng.uniform(size=rows) < 0.2, number] = np.nan
    return X.astype(served.dtype)


@functools.cache
def predictor(name) -> Predictor:
    """The network of one of `MODELS` in a session, as a run has it."""
    served = model(name)
    opened = Predictor(served.layers, served.n_features, served.threads, served.dtype)
    opened.load(served.values)
    return opened


def outputs(name):
    """{output: array} of what a run would answer for `samples`."""
    return model(name).outputs(predictor(name).answers(samples(name)))
