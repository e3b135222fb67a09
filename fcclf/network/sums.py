"""Sums of many numbers that are fast once XLA has compiled them.

XLA adds the numbers of one sum one after another, and more than 32 of them in two kernels. In compiled graphs, equal
strips of the numbers are therefore added first, which takes vector instructions and becomes part of the kernel that
computes the numbers. TensorFlow's own sums need no help.
"""

import tensorflow as tf

STRIPS = 8  # numbers in a vector of the most common instructions, AVX2's


def total(values, compiled: bool):
    """The sum of all numbers, a scalar. values: of one axis or more. compiled: by XLA."""
    return tf.add_n([tf.reduce_sum(each) for each in _folded(values, 0, compiled)])


def totals(values, compiled: bool):
    """The sums along the last axis. compiled: by XLA."""
    return tf.add_n([tf.reduce_sum(each, axis=-1) for each in _folded(values, -1, compiled)])


def _folded(values, axis, compiled):
    """Tensors with the same sum along an axis: if compiled, the sum of STRIPS equal parts of it and what is left."""
    length, left = divmod(values.shape.as_list()[axis], STRIPS)
    if not compiled or not length:
        return [values]
    *strips, rest = tf.split(values, [length] * STRIPS + [left], axis)
    return [tf.add_n(strips), rest] if left else [tf.add_n(strips)]
