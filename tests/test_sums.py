"""Sums in strips: the same numbers as plain sums."""

import numpy as np
import pytest
import tensorflow as tf

from fcclf.network.sums import total, totals

tf1 = tf.compat.v1


def whole_numbers(shape):
    """Numbers whose sums are exact, whatever their order."""
    return np.float32(np.random.default_rng(0).integers(0, 100, shape))


@pytest.mark.parametrize("shape", [(5,), (8,), (56,), (4100,), (1, 4200), (7, 700), (8, 520), (783, 6), (5, 5, 8, 32)])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_total_counts_every_number_once_whatever_the_shape(shape, compiled):
    values = whole_numbers(shape)
    with tf.Graph().as_default(), tf1.Session() as session:
        assert session.run(total(tf.constant(values), compiled)) == values.sum()


@pytest.mark.parametrize("shape", [(1,), (3, 7), (3, 8), (2, 4, 64), (6, 100), (2, 1601)])
@pytest.mark.parametrize("compiled", [False, True])
def test_totals_count_every_number_of_the_last_axis_once(shape, compiled):
    values = whole_numbers(shape)
    with tf.Graph().as_default(), tf1.Session() as session:
        assert np.array_equal(session.run(totals(tf.constant(values), compiled)), values.sum(axis=-1))
