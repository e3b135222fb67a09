"""Inference block by block, in the graph: a row's answer depends on that row alone.

How many rows a product has decides its last bits, so every product has the rows of one block.
"""

import math

import tensorflow as tf

from fcclf.network.layers import Context
from fcclf.network.network import Network, inference

SMALL_NETWORK = 16384  # weights
ROWS_OF_SMALL, ROWS_OF_LARGE = 480, 48  # in a block: many, for a block takes 100 us besides, but few for one row's sake


def block_rows(network: Network) -> int:
    """Rows in a block. A multiple of 48: that many rows a kernel of a product takes with AVX-512, two times 24 with
    AVX2, and what is left over is computed by another kernel, with other bits."""
    weights = sum(math.prod(variable.shape) for variable in network.trained.values())
    return ROWS_OF_SMALL if weights < SMALL_NETWORK else ROWS_OF_LARGE


def of_block(X, network: Network) -> dict[str, tf.Tensor]:
    """The outputs, as `inference` gives them, of one block, X, [block_rows, features]."""
    return inference(X, network, Context(network.variables, 0))


def mapped(blocks, network: Network, chosen, signature):
    """chosen(outputs of a block, as `inference` gives them) of all blocks, [number, block_rows, features]. signature:
    what `chosen` returns."""

    @tf.autograph.experimental.do_not_convert  # which would take a second, to no purpose
    def answer(X):
        return chosen(of_block(X, network))

    return tf.map_fn(answer, blocks, fn_output_signature=signature)


def answered(X, network: Network, meaning) -> dict[str, tf.Tensor]:
    """{name: [batch, ...]} of what `meaning` makes of the network's answers for X, [batch, features].

    meaning: a function of the answers for a block, [block_rows, outputs], that gives {name: [block_rows, ...]}. Zeros
    fill the last block; there is one at least, so that no samples have answers of the right shape.
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
