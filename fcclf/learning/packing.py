"""Many small tensors as one vector, so that what is done to all of them takes one operation.

The training loop carries its weights, slots and best weights packed: an optimizer's step is then a few operations on
one vector instead of a few for each variable. Large tensors stay separate, because packing would copy them.
"""

import math

import tensorflow as tf

LARGEST_PACKED = 4096  # numbers in a tensor; copying more takes longer than a separate operation


class Packing:
    """A way to pack tensors of certain shapes, {name: shape}, and to unpack them.

    Packed tensors are a tuple: one vector of all the small ones, if there are any, and each of the large ones.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]]):
        shapes = {name: tuple(map(int, shape)) for name, shape in shapes.items()}  # they may be TensorFlow's Dimensions
        self.small = {name: shape for name, shape in shapes.items() if math.prod(shape) <= LARGEST_PACKED}
        self.large = {name: shape for name, shape in shapes.items() if name not in self.small}
        self.names = tuple(shapes)

    def pack(self, values: dict) -> tuple[tf.Tensor, ...]:
        """The packed form of {name: tensor}, all of one type."""
        small = [
            values[name] if len(shape) == 1 else tf.reshape(values[name], [-1]) for name, shape in self.small.items()
        ]
        vector = [tf.concat(small, axis=0)] if small else []
        return (*vector, *(tf.convert_to_tensor(values[name]) for name in self.large))

    def unpack(self, packed) -> dict[str, tf.Tensor]:
        """{name: tensor} of a packed form, in the order of the names."""
        values = dict(zip(self.large, packed[len(packed) - len(self.large) :], strict=True))
        if self.small:
            vectors = tf.split(packed[0], [math.prod(shape) for shape in self.small.values()])
            for (name, shape), vector in zip(self.small.items(), vectors, strict=True):
                values[name] = vector if len(shape) == 1 else tf.reshape(vector, shape)
        return {name: values[name] for name in self.names}

    def spread(self, values: dict, dtype) -> tuple[tf.Tensor, ...]:
        """One number for each tensor, {name: scalar}, packed so that it can be multiplied with packed tensors."""
        small = [tf.fill([math.prod(shape)], tf.cast(values[name], dtype)) for name, shape in self.small.items()]
        vector = [tf.concat(small, axis=0)] if small else []
        return (*vector, *(values[name] for name in self.large))
