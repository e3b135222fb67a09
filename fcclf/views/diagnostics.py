"""Figures that tell how far a network can be trusted and what it has learned: calibration, weights, mistakes.

Made as those of `fcclf.views.plots`: arrays in, a matplotlib `Figure` out.
"""

import math

import numpy as np

from fcclf.views.evaluation import Calibration
from fcclf.views.plots import COLORS, SIZE, lay_legend, new_figure

SMALLEST_SIDE = 8  # pixels; fewer features than that squared are taken for a table's columns, not for an image
MOST_IMAGES = 25
MOST_NUMBERS = 20  # weights along a side of a heat map that has them in numbers too


def image_side(n_features: int) -> int | None:
    """Pixels along the side of the square images that samples of `n_features` may be; None if they cannot be."""
    side = math.isqrt(n_features)
    return side if side >= SMALLEST_SIDE and side * side == n_features else None


# ---- calibration -----------------------------------------------------------------------------------------------------


def calibration(measured: Calibration, title: str):
    """Accuracy against confidence, with the expected calibration error, and how often each confidence occurs."""
    figure, (upper, lower) = new_figure(title, size=(6, 6), nrows=2, sharex=True, height_ratios=(3, 1))
    draw_calibration(upper, measured)
    draw_confidences(lower, measured)
    lower.set_xlabel("confidence: probability of the predicted class")
    lay_legend(figure, upper)
    return figure


def draw_calibration(axes, measured: Calibration):
    """A bar for each bin with samples, and the line where confidence and accuracy are the same."""
    edges, filled = _edges(measured), measured.count > 0
    gap = measured.accuracy - measured.confidence
    axes.bar(edges[:-1][filled], measured.accuracy[filled], **_bars(measured), color=COLORS[5], label="accuracy")
    hatched = {"fill": False, "hatch": "////", "edgecolor": COLORS[1], "linewidth": 0}
    below = measured.confidence[filled]
    axes.bar(edges[:-1][filled], gap[filled], **_bars(measured), bottom=below, label="gap to confidence", **hatched)
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="perfectly calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    axes.set_title(f"expected calibration error {measured.error:.4f}", fontsize="medium")


def draw_confidences(axes, measured: Calibration):
    """A histogram of the confidences."""
    axes.bar(_edges(measured)[:-1], measured.count, **_bars(measured), color=COLORS[7])
    axes.set(xlim=(0, 1), ylabel="test samples")


def _edges(measured):
    return np.linspace(0, 1, len(measured.count) + 1)


def _bars(measured):
    return {"width": 1 / len(measured.count), "align": "edge"}


# ---- weights ---------------------------------------------------------------------------------------------------------


def weights(kernel, title: str):
    """The first layer. kernel: float [features, units].

    Where the features may be the pixels of an image, the first MOST_IMAGES units are shown as images; else all weights
    are one heat map, with their numbers if these fit.
    """
    limit = float(np.abs(kernel).max()) or 1.0
    side = image_side(len(kernel))
    if side is None:
        return _heat_map(kernel, limit, title)
    images = kernel.T[:MOST_IMAGES].reshape(-1, side, side)
    names = [f"unit {number}" for number in range(1, len(images) + 1)]
    return _images(images, names, title, label="weight", cmap="RdBu_r", vmin=-limit, vmax=limit)


def _heat_map(kernel, limit, title):
    height = min(5.0, 1.6 + 0.45 * len(kernel))
    figure, axes = new_figure(title, size=(SIZE[0], height))
    image = draw_weights(axes, kernel, limit)
    figure.colorbar(image, ax=axes, label="weight")
    return figure


def draw_weights(axes, kernel, limit: float):
    """A heat map of kernel, float [features, units], and returns the image. Colours are symmetric about 0: ±limit."""
    image = axes.imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    if max(kernel.shape) <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(kernel):
            color = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize="small")
    for axis, count in ((axes.yaxis, kernel.shape[0]), (axes.xaxis, kernel.shape[1])):
        ticks = np.arange(0, count, 1 + count // 25)
        axis.set_ticks(ticks, ticks + 1)
    axes.set(xlabel="unit", ylabel="feature")
    return image


# ---- mistakes --------------------------------------------------------------------------------------------------------


def mistakes(X, y, probabilities, classes: list[str], title: str):
    """The images that were predicted wrong with the highest confidence, most confident first.

    X: float [samples, pixels of a square]; y: int [samples]; probabilities: float [samples, classes], one is wrong;
    classes: their names.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != y)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_IMAGES]
    shown = zip(y[worst], predictions[worst], confidence[worst], strict=True)
    names = [f"{classes[true]},\nnot {classes[predicted]}\n{sure:.1%} sure" for true, predicted, sure in shown]
    side = image_side(X.shape[1])
    return _images(X[worst].reshape(-1, side, side), names, title, cmap="gray_r")


def _images(images, names, title, label=None, **style):
    """A grid of images, float [count, side, side], each under its name. label: of a colour bar for all of them."""
    n_columns = min(5, len(images))
    n_rows = -(-len(images) // n_columns)
    figure, grid = new_figure(
        title,
        size=(max(5, 1.6 * n_columns), 0.6 + (1.75 if label else 1.95) * n_rows),
        nrows=n_rows,
        ncols=n_columns,
        squeeze=False,
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, name in zip(grid.flat, images, names, strict=False):
        shown = axes.imshow(image, **style)
        axes.set_title(name, fontsize="small")
    if label:
        figure.colorbar(shown, ax=grid, label=label, shrink=0.8)
    return figure
