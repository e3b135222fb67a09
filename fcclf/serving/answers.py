"""What a run answers for the samples of a file: rows of CSV, or JSON lines, written as they are computed.

CSV begins with a header: the column of ids under its own name, if one is asked for; `class` and `probability`, and with
all probabilities a column `p_CLASS` for each class; `prediction` where a number is predicted, `prediction_1` and so on
where several are; where a sample may have several classes, a column of ones and zeros for each.
"""

import csv
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.data.tables import cells, new_samples
from fcclf.runs.trained import TrainedRun
from fcclf.settings.run_config import AS_IT_LOOKS, CLASSIFICATION, Format


class Wanted(NamedTuple):
    """What is asked for. label, ids: the name or number of a column, or None; probabilities: whether of all classes."""

    label: str | None = None
    ids: str | None = None
    probabilities: bool = False


def write(
    run: TrainedRun, data: Path, file, wanted: Wanted, warn, as_json=False, form: Format = AS_IT_LOOKS
) -> "Iterator[Score]":
    """Writes what the run answers for the samples in `data` into an open text file; yields the score so far after each
    block.

    form: how the samples are written; where it does not say, as in training. Raises RunError, possibly after some
    blocks, if the samples do not fit; ConfigError for a column that is not there.
    """
    score, names = _score(run), _names(run, wanted)
    lines = _JsonLines(file, names, {wanted.ids, "class"}) if as_json else csv.writer(file, lineterminator="\n")
    blocks = new_samples.read(data, run.expected, warn, wanted.label, wanted.ids, form)
    first = list(itertools.islice(blocks, 1))  # writes nothing before something has been read
    if not as_json:
        lines.writerow(names)
    for samples in itertools.chain(first, blocks):
        answered = _answered(run, samples.X, wanted.probabilities)
        score.add(answered.predictions, samples.labels)
        ids = [] if samples.ids is None else [samples.ids]
        lines.writerows(zip(*ids, *answered.columns, strict=True))
        yield score


def _names(run, wanted):
    """The names of the columns that are written."""
    ids = [] if wanted.ids is None else [wanted.ids]
    if run.is_regression:
        outputs = run.description.data.n_classes
        return [*ids, *(["prediction"] if outputs == 1 else [f"prediction_{each + 1}" for each in range(outputs)])]
    shares = [f"p_{name}" for name in run.schema.classes] if wanted.probabilities else []
    return [*ids, *(["class", "probability"] if run.task == CLASSIFICATION else run.schema.classes), *shares]


class _Answered(NamedTuple):
    """Answers for some samples. predictions: as `TrainedRun.predictions` gives them; columns: lists of values."""

    predictions: np.ndarray
    columns: list[list]


def _answered(run, X, probabilities):
    if run.is_regression:
        predictions = run.predictions(X)
        return _Answered(predictions, _columns(np.reshape(predictions, (len(X), -1))))
    logits = run.logits(X)
    shares, predictions = run.shares(logits), run.decisions(logits)
    all_of_them = _columns(shares) if probabilities else []
    if run.task != CLASSIFICATION:
        return _Answered(predictions, [*_columns(predictions), *all_of_them])
    names = [run.schema.classes[number] for number in predictions.tolist()]
    return _Answered(predictions, [names, shares.max(axis=1).astype(str).tolist(), *all_of_them])


def _columns(values):
    """The columns of numbers, as the shortest texts that read back as the same number."""
    return [column.astype(str).tolist() for column in values.T]


class _JsonLines:
    """Writes rows like a `csv.writer`, but each as a JSON object on its own line. texts: names of the columns that are
    not numbers."""

    def __init__(self, file, names, texts):
        self.file, self.names, self.texts = file, names, texts

    def writerows(self, rows):
        for row in rows:
            pairs = zip(self.names, row, strict=True)
            document = {name: value if name in self.texts else json.loads(value) for name, value in pairs}
            self.file.write(json.dumps(document, ensure_ascii=False) + "\n")


# ---- how good they are -----------------------------------------------------------------------------------------------


class Score:
    """How good answers are. rows: how many there are; labelled: how many of them have a label."""

    def __init__(self):
        self.rows = self.labelled = 0

    def add(self, predictions, labels: list[str] | None):
        """Counts some samples. labels: their texts, empty where one has none; None where no sample has one."""
        self.rows += len(predictions)
        known = [place for place, label in enumerate(labels or ()) if not cells.is_missing(label)]
        if known:
            self.labelled += len(known)
            self.add_labelled(predictions[known], [labels[place] for place in known])

    def add_labelled(self, predictions, labels):
        """Counts samples that have labels; several values for one sample are not compared."""


class Accuracy(Score):
    """The share of labelled rows whose predicted class is the label."""

    def __init__(self, classes):
        super().__init__()
        self.classes, self.right = {name: number for number, name in enumerate(classes)}, 0
        self.numbers = {cells.number(name): number for name, number in self.classes.items()}

    def add_labelled(self, predictions, labels):
        numbers = [self.classes.get(label, self.numbers.get(cells.number(label), -1)) for label in labels]
        self.right += int(np.sum(predictions == np.array(numbers)))

    def __str__(self):
        return f"accuracy {self.right / self.labelled:.4f} of {self.labelled} rows with labels"


class Errors(Score):
    """How far predicted numbers are from the labels."""

    def __init__(self):
        super().__init__()
        self.mean = self.spread = self.absolute = self.squares = 0.0

    def add_labelled(self, predictions, labels):
        labels, before = np.array([cells.number(label) or 0.0 for label in labels]), self.labelled - len(labels)
        self.absolute += np.abs(predictions - labels).sum()
        self.squares += np.square(predictions - labels).sum()
        step = labels.mean() - self.mean  # Chan et al. 1983
        self.spread += np.square(labels - labels.mean()).sum() + step**2 * before * len(labels) / self.labelled
        self.mean += step * len(labels) / self.labelled

    def __str__(self):
        count, r2 = self.labelled, f"R2 {1 - self.squares / self.spread:.4f}, " if self.spread > 0 else ""
        errors = (
            f"mean absolute error {self.absolute / count:.5g}, root mean square {math.sqrt(self.squares / count):.5g}"
        )
        return f"{r2}{errors} of {count} rows with labels"


def _score(run):
    if run.task == CLASSIFICATION:
        return Accuracy(run.schema.classes)
    return Errors() if run.is_regression and run.description.data.n_classes == 1 else Score()
