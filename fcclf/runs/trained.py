"""A trained run, opened from its directory alone: its answers for any samples, and its weights, as numpy arrays.

No lock is taken: a run may be read while it is trained. If a checkpoint is pruned while it is read, the newest one is
read instead.
"""

import contextlib
import functools
import warnings
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from fcclf.data import loading
from fcclf.data.dataset import Dataset, numbers
from fcclf.data.schema import Schema
from fcclf.data.tables import new_samples
from fcclf.data.tables.new_samples import Expected
from fcclf.errors import RunError
from fcclf.learning.plan import cores
from fcclf.learning.predictor import Predictor, class_logits
from fcclf.learning.program import best_epoch, best_weights
from fcclf.runs import checkpoint, run_directory
from fcclf.runs.checkpoint import Checkpoint
from fcclf.runs.run_directory import Description
from fcclf.settings.run_config import CLASSIFICATION, MULTILABEL, REGRESSION

BEST, LATEST = "best", "latest"  # which weights: those of the best epoch, if one is known, or of the last
ATTEMPTS = 10  # at opening a run whose writer prunes while we read


class TrainedRun:
    """A context manager around the session that holds the weights of a run.

    path: the run directory; description: a `run_directory.Description`; schema: the names of columns and classes;
    epoch: the one whose weights these are, the last or, with early stopping, the best.

    X, the samples to predict, is an array [samples, features]; or a DataFrame, rows of cells, or the path of a file,
    whose columns are found by the names that the run knows. Raises RunError if samples do not fit.
    """

    def __init__(self, path: Path, which: str = BEST):
        """Opens a run. which: the weights, of the BEST epoch if early stopping knows one, else the last; of the LATEST
        epoch; or of "epoch-N", one of the checkpoints."""
        self.path = Path(path)
        self.description = run_directory.read(self.path)
        epoch, values = chosen_values(self.path, self.description, which)
        config, facts = self.description.config, self.description.data
        layers, threads = config.layers(facts.shape), config.threads or self.description.threads or cores()
        self.predictor = Predictor(tuple(layers.items()), facts.n_features, threads, config.dtype)
        self.epoch = (best_epoch(values) if which == BEST else None) or epoch
        try:
            self.predictor.load(_weights(self.path, self.predictor.variables, values, which))
        except RunError:
            self.predictor.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.predictor.close()

    @property
    def task(self) -> str:
        """What it predicts, as in `RunConfig`."""
        return self.description.config.task

    @property
    def is_regression(self) -> bool:
        """Whether the run predicts numbers, not classes."""
        return self.task == REGRESSION

    @functools.cached_property
    def schema(self) -> Schema:
        """The names of columns and classes; classes without names are called by their numbers."""
        known, facts = self.description.schema, self.description.data
        return known if self.is_regression else known._replace(classes=tuple(known.class_names(facts.n_classes)))

    @property
    def expected(self) -> Expected:
        """What samples of the run must look like."""
        config = self.description.config
        return Expected(self.schema, self.description.data.shape, config.dtype, config.format)

    def features(self, X) -> np.ndarray:
        """X as the network takes it, [samples, features]; warns of columns that are left out."""
        return new_samples.features(X, self.expected, warnings.warn)

    def logits(self, X) -> np.ndarray:
        """The logits of X, [samples, classes]. Raises RunError if the run predicts numbers."""
        if self.is_regression:
            raise RunError(f"{self.path} predicts numbers, which have no logits and no probabilities: see predictions.")
        answers = self.predictor.answers(self.features(X))
        several = self.task == MULTILABEL
        return answers if several else class_logits(answers)[:, : self.description.data.n_classes]

    def probabilities(self, X) -> np.ndarray:
        """The probabilities of X, [samples, classes]; each row sums to 1, unless a sample may have several of the
        classes. Raises RunError as `logits` does."""
        return self.shares(self.logits(X))

    def shares(self, logits) -> np.ndarray:
        """The probabilities that correspond to logits, both [samples, classes]."""
        return expit(logits) if self.task == MULTILABEL else softmax(logits, axis=1)

    def predictions(self, X) -> np.ndarray:
        """The predictions for X: class numbers, int64 [samples]; or numbers, float64 [samples] or [samples, outputs];
        or ones and zeros, int64 [samples, classes], where a sample may have several classes."""
        if self.is_regression:
            answers, facts = self.predictor.answers(self.features(X)), self.description.data
            return numbers(answers, facts, self.description.config.logarithms)
        return self.decisions(self.logits(X))

    def decisions(self, logits) -> np.ndarray:
        """The `predictions` that follow from logits, [samples, classes]."""
        return (logits > 0).astype(np.int64) if self.task == MULTILABEL else logits.argmax(axis=1)

    def labels(self, X) -> np.ndarray:
        """The name of the predicted class of each sample, texts [samples]. Raises RunError if the run does not predict
        one class for a sample."""
        if self.task != CLASSIFICATION:
            raise RunError(f"{self.path} does not predict one class for a sample: see predictions.")
        return np.array(self.schema.classes)[self.predictions(X)]

    def weights(self) -> dict[str, np.ndarray]:
        """{variable name: values} of every kernel and bias, and of the statistics of a network that has any."""
        return self.predictor.values()

    def dataset(self) -> Dataset:
        """The data the run was trained and tested on. Raises RunError if they cannot be loaded again."""
        run_directory.check_loadable(self.path, self.description)
        dataset = loading.load(self.description.config)
        if dataset.facts != self.description.data:
            raise RunError(f"the data that {self.path / 'config.json'} describes are not those the run was trained on.")
        return dataset


