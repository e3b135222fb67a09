"""Points in the plane and on a curve, made from a seed."""

import numpy as np
from sklearn import datasets

from fcclf.settings.sources import Curve, Shape
from fcclf.system import memory

MAKING = 80  # bytes that a sample takes while it is made


def points(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """The samples of a shape: X, float64 [samples, 2]; y, int64 [samples]. Raises RunError without enough memory."""
    _check_memory(shape)
    return MAKERS[shape.name](shape)


def curve(source: Curve) -> tuple[np.ndarray, np.ndarray]:
    """The samples of a curve: X, float64 [samples, 1]; y, float64 [samples]. Raises RunError without enough memory."""
    _check_memory(source)
    generator = np.random.Generator(np.random.PCG64(source.data_seed))
    x = generator.uniform(-1, 1, source.samples)
    return x[:, None], CURVES[source.shape](x) + generator.normal(scale=source.noise, size=source.samples)


def _check_memory(source):
    needed = memory.Needed(MAKING * source.samples)
    memory.require(needed, f"making {source.samples} samples", "make fewer with --samples")


CURVES = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "step": lambda x: np.where(x < 0, -1.0, 1.0),
    "bump": lambda x: np.exp(-20 * x**2),
    "line": lambda x: x,
}


def _moons(shape):
    return datasets.make_moons(shape.samples, noise=shape.noise, random_state=shape.data_seed)


def _circles(shape):
    return datasets.make_circles(shape.samples, noise=shape.noise, random_state=shape.data_seed, factor=0.5)


def _blobs(shape):
    return datasets.make_blobs(
        shape.samples, centers=shape.classes, cluster_std=shape.noise, random_state=shape.data_seed
    )


def _spirals(shape):
    generator = np.random.Generator(np.random.PCG64(shape.data_seed))
    y = generator.permutation(np.arange(shape.samples) % shape.classes)
    radius = np.sqrt(generator.uniform(size=shape.samples))  # about evenly spread along an arm
    angle = 2 * np.pi * (radius + y / shape.classes)
    arms = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return arms + generator.normal(scale=shape.noise, size=arms.shape), y


MAKERS = {"moons": _moons, "circles": _circles, "blobs": _blobs, "spirals": _spirals}
