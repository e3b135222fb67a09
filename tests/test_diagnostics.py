"""Calibration, weights and mistakes: the numbers that are drawn."""

import numpy as np
import pytest

from fcclf.views import diagnostics, evaluation


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_the_calibration_figure_shows_error_bars_and_histogram():
    y = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    figure = diagnostics.calibration(evaluation.calibration(y, probabilities), "title")
    upper, lower = figure.axes
    assert upper.get_title() == "expected calibration error 0.2500"  # (3 * |2/3 - 0.9| + 1 * |1 - 0.7|) / 4
    assert sorted(bar.get_height() for bar in upper.containers[0]) == pytest.approx([2 / 3, 1])
    assert sum(bar.get_height() for bar in lower.containers[0]) == 4
    assert [text.get_text() for text in lower.texts if text.get_text()] == ["1", "3"]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_of_two_classes_the_second_has_a_curve():
    measured = evaluation.roc(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]))
    figure = diagnostics.roc(measured, ["no", "yes"], "title")
    assert legend(figure) == ["class yes, area 0.7500", "chance"]
    curve = figure.axes[0].lines[0]
    np.testing.assert_allclose(curve.get_xdata(), [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(curve.get_ydata(), [0, 0.5, 0.5, 1, 1])


def test_of_three_classes_each_has_a_curve_against_the_others():
    figure = diagnostics.roc(evaluation.roc(np.arange(3), np.eye(3)), ["a", "b", "c"], "title")
    assert legend(figure) == [*(f"class {name}, area 1.0000" for name in "abc"), "chance"]
    assert figure.axes[0].get_title() == "mean area under the curves 1.0000"


def test_of_very_many_classes_those_told_worst_have_a_colour():
    probabilities = np.eye(100)
    probabilities[40:42, 40:42] = [[0.4, 0.6], [0.6, 0.4]]  # each is taken for the other, and for no other of 99
    figure = diagnostics.roc(evaluation.roc(np.arange(100), probabilities), [*map(str, range(100))], "title")
    assert legend(figure)[8:10] == ["class 40, area 0.9899", "class 41, area 0.9899"]
    assert legend(figure)[-2:] == ["90 others, area at least 1.0000", "chance"]
    assert len(figure.axes[0].lines) == 100 + 2


def test_few_weights_are_a_heat_map_with_numbers_and_symmetric_colours():
    figure = diagnostics.weights(np.array([[0.5, -2.0, 1.0], [0.0, 0.25, -0.125]]), "title")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.50", "-2.00", "1.00", "0.00", "0.25", "-0.12"]
    assert axes.images[0].get_clim() == (-2, 2)


def test_weights_of_a_table_have_the_names_of_its_columns():
    axes = diagnostics.weights(np.ones((3, 2)), "title", ["age", "soil = clay", "soil = sand"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["age", "soil = clay", "soil = sand"]


def test_features_with_names_are_no_pixels():
    figure = diagnostics.weights(np.ones((64, 2)), "title", [f"column {number}" for number in range(64)])
    assert figure.axes[0].images[0].get_array().shape == (64, 2)


def test_many_weights_are_a_heat_map_without_numbers():
    axes = diagnostics.weights(np.ones((30, 50)), "title").axes[0]
    assert axes.images[0].get_array().shape == (30, 50)
    assert not axes.texts


def test_weights_of_pixels_are_images_one_for_each_unit():
    kernel = np.arange(64 * 3.0).reshape(64, 3)
    figure = diagnostics.weights(kernel, "title")
    assert titles(figure) == ["unit 1", "unit 2", "unit 3"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), kernel[:, 1].reshape(8, 8))


@pytest.mark.parametrize(("n_features", "side"), [(784, 28), (64, 8), (63, None), (49, None), (2, None)])
def test_only_squares_that_are_large_enough_are_images(n_features, side):
    assert diagnostics.image_side(n_features) == side


def test_mistakes_are_the_wrong_images_the_surest_first():
    X, y = np.arange(4 * 64.0).reshape(4, 64), np.array([0, 1, 2, 0])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.9, 0.1, 0.0], [0.2, 0.5, 0.3]])
    figure = diagnostics.mistakes(X, y, probabilities, ["shoe", "bag", "coat"], "title")
    assert titles(figure) == [
        "coat,\nnot shoe\n90.0% sure",
        "bag,\nnot shoe\n60.0% sure",
        "shoe,\nnot bag\n50.0% sure",
    ]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), X[2].reshape(8, 8))