def open_run(path: Path | str, which: str = BEST) -> TrainedRun:
    """The trained run in directory `path`, a context manager. which: the weights, as in `TrainedRun`. Raises RunError
    if there is no run that can be read."""
    return TrainedRun(Path(path), which)


def _weights(path, variables, values, which):
    """{name: values} of the network's `variables` that count. Raises RunError if a checkpoint has others."""
    for name, variable in variables.items():
        if name not in values or values[name].shape != tuple(variable.shape):
            found = values[name].shape if name in values else None
            raise RunError(
                f"{path}: its checkpoint does not fit the run: {name} has shape {found}, not {variable.shape}."
            )
    last = {name: values[name] for name in variables}
    return best_weights(last, values) if which == BEST else last


def newest_checkpoint(path: Path, description: Description) -> Checkpoint:
    """The newest checkpoint of the run in `path`, verified. Raises RunError if there is none or it is damaged."""
    newest = _while_pruned(path, lambda: checkpoint.newest(path / "checkpoints", description.fingerprint))
    if newest is None:
        raise RunError(f"{path} has no checkpoint yet: let it train first.")
    return newest


def newest_values(path: Path, description: Description) -> tuple[int, dict[str, np.ndarray]]:
    """(epoch, {name: values} of every variable) of the newest checkpoint. Raises RunError as that does."""
    return chosen_values(path, description, LATEST)


def chosen_values(path: Path, description: Description, which: str) -> tuple[int, dict[str, np.ndarray]]:
    """The same of the checkpoint that `which` chooses, as in `TrainedRun`. Raises RunError if there is none."""

    def read():
        named = which not in (BEST, LATEST)
        found = _named_checkpoint(path, description, which) if named else newest_checkpoint(path, description)
        return found.epoch, checkpoint.values(found)

    return _while_pruned(path, read)


def _named_checkpoint(path, description, name):
    """The checkpoint "epoch-N" of the run in `path`, verified; N may lack its leading zeros."""
    known = checkpoint.committed_paths(path / "checkpoints")
    found = [each for each in known if name in (each.name, f"epoch-{checkpoint.position(each)[0]}")]
    if not found:
        names = ", ".join(each.name for each in known) or "none"
        raise RunError(f"{path} has no checkpoint {name!r}: there are {names}.")
    return checkpoint.verified(found[0], description.fingerprint)


def _while_pruned(path, read):
    """What read() returns once the writer's pruning does not interfere with it."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return read()
    raise RunError(f"{path} changes faster than it can be read: try again when it is not being trained.")
