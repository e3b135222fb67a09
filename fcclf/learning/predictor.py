"""A network in a session: values in, answers out."""

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from fcclf.errors import RunError
from fcclf.network.layers import Context
from fcclf.network.network import Network, class_logits, inference

tf1 = tf.compat.v1

BATCH = 65536  # samples given to the graph at once


def session_config(threads: int) -> tf1.ConfigProto:
    """CPU only: small nets are faster there, and bit-equality is promised there. threads: 0 for one each core."""
    return tf1.ConfigProto(
        device_count={"GPU": 0},
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=threads,
        # XLA optimizes the compiled loop; for the rest, rewriting costs more time than it saves.
        graph_options=tf1.GraphOptions(rewrite_options=RewriterConfig(disable_meta_optimizer=True)),
    )


class Predictor:
    """A network in a session.

    layers: (name, block) of the network. X: placeholder, float32 [batch, features]. variables: {name: variable} of the
    graph.
    """

    def __init__(self, layers, n_features: int, threads: int):
        self.layers, self.n_features = dict(layers), n_features
        with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
            self.build()
            self.variables = {each.op.name: each for each in tf1.global_variables()}
            self.initializer = tf1.global_variables_initializer()
        self.session = tf1.Session(graph=graph, config=session_config(threads))

    def build(self):
        """The network, its placeholder and its outputs, in the current graph."""
        self.build_network(seed=0)

    def build_network(self, seed):
        """seed: int32 scalar, of the initial values."""
        self.network = Network(self.layers, self.n_features, seed)
        with tf1.name_scope("input"):
            self.X = tf1.placeholder(tf.float32, (None, self.n_features), "X")
        self.layer_outputs = inference(self.X, self.network, Context(self.network.variables, seed))
        self.class_logits = class_logits(self.layer_outputs["output"])

    def close(self):
        """Ends the session."""
        self.session.close()

    def run(self, fetches, feed=None):
        """`Session.run`. Raises RunError if the memory does not suffice."""
        try:
            return self.session.run(fetches, feed)
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            raise RunError("there is not enough memory for this network and these data: make them smaller.") from error

    def load(self, values: dict[str, np.ndarray]):
        """Gives variables their values, by name."""
        assigns = [self.variables[name].initializer for name in values]
        feeds = {assign.inputs[1]: value for assign, value in zip(assigns, values.values(), strict=True)}
        self.run(assigns, feeds)

    def values(self) -> dict[str, np.ndarray]:
        """{name: values} of every variable."""
        return self.run(self.variables)

    def logits(self, X) -> np.ndarray:
        """float32 [samples, classes] of X, [samples, features]."""
        return self._in_batches(self.class_logits, X)

    def outputs(self, X) -> dict[str, np.ndarray]:
        """{layer: float32 [samples, units]} of X, [samples, features]; the last layer's are the logits."""
        return self._in_batches(self.layer_outputs, X)

    def _in_batches(self, fetches, X):
        X = np.asarray(X, np.float32)
        firsts = range(0, max(1, len(X)), BATCH)
        batches = [self.run(fetches, {self.X: X[first : first + BATCH]}) for first in firsts]
        return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
