"""Inference in blocks of rows, in the graph, so that the outputs for a row depend on that row alone.

The number of rows in a matrix product decides its last bits, so every product has the rows of one block.
"""

import math

import tensorflow as tf

from fcclf.network.layers import Context
from fcclf.network.network import Network, inference

SMALL_NETWORK = 16384  # weights
ROWS_OF_SMALL, ROWS_OF_LARGE = 480, 48  # rows in a block: many, as each costs 100 us; few, for single rows


def block_rows(network: Network) -> int:
    """Number of rows in a block. A multiple of 48: the code for matrix products takes 48 rows at a time with AVX-512,
    24 with AVX2, and other code would compute the remaining rows, with other last bits."""
    weights = sum(math.prod(variable.shape) for variable in network.trained.values())
    return ROWS_OF_SMALL if weights < SMALL_NETWORK else ROWS_OF_LARGE


def of_block(X, network: Network) -> dict[str, tf.Tensor]:
    """The outputs, as `inference` gives them, of one block, X, [block_rows, features]."""
    return inference(X, network, Context(network.variables, 0))


def mapped(blocks, network: Network, chosen, signature):
    """chosen(outputs of a block, as `inference` gives them) for all blocks, stacked. blocks: [number, block_rows,
    features]. signature: the TensorSpecs of what `chosen` returns."""

    @tf.autograph.experimental.do_not_convert  # it would take a second, to no purpose
    def answer(X):
        return chosen(of_block(X, network))

    return tf.map_fn(answer, blocks, fn_output_signature=signature)


def answered(X, network: Network, meaning) -> dict[str, tf.Tensor]:
    """{name: [batch, ...]} that `meaning` makes of the network's outputs for X, [batch, features].

    meaning: a function of the outputs for a block, [block_rows, outputs], that gives {name: [block_rows, ...]}. Zeros
    fill up the last block. There is at least one block, so that results have the right shape for an empty X too.
    """
    rows, samples, (*_, last) = block_rows(network), tf.shape(X)[0], network.layers.values()
    with tf.Graph().as_default():
        made = meaning(tf.compat.v1.placeholder(X.dtype, (rows, last.units)))
    signature = {name: tf.TensorSpec(each.shape, each.dtype) for name, each in made.items()}
    number = tf.maximum(1, -(-samples // rows))
    padded = tf.pad(X, [[0, number * rows - samples], [0, 0]])
    blocks = tf.reshape(padded, tf.stack([number, rows, X.shape[1]]))
    found = mapped(blocks, network, lambda outputs: meaning(outputs["output"]), signature)
    return {name: tf.reshape(each, (-1, *signature[name].shape[1:]))[:samples] for name, each in found.items()}
