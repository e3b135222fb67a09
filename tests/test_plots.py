"""Figures: there, of the right size, and of the right thing."""

import numpy as np
import runs
from matplotlib.image import imread

from fcclf import data, plots


def halves(X):
    """A classifier that is sure of class 0 on the left and of class 1 on the right."""
    right = (X[:, :1] > 0.5).astype(float)
    return np.hstack([1 - right, right])


def test_the_boundary_separates_the_two_colours_where_the_classifier_does(tmp_path):
    plots.decision_boundary(tmp_path / "figures" / "boundary.png", data.load(runs.config()), halves, "title")
    image = imread(tmp_path / "figures" / "boundary.png")
    assert image.shape[:2] == (600, 960)
    red, blue = image[..., 0], image[..., 2]
    middle = slice(100, 500)
    assert (blue > red)[middle, 80:200].mean() > 0.5
    assert (red > blue)[middle, 600:700].mean() > 0.5
