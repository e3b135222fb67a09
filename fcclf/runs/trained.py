"""A trained run, opened from its directory alone: logits, probabilities and predictions in batches, weights as numpy.

No lock is taken: a run may be read while it is trained. If a checkpoint is pruned while it is read, the next is taken.
"""

import contextlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.special import softmax

from fcclf.data import loading
from fcclf.data.loading import Dataset
from fcclf.errors import RunError
from fcclf.learning import graph
from fcclf.learning.trainer import predict, session_config
from fcclf.network.layers import network_variables
from fcclf.runs import checkpoint, run_directory
from fcclf.runs.checkpoint import Checkpoint
from fcclf.runs.run_directory import Description

ATTEMPTS = 10  # at opening a run whose writer prunes while we read


class TrainedRun:
    """A context manager around the session that holds a run's newest checkpoint.

    path: the run directory; description: a `run_directory.Description`; epoch: the one whose weights these are, the
    last or, with early stopping, the best.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.description = run_directory.read_with_data(self.path)
        newest_checkpoint(self.path, self.description)  # refuses a damaged run before a graph is built for it
        facts = self.description.data
        self.graph = graph.build(self.description.config, facts["n_features"], facts["n_classes"])
        self.session = tf.compat.v1.Session(
            graph=self.graph.logits.graph, config=session_config(self.description.config.session.threads)
        )
        try:
            self.epoch = self._restore()
        except RunError:
            self.session.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.session.close()

    def logits(self, X) -> np.ndarray:
        """float32 [samples, classes] of X, [samples, features]."""
        return predict(self.session, self.graph.inputs.X, self.graph.logits, X)

    def probabilities(self, X) -> np.ndarray:
        """float32 [samples, classes]; each row sums to 1."""
        return softmax(self.logits(X), axis=1)

    def predictions(self, X) -> np.ndarray:
        """int64 [samples], class numbers."""
        return self.logits(X).argmax(axis=1)

    def weights(self) -> dict[str, np.ndarray]:
        """{variable name: values} of every kernel and bias, and of the statistics of a network that has some."""
        with self.session.graph.as_default():
            return self.session.run({variable.op.name: variable for variable in network_variables()})

    def dataset(self) -> Dataset:
        """The data the run was trained and tested on. Raises RunError if they cannot be had again."""
        dataset = loading.load(self.description.config)
        if loading.facts(dataset) != self.description.data:
            raise RunError(f"the data that {self.path / 'config.json'} describes are not those the run was trained on.")
        return dataset

    def _restore(self):
        def restored():
            newest = newest_checkpoint(self.path, self.description)
            checkpoint.restore(newest, self.session, self.graph.saver)
            return self._choose_best() or newest.epoch

        return _while_pruned(self.path, restored)

    def _choose_best(self):
        """With early stopping: takes the weights of the best epoch and returns it, None if there is none yet."""
        best = self.graph.best
        epoch = int(self.session.run(best.epoch)) if best else None
        if epoch:
            self.session.run(best.restore)
        return epoch


def newest_checkpoint(path: Path, description: Description) -> Checkpoint:
    """The newest checkpoint of the run in `path`, verified. Raises RunError if there is none or it is damaged."""
    newest = _while_pruned(path, lambda: checkpoint.newest(path / "checkpoints", description.fingerprint))
    if newest is None:
        raise RunError(f"{path} has no checkpoint yet: let it train first.")
    return newest


def newest_values(path: Path, description: Description) -> tuple[int, dict[str, np.ndarray]]:
    """(epoch, {name: values} of every variable) of the newest checkpoint. Raises RunError as that does."""

    def read():
        newest = newest_checkpoint(path, description)
        return newest.epoch, checkpoint.values(newest)

    return _while_pruned(path, read)


def _while_pruned(path, read):
    """What read() returns, once it is not disturbed by the writer's pruning."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return read()
    raise RunError(f"{path} changes faster than it can be read: try again when it is not being trained.")
