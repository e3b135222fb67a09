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


def test_few_weights_are_a_heat_map_with_numbers_and_symmetric_colours():
    figure = diagnostics.weights(np.array([[0.5, -2.0, 1.0], [0.0, 0.25, -0.125]]), "title")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.50", "-2.00", "1.00", "0.00", "0.25", "-0.12"]
    assert axes.images[0].get_clim() == (-2, 2)


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
