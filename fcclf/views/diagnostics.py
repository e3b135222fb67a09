"""Figures of how far a network can be trusted and what it has learned: calibration, ROC, weights, mistakes.

As in `fcclf.views.plots`, functions take arrays and return a matplotlib `Figure`.
"""

import math

import numpy as np

from fcclf.views.evaluation import Calibration, Roc
from fcclf.views.lettering import labels_along, short_names
from fcclf.views.plots import COLORS, SIZE, lay_legend, new_figure

SMALLEST_SIDE = 8  # pixels; fewer features than that squared are taken for a table's columns, not for an image
MOST_IMAGES = 25
PALE = "#bbbbbb"  # for curves without a colour of their own
MOST_NUMBERS = 20  # weights along a side of a heat map that also shows them as numbers
NUMBER_WIDTH = 0.4  # inches, of a weight as a number
LONGEST_FEATURE, LONGEST_IN_LEGEND = 36, 16  # letters of a name
TALLEST = 9  # inches, of a heat map


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
    """Draws a bar for each bin with samples, and the line where confidence and accuracy are equal."""
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
    """Draws a histogram of the confidences, with the number of samples on each bar."""
    bars = axes.bar(_edges(measured)[:-1], measured.count, **_bars(measured), color=COLORS[7])
    axes.bar_label(bars, [str(count or "") for count in measured.count], fontsize="x-small")
    axes.set(xlim=(0, 1), ylabel="test samples")
    axes.margins(y=0.2)


def _edges(measured):
    return np.linspace(0, 1, len(measured.count) + 1)


def _bars(measured):
    return {"width": 1 / len(measured.count), "align": "edge"}


# ---- receiver operating characteristic -------------------------------------------------------------------------------


def roc(measured: dict[int, Roc], classes: list[str], title: str):
    """The ROC curve of each class: the share of it that is found, over the share of others taken for it.

    measured: {class number: `Roc`} of the classes that can be measured, one at least; classes: the names of all. Of two
    classes, whose curves mirror each other, the second is shown. If there are more classes than colours, those with the
    smallest areas have one.
    """
    names, areas = short_names(classes, LONGEST_IN_LEGEND), [each.area for each in measured.values()]
    figure, axes = new_figure(title, size=(6, 5.7 + 0.1 * min(len(areas), len(COLORS))))
    draw_roc(axes, measured, [f"class {name}" for name in names])
    axes.set_title(f"mean area under the curves {np.mean(areas):.4f}", fontsize="medium")
    lay_legend(figure, axes, widest=30)
    return figure


def draw_roc(axes, measured: dict[int, Roc], names: list[str]):
    """Draws `roc` without a legend."""
    shown = {1: measured[1]} if len(names) == 2 else measured
    worst = sorted(shown, key=lambda label: shown[label].area)[: len(COLORS)]
    others = [each for label, each in shown.items() if label not in worst]
    for each in others:
        axes.plot(each.false_positives, each.true_positives, color=PALE, linewidth=0.6)
    for label, color in zip(sorted(worst), COLORS, strict=False):
        each, name = shown[label], f"{names[label]}, area {shown[label].area:.4f}"
        axes.plot(each.false_positives, each.true_positives, color=color, linewidth=1.2, label=name)
    if others:
        lowest = min(each.area for each in others)
        axes.plot([], [], color=PALE, label=f"{len(others)} others, area at least {lowest:.4f}")
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="chance")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="share of the other classes taken for it", ylabel="share of the class found")


# ---- weights ---------------------------------------------------------------------------------------------------------


def weights(kernel, title: str, names: list[str] | None = None):
    """The weights of the first layer. kernel: float [features, units]; names: of the features, None if they may be
    pixels.

    If they may be those of a square image, the first MOST_IMAGES units are shown as images; else all weights are one
    heat map, with numbers if these fit.
    """
    limit = float(np.abs(kernel).max()) or 1.0
    side = None if names else image_side(len(kernel))
    if side is None:
        return _heat_map(kernel, limit, title, names or [str(number) for number in range(1, len(kernel) + 1)])
    images = kernel.T[:MOST_IMAGES].reshape(-1, side, side)
    units = [f"unit {number}" for number in range(1, len(images) + 1)]
    return _images(images, units, title, label="weight", cmap="RdBu_r", vmin=-limit, vmax=limit)


def _heat_map(kernel, limit, title, names):
    side = min(0.45 * len(kernel), 3.4 + 0.19 * max(0, len(kernel) - 8), TALLEST - 1.6)
    labels = labels_along(short_names(names, LONGEST_FEATURE), side, small=8)
    figure, axes = new_figure(title, size=(SIZE[0], side + 1.6))
    image = draw_weights(axes, kernel, limit, SIZE[0] - labels.left - 2)
    shown = np.arange(0, len(kernel), labels.step)
    axes.set_yticks(shown, [labels.names[number] for number in shown], fontsize=labels.fontsize)
    figure.colorbar(image, ax=axes, label="weight")
    return figure


def draw_weights(axes, kernel, limit: float, width: float):
    """Draws a heat map of kernel, float [features, units], and returns the image. Colours are symmetric about 0:
    ±limit. width: of the axes, in inches."""
    image = axes.imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    n_features, n_units = kernel.shape
    if n_features <= MOST_NUMBERS and n_units <= min(MOST_NUMBERS, width / NUMBER_WIDTH):
        for (row, column), value in np.ndenumerate(kernel):
            color = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize="small")
    units = np.arange(0, n_units, 1 + n_units // 25)
    axes.set_xticks(units, units + 1)
    axes.set(xlabel="unit", ylabel="feature")
    return image


# ---- mistakes --------------------------------------------------------------------------------------------------------


def mistakes(X, y, probabilities, classes: list[str], title: str):
    """The images that were predicted wrong with the highest confidence, most confident first.

    X: float [samples, pixels of a square]; y: int [samples]; probabilities: float [samples, classes], with a mistake;
    classes: their names.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != y)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_IMAGES]
    shown, classes = zip(y[worst], predictions[worst], confidence[worst], strict=True), short_names(classes)
    names = [f"{classes[true]},\nnot {classes[predicted]}\n{sure:.1%} sure" for true, predicted, sure in shown]
    side = image_side(X.shape[1])
    return _images(X[worst].reshape(-1, side, side), names, title, cmap="gray_r")


def _images(images, names, title, label=None, **style):
    """A grid of images, float [count, side, side], each under its name. label: of a colour bar, None for no bar."""
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
