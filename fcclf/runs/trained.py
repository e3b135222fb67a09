"""A trained run, opened from its directory alone: its answers for any samples, and its weights, as numpy.

No lock is taken: a run may be read while it is trained. If a checkpoint is pruned while it is read, the next is taken.
"""

import contextlib
from pathlib import Path

import numpy as np
from scipy.special import softmax

from fcclf.data import loading
from fcclf.data.dataset import Dataset, numbers
from fcclf.errors import RunError
from fcclf.learning.plan import cores
from fcclf.learning.predictor import Predictor
from fcclf.learning.program import best_epoch, best_weights
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
        epoch, values = newest_values(self.path, self.description)
        config, facts = self.description.config, self.description.data
        layers = config.layers(facts.shape)
        threads = config.session.threads or self.description.threads or cores()
        self.predictor = Predictor(tuple(layers.items()), facts.n_features, threads)
        self.epoch = best_epoch(values) or epoch
        try:
            self.predictor.load(_weights(self.path, self.predictor.variables, values))
        except RunError:
            self.predictor.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.predictor.close()

    @property
    def is_regression(self) -> bool:
        """Whether the run predicts numbers, not classes."""
        return self.description.config.is_regression

    def logits(self, X) -> np.ndarray:
        """float32 [samples, classes] of X, [samples, features]. Raises RunError if the run predicts numbers."""
        if self.is_regression:
            raise RunError(f"{self.path} predicts numbers, which have no logits and no probabilities: see predictions.")
        return self.predictor.logits(X)

    def probabilities(self, X) -> np.ndarray:
        """float32 [samples, classes]; each row sums to 1. Raises RunError as `logits` does."""
        return softmax(self.logits(X), axis=1)

    def predictions(self, X) -> np.ndarray:
        """int64 [samples], class numbers; or float64 [samples], the numbers predicted."""
        return self._numbers(X) if self.is_regression else self.logits(X).argmax(axis=1)

    def _numbers(self, X):
        logarithms = self.description.config.training.loss == "poisson"
        return numbers(self.predictor.answers(X), self.description.data, logarithms)

    def weights(self) -> dict[str, np.ndarray]:
        """{variable name: values} of every kernel and bias, and of the statistics of a network that has some."""
        return self.predictor.values()

    def dataset(self) -> Dataset:
        """The data the run was trained and tested on. Raises RunError if they cannot be loaded again."""
        dataset = loading.load(self.description.config)
        if dataset.facts != self.description.data:
            raise RunError(f"the data that {self.path / 'config.json'} describes are not those the run was trained on.")
        return dataset


def open_run(path: Path | str) -> TrainedRun:
    """The trained run in directory `path`, a context manager. Raises RunError if there is none that can be read."""
    return TrainedRun(Path(path))


def _weights(path, variables, values):
    """{name: values} of the network's `variables` that count. Raises RunError if a checkpoint has others."""
    for name, variable in variables.items():
        if name not in values or values[name].shape != tuple(variable.shape):
            found = values[name].shape if name in values else None
            raise RunError(
                f"{path}: its checkpoint does not fit the run: {name} has shape {found}, not {variable.shape}."
            )
    return best_weights({name: values[name] for name in variables}, values)


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
