"""Figures of a trained run. matplotlib is imported inside, for a run without figures need not wait for it."""

from pathlib import Path

import numpy as np

from fcclf import durable

# Blue and vermilion of the palette of Okabe and Ito, which colour-blind readers tell apart; pale for areas.
COLORS, PALE, MARKERS = ("#0072b2", "#d55e00"), ("#8fc4e8", "#f5b78a"), ("o", "^")
RESOLUTION = 400  # points along each axis of the plane


def decision_boundary(path: Path, dataset, probabilities, title: str):
    """Writes a PNG: the probability of class 1 over the plane, its 0.5 line, and the data with errors ringed.

    dataset: a two-feature, two-class `Dataset`. probabilities: a function of X as in `inference.TrainedRun`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    shading = _plane(axes, np.concatenate([dataset.X_train, dataset.X_test]), probabilities)
    figure.colorbar(shading, ax=axes, label="probability of class 1", shrink=0.8)
    _points(axes, dataset.X_train, dataset.y_train, "training", s=5, alpha=0.35, linewidths=0)
    _points(axes, dataset.X_test, dataset.y_test, "test", s=24, edgecolors="white", linewidths=0.5)
    wrong = dataset.X_test[probabilities(dataset.X_test).argmax(axis=1) != dataset.y_test]
    axes.scatter(*wrong.T, s=80, facecolors="none", edgecolors="black", label=f"wrong in test ({len(wrong)})")
    axes.set(title=title, xlabel="feature 1", ylabel="feature 2", aspect="equal")
    figure.legend(loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    with durable.explained("write", path):
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path)


def _plane(axes, X, probabilities):
    """Shades the plane around X by the probability of class 1 and draws the line where it is 0.5."""
    from matplotlib.colors import LinearSegmentedColormap

    margin = 0.05 * np.ptp(X, axis=0)
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    first, second = np.meshgrid(*(np.linspace(low[axis], high[axis], RESOLUTION) for axis in (0, 1)))
    share = probabilities(np.column_stack([first.ravel(), second.ravel()]))[:, 1].reshape(first.shape)
    axes.contour(first, second, share, levels=[0.5], colors="black", linewidths=1.5)
    colormap = LinearSegmentedColormap.from_list("classes", [PALE[0], "white", PALE[1]])
    return axes.pcolormesh(first, second, share, cmap=colormap, vmin=0, vmax=1, shading="gouraud")


def _points(axes, X, y, part, **style):
    for label, (color, marker) in enumerate(zip(COLORS, MARKERS, strict=True)):
        axes.scatter(*X[y == label].T, c=color, marker=marker, label=f"{part}, class {label}", **style)
