"""A network: its variables, which it owns, and inference.

Variables are named after their blocks, `fc1/kernel`, `bn1/moving_mean`, `output/bias`, so any checkpoint with these
names can be restored, whatever wrote it.
"""

import functools

import tensorflow as tf

from fcclf.network import layers
from fcclf.network.layers import Context
from fcclf.settings import blocks
from fcclf.settings.blocks import Block

tf1 = tf.compat.v1


class Network:
    """The blocks of a model under their names, with their variables, which are created in the current graph.

    layers: {name: block}, the output last. trained, statistics: {name: variable} of those that an optimizer changes and
    of those that are measured, in the order of the blocks.
    """

    def __init__(self, named: dict[str, Block], n_features: int, seed, dtype="float32"):
        """seed: int32 scalar, of the initial values; None: zeros, to be replaced by loaded values."""
        self.layers, self.dtype, self.trained, self.statistics = named, dtype, {}, {}
        self.phased = False
        for placed in blocks.placed(named, (n_features,)):
            self.phased = self.phased or placed.block.phased
            *outer, number = placed.path
            with tf1.name_scope(f"{placed.scope}/seed"):
                own_seed = None if seed is None else (layers.stack_seed(seed, outer), number)
            self._make_variables(placed, own_seed)

    def _make_variables(self, placed, seed):
        """Creates a block's variables. seed: two integers, of their initial values; None: zeros."""
        for found, shapes in ((self.trained, placed.trained), (self.statistics, placed.statistics)):
            for name, shape in shapes.items():
                distribution = "zeros" if seed is None else placed.block.initial(name.rpartition("/")[2])
                kernel = placed.trained.get(f"{placed.scope}/kernel")
                initial = functools.partial(_initial, distribution, seed, kernel)
                found[name] = tf1.get_variable(
                    name, shape, self.dtype, initial, trainable=found is self.trained, use_resource=True
                )

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """{name: variable} of all variables, trained and measured."""
        return {**self.trained, **self.statistics}


def _initial(distribution, seed, kernel, shape, dtype=None, partition_info=None):
    """The initial values of a variable. The last three arguments are those of an initializer for get_variable."""
    if distribution == "uniform":
        return layers.initial_bias(kernel, seed, shape, dtype)
    return layers.initial_value(distribution, seed, shape, dtype)


def inference(X, network: Network, context: Context) -> dict[str, tf.Tensor]:
    """{scope: outputs, [batch, ...]} of each block for X, [batch, features]; the logits as "output"."""
    context, (*hidden, last) = context._replace(outputs={}), network.layers
    with tf1.name_scope("full-connect-layer"):
        answered = layers.stack({name: network.layers[name] for name in hidden}, X, context)
    layers.call(network.layers[last], answered, layers.Place(last, len(hidden)), context)
    return context.outputs


def class_logits(logits):
    """The logits of all classes, [batch, classes]. A single output is the logit of class 1; that of class 0 is then 0,
    which makes the softmax of the two a sigmoid."""
    return logits if logits.shape[1] > 1 else tf.concat([tf.zeros_like(logits), logits], axis=1)
