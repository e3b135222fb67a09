"""Metrics on a case small enough to count by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fcclf.views import evaluation

# Five samples of class 0, 1, 1, 2, 2; predicted 0, 1, 0, 1, 1: class 2 is never predicted.
Y = np.array([0, 1, 1, 2, 2])
LOGITS = np.log(
    np.float32([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3]])
)  # fmt: skip


def test_metrics_are_what_counting_gives():
    measured = evaluation.metrics(Y, LOGITS)
    assert measured["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 2, 0]]
    assert measured["accuracy"] == pytest.approx(2 / 5)
    assert measured["loss"] == pytest.approx(-np.mean(np.log([0.8, 0.7, 0.4, 0.3, 0.3])), rel=1e-6)
    assert measured["per_class"]["precision"] == pytest.approx([1 / 2, 1 / 3, 0])
    assert measured["per_class"]["recall"] == pytest.approx([1, 1 / 2, 0])
    assert measured["per_class"]["support"] == [1, 2, 2]
    assert measured["precision"] == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert measured["f1"] == pytest.approx((2 / 3 + 2 / 5) / 3)


def test_metrics_are_plain_json():
    measured = evaluation.metrics(Y, LOGITS)
    assert json.loads(json.dumps(measured)) == measured


def test_a_certain_mistake_costs_its_logits_and_not_infinity():
    assert evaluation.metrics(np.array([1]), np.float32([[1000, 0]]))["loss"] == pytest.approx(1000)


def test_the_report_shows_every_class_and_the_matrix():
    report = evaluation.report(Y, LOGITS, ["0", "1", "2"]).splitlines()
    assert report[-4].split() == ["predicted", "0", "1", "2"]
    assert [line.split() for line in report[-3:]] == [
        ["true", "0", "1", "0", "0"],
        ["true", "1", "1", "1", "0"],
        ["true", "2", "0", "2", "0"],
    ]
    assert any(line.split()[:2] == ["macro", "avg"] for line in report)


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    """Two bins by hand: (0.5, 0.6] has confidence 0.6 and accuracy 1/2, (0.8, 0.9] has 0.85 and 1."""
    probabilities = np.array([[0.6, 0.4], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8000001]])
    measured = evaluation.calibration(np.array([0, 0, 0, 1]), probabilities, n_bins=10)
    assert measured.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]
    assert measured.accuracy[[5, 8]].tolist() == [0.5, 1.0]
    assert measured.confidence[[5, 8]] == pytest.approx([0.6, 0.85])
    assert measured.error == pytest.approx((2 * 0.1 + 2 * 0.15) / 4)
    assert np.isnan(measured.accuracy[0])


def test_a_sure_classifier_that_is_right_is_calibrated():
    measured = evaluation.calibration(np.array([0, 1]), np.eye(2, dtype=np.float32))
    assert measured.count[-1] == 2
    assert measured.error == 0


def test_the_roc_of_a_class_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    y, probabilities = random.integers(3, size=60), random.dirichlet([1, 1, 1], 60)
    measured = evaluation.roc(y, probabilities)
    for label in range(3):
        assert measured[label].area == pytest.approx(roc_auc_score(y == label, probabilities[:, label]))


def test_a_class_without_samples_and_one_without_others_have_no_roc():
    assert list(evaluation.roc(np.array([0, 2, 2]), np.eye(4)[[0, 2, 1]])) == [0, 2]
    assert evaluation.roc(np.array([1, 1]), np.eye(2)) == {}
