"""Points in the plane, made from a seed."""

import numpy as np
from sklearn import datasets

from fcclf.settings.sources import Shape
from fcclf.system import memory

MAKING = 80  # bytes that a sample takes while it is made


def points(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """The samples of a shape: X, float64 [samples, 2], and y, int64 [samples]. Raises RunError without the memory."""
    needed = memory.Needed(MAKING * shape.samples)
    memory.require(needed, f"making {shape.samples} samples", "make fewer with --samples")
    return MAKERS[shape.name](shape)


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
    radius = np.sqrt(generator.uniform(size=shape.samples))  # as many points on each piece of an arm as it is long
    angle = 2 * np.pi * (radius + y / shape.classes)
    arms = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return arms + generator.normal(scale=shape.noise, size=arms.shape), y


MAKERS = {"moons": _moons, "circles": _circles, "blobs": _blobs, "spirals": _spirals}
