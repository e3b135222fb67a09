"""Metrics and reports of predictions: of logits, or of numbers, against labels."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import (
    auc,
    classification_report,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    precision_recall_fscore_support,
    r2_score,
    roc_curve,
)

from fcclf.views import confusion

ROOM = 39  # letters of a name beside the columns of scikit-learn's report


def metrics(y, logits, weights=None) -> dict:
    """JSON-ready metrics of logits, float [samples, classes], against y, int [samples].

    weights: float [samples], how much each sample counts, or None where all count the same.
    loss: mean cross-entropy in nats. precision, recall, f1: macro means over the classes, and one value for each class
    under per_class; a class never predicted has precision 0. confusion_matrix: numbers of samples; a row for each true
    class.
    """
    classes = np.arange(logits.shape[1])
    predictions = logits.argmax(axis=1)
    per_class = precision_recall_fscore_support(y, predictions, labels=classes, zero_division=0, sample_weight=weights)
    precision, recall, f1, support = (values.tolist() for values in per_class)
    log_likelihood = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(y)), y]
    return {
        "loss": -float(np.average(log_likelihood, weights=weights)),
        "accuracy": float(np.average(predictions == y, weights=weights)),
        "precision": float(np.mean(precision)),
        "recall": float(np.mean(recall)),
        "f1": float(np.mean(f1)),
        "per_class": {"precision": precision, "recall": recall, "f1": f1, "support": support},
        "confusion_matrix": confusion_matrix(y, predictions, labels=classes).tolist(),
    }


def report(y, logits, names) -> str:
    """A report as text: that of scikit-learn, the confusion matrix and, of many classes, which are confused most.

    names: of the classes.
    """
    classes = np.arange(logits.shape[1])
    predictions = logits.argmax(axis=1)
    matrix = confusion_matrix(y, predictions, labels=classes)
    is_named = confusion.line_up(names, ROOM)
    shown = names if is_named else [*map(str, classes)]
    table = classification_report(y, predictions, labels=classes, target_names=shown, digits=4, zero_division=0)
    explained = [] if is_named else [*confusion.legend(names), ""]
    drawn = confusion.lines(matrix, names, is_explained=not is_named)
    return "\n".join([table, *explained, *drawn, *confusion.most_confused(matrix, names)])


def regression_metrics(labels, predictions, weights=None) -> dict:
    """JSON-ready metrics of predictions, float [samples], against labels, float [samples], in the labels' unit.

    weights: as for `metrics`. mae: mean absolute error; rmse: root of the mean squared error; r2: the share of the
    variance that is explained, 1 at best.
    """
    given = {"sample_weight": weights}
    return {
        "mae": float(mean_absolute_error(labels, predictions, **given)),
        "rmse": float(np.sqrt(mean_squared_error(labels, predictions, **given))),
        "r2": float(r2_score(labels, predictions, **given)),
    }


def regression_report(labels, predictions) -> str:
    """A report as text: mean, lowest, median and highest of labels, predictions and absolute errors."""
    errors = np.abs(predictions - labels)
    rows = [("labels", labels), ("predictions", predictions), ("absolute errors", errors)]
    shares = {"mean": np.mean, "lowest": np.min, "median": np.median, "highest": np.max}
    heading = " " * 17 + "".join(f"{name:>12}" for name in shares)
    return "\n".join(
        [heading, *(f"{name:<17}" + "".join(f"{of(values):>12.5g}" for of in shares.values()) for name, values in rows)]
    )


class Calibration(NamedTuple):
    """How well a classifier's confidence, the probability of the class it predicts, agrees with its accuracy.

    confidence, accuracy: float [bins], means over the samples of each bin, NaN in an empty one; count: int [bins],
    samples; error: the expected calibration error, the mean gap between the two over all samples.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    error: float


def calibration(y, probabilities, n_bins=15) -> Calibration:
    """The calibration of probabilities, float [samples, classes], for y, int [samples], in equal-width bins (Guo et al.
    2017)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == y
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)  # a bin includes its upper bound
    count = np.bincount(bins, minlength=n_bins)
    confidence_sum, right_sum = (np.bincount(bins, weights=values, minlength=n_bins) for values in (confidence, right))
    with np.errstate(invalid="ignore"):
        means = confidence_sum / count, right_sum / count
    return Calibration(*means, count, error=float(np.abs(right_sum - confidence_sum).sum() / len(y)))


class Roc(NamedTuple):
    """The receiver operating characteristic of a class: how well its probability tells it from the others.

    false_positives, true_positives: float [thresholds], the shares of the other samples and of its own whose
    probability is at least each threshold, in falling order; area: under the curve, 1 at best, 0.5 by chance.
    """

    false_positives: np.ndarray
    true_positives: np.ndarray
    area: float


def roc(y, probabilities) -> dict[int, Roc]:
    """{class number: Roc} of each class against the others, from probabilities, float [samples, classes], and y, int
    [samples]. A class that no sample has, or every sample, cannot be measured and is left out."""
    found = {}
    for label in range(probabilities.shape[1]):
        own = y == label
        if own.any() and not own.all():
            false_positives, true_positives, _ = roc_curve(own, probabilities[:, label])
            found[label] = Roc(false_positives, true_positives, float(auc(false_positives, true_positives)))
    return found
