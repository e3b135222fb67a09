"""A trained network, whoever trained it: its layers, its values, and what its answers mean."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, softmax

from fcclf.data import dataset
from fcclf.data.schema import Schema
from fcclf.learning.predictor import class_logits
from fcclf.runs import run_directory
from fcclf.runs.trained import TrainedRun
from fcclf.settings.blocks import MISSING, Block
from fcclf.settings.run_config import MULTILABEL, REGRESSION
from fcclf.system import durable


class ServedModel(NamedTuple):
    """A trained network.

    layers: (name, block) of it. values: {variable name: values} of kernels, biases and statistics. task: as in
    `RunConfig`. schema: with a text for every class, its number where no name is known. dtype: of the network's
    numbers, "float32" or "float64". threads: of a session. label_mean, label_stddev, logarithms: for a regression, how
    answers become numbers, as in `fcclf.data.dataset.numbers`. note: where it comes from, for JSON.
    """

    layers: tuple[tuple[str, Block], ...]
    n_features: int
    values: dict[str, np.ndarray]
    task: str
    schema: Schema
    dtype: str = "float32"
    threads: int = 1
    label_mean: float = 0.0
    label_stddev: float = 1.0
    logarithms: bool = False
    note: dict = {}  # noqa: RUF012 - never changed

    @property
    def n_outputs(self) -> int:
        """Number of units of the last layer."""
        return self.layers[-1][1].units

    @property
    def missing(self) -> bool:
        """Whether numbers may be missing: NaN in X."""
        return any(block.over == MISSING for _, block in self.layers)

    def outputs(self, answers) -> dict[str, np.ndarray]:
        """{name: array} of the model's outputs. answers: the network's, [samples, outputs].

        logits, probabilities: [samples, classes], of the network's type. class_ids: int64 [samples]; where a sample may
        have several labels, ones and zeros, [samples, labels]. classes: texts, [samples], where a sample has one label.
        A regression has predictions alone: float64 [samples], or [samples, outputs] if it has several outputs.
        """
        if self.task == REGRESSION:
            return {"predictions": dataset.numbers(answers, self, self.logarithms)}
        if self.task == MULTILABEL:
            return {"logits": answers, "probabilities": expit(answers), **self.decided(answers)}
        logits = class_logits(answers)[:, : len(self.schema.classes)]
        return {"logits": logits, "probabilities": softmax(logits, axis=1), **self.decided(logits)}

    def decided(self, logits) -> dict[str, np.ndarray]:
        """The outputs that follow from the logits alone: class_ids and, where a sample has one label, classes."""
        if self.task == MULTILABEL:
            return {"class_ids": (logits > 0).astype(np.int64)}
        number = logits.argmax(axis=1)
        return {"class_ids": number, "classes": np.array(self.schema.classes, object)[number]}


def of_run(run: TrainedRun) -> ServedModel:
    """The model of an open run."""
    facts, predictor = run.description.data, run.predictor
    return ServedModel(
        tuple(predictor.layers.items()),
        predictor.n_features,
        run.weights(),
        run.task,
        run.schema,
        predictor.dtype,
        predictor.threads,
        facts.label_mean,
        facts.label_stddev,
        run.description.config.logarithms,
        _note(run),
    )


def _note(run):
    """Where a run's model comes from."""
    description = run.description
    return {
        "source": str(run.path),
        "epoch": run.epoch,
        "fingerprint": description.fingerprint,
        "versions": description.versions,
        "threads": run.predictor.threads,
        "metrics": _metrics(run),
    }


def _metrics(run):
    """The metrics of the test part if they were measured at this epoch, else None."""
    try:
        measured = durable.read_sealed(run.path / run_directory.METRICS, dict)
    except (OSError, ValueError):
        return None
    same = measured.get("fingerprint") == run.description.fingerprint and measured.get("epoch") == run.epoch
    return measured.get("test") if same else None
