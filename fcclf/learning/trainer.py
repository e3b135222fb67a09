"""The network in a session, stepped over the training part: the in-memory half of a run. Nothing is written here."""

import contextlib

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from fcclf.data import loading
from fcclf.errors import RunError
from fcclf.learning import epoch_loop, graph
from fcclf.learning.epoch_loop import EpochResults
from fcclf.network.layers import network_variables
from fcclf.runs import checkpoint
from fcclf.runs.checkpoint import Checkpoint
from fcclf.settings.blocks import Standardize
from fcclf.settings.config import Config

tf1 = tf.compat.v1

BATCH = 65536  # samples given to the graph at once for prediction
SAMPLES_SEEN = 1000  # test samples whose activations are recorded


def session_config(threads: int) -> tf1.ConfigProto:
    """CPU only: small nets are faster there, and bit-equality is promised there. threads: 0 for one each core."""
    return tf1.ConfigProto(
        device_count={"GPU": 0},
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=threads,
        # XLA optimizes the compiled loop; for the rest, rewriting costs more time than it saves.
        graph_options=tf1.GraphOptions(rewrite_options=RewriterConfig(disable_meta_optimizer=True)),
    )


def predict(session, inputs, fetches, X):
    """`fetches`, tensors with a row for each sample fed to `inputs`, for X, [samples, features], in batches."""
    X = np.asarray(X, np.float32)
    batches = [session.run(fetches, {inputs: X[first : first + BATCH]}) for first in range(0, max(1, len(X)), BATCH)]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


class Trainer(contextlib.ExitStack):
    """A graph in a session, its data, and the step it has reached; a context manager that closes the session.

    step: batches trained on. n_batches: batches in an epoch. stopped: by early stopping; it goes no further.
    `initialize` or `restore` comes first.
    """

    def __init__(self, config: Config, dataset: loading.Dataset):
        super().__init__()
        self.config, self.dataset, self.step, self.stopped = config, dataset, 0, False
        self.n_batches = epoch_loop.batches_per_epoch(len(dataset.y_train), config.training.batch_size)
        self.graph = graph.build(config, dataset.n_features, dataset.n_classes, dataset.sizes)
        self.session = tf1.Session(graph=self.graph.logits.graph, config=session_config(config.session.threads))
        self.callback(self.session.close)
        self.orders = loading.EpochOrders(config.training, len(dataset.y_train), self.graph.loop.order.shape[0])
        self.callback(self.orders.close)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.n_batches

    @property
    def batch(self) -> int:
        """Batches done of the epoch after those."""
        return self.step % self.n_batches

    @property
    def furthest_stop(self) -> int:
        """The last step that one `advance` may end before."""
        return (self.epoch + self.graph.loop.order.shape[0]) * self.n_batches

    def initialize(self, warm_start: str | None = None, say=lambda sentence: None):
        """Fresh weights; those that the checkpoint `warm_start` has by name and shape are taken from it."""
        self.run(self.graph.initializer)
        with self.session.graph.as_default():
            weights = network_variables()
        self._standardize({weight.op.name: weight for weight in weights})
        if warm_start is not None:
            loaded, others = checkpoint.load_matching(self.session, checkpoint.find(warm_start), weights)
            rest = f"; not loaded (missing, or of another shape): {', '.join(others)}" if others else ""
            say(f"warm start: loaded {', '.join(loaded)}{rest}")

    def _standardize(self, variables):
        """Gives the first layer the statistics of the training data, if it is there for that."""
        first = self.config.model.layers[0]
        if isinstance(first, Standardize):
            for name, values in loading.statistics(self.dataset.X_train, first.over == "features").items():
                assign = variables[f"{first.label}1/{name}"].initializer
                self.run(assign, {assign.inputs[1]: values})

    def restore(self, start: Checkpoint):
        """The state of a checkpoint. Raises RunError if it is not what the checkpoint's name says."""
        checkpoint.restore(start, self.session, self.graph.saver)
        self.step = start.epoch * self.n_batches + start.batch
        global_step, epoch = self.session.run([self.graph.state.global_step, self.graph.state.epoch])
        if (global_step, epoch) != (self.step, start.epoch):
            raise RunError(f"{start.path} holds step {global_step} of epoch {epoch}, which is not what its name says.")
        self.stopped = self.graph.best is not None and bool(self.session.run(self.graph.best.stopped))

    def advance(self, stop: int) -> EpochResults:
        """Trains up to before step `stop` in one `Session.run`, or to where early stopping ends the run.

        With no step to do it only compiles the loop. The metrics have a row for each epoch finished on the way.
        """
        first_epoch, first = divmod(self.step, self.n_batches)
        last_epoch, last = divmod(max(stop, self.step + 1) - 1, self.n_batches)
        n_epochs = last_epoch - first_epoch + 1 if stop > self.step else 0
        order, loop = self.orders.rows(first_epoch, last_epoch), self.graph.loop
        results = self.run(loop.results, loop.feed(self.dataset, order, n_epochs, first, last + 1))
        self.step, self.stopped = int(results.global_step), bool(results.stopped)
        return results

    def run(self, fetches, feed=None):
        """`Session.run`. Raises RunError if the memory does not suffice."""
        try:
            return self.session.run(fetches, feed)
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            raise RunError("there is not enough memory for this network and these data: make them smaller.") from error

    def logits(self, X) -> np.ndarray:
        """float32 [samples, classes] of X, [samples, features]."""
        return predict(self.session, self.graph.inputs.X, self.graph.logits, X)

    def outputs(self, X) -> dict[str, np.ndarray]:
        """{layer: float32 [samples, units]} of X, [samples, features]; the last layer's are the logits."""
        return predict(self.session, self.graph.inputs.X, self.graph.outputs, X)

    def histograms(self) -> bytes:
        """A Summary of weights, updates and activations, the latter of the first test samples."""
        return self.run(self.graph.histograms, {self.graph.inputs.X: self.dataset.X_test[:SAMPLES_SEEN]})

    @property
    def best_epoch(self) -> int | None:
        """With early stopping, the epoch of the lowest validation loss so far, None before there is one."""
        return (int(self.session.run(self.graph.best.epoch)) or None) if self.graph.best else None

    def variables(self) -> dict[str, np.ndarray]:
        """{name: values} of all that a checkpoint holds."""
        return self.session.run({each.op.name: each for each in self.session.graph.get_collection("variables")})
