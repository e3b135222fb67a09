"""Figures of a trained run. matplotlib is imported inside, for a run without figures need not wait for it."""

from pathlib import Path

import numpy as np

from fcclf import durable

COLORS = ("#0072b2", "#d55e00")  # blue and vermilion of Okabe and Ito's palette, which colour-blind readers tell apart
RESOLUTION = 400  # points along each axis of the plane


def decision_boundary(path: Path, dataset, probabilities, title: str):
    """Writes a PNG: the probability of class 1 over the plane, its 0.5 line, and the data with errors ringed.

    dataset: a two-feature, two-class `Dataset`. probabilities: a function of X as in `inference.TrainedRun`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _plane(axes, figure, np.concatenate([dataset.X_train, dataset.X_test]), probabilities)
    _points(axes, dataset.X_train, dataset.y_train, size=6, alpha=0.35, label="training, class {}")
    _points(
        axes,
        dataset.X_test,
        dataset.y_test,
        size=22,
        alpha=1,
        label="test, class {}",
        edgecolors="white",
        linewidths=0.5,
    )
    wrong = dataset.X_test[probabilities(dataset.X_test).argmax(axis=1) != dataset.y_test]
    axes.scatter(
        *wrong.T, s=70, facecolors="none", edgecolors="black", linewidths=1, label=f"test errors ({len(wrong)})"
    )
    axes.set(title=title, xlabel="feature 1", ylabel="feature 2", aspect="equal")
    axes.legend(loc="upper right", fontsize="small", framealpha=0.9)
    FigureCanvasAgg(figure)
    with durable.explained("write", path):
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path)


def _plane(axes, figure, X, probabilities):
    """Shades the plane around X by the probability of class 1."""
    from matplotlib.colors import LinearSegmentedColormap

    margin = 0.05 * np.ptp(X, axis=0)
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    first, second = np.meshgrid(*(np.linspace(low[axis], high[axis], RESOLUTION) for axis in (0, 1)))
    share = probabilities(np.column_stack([first.ravel(), second.ravel()]))[:, 1].reshape(first.shape)
    colormap = LinearSegmentedColormap.from_list("classes", [COLORS[0], "white", COLORS[1]])
    shading = axes.pcolormesh(first, second, share, cmap=colormap, vmin=0, vmax=1, alpha=0.6, shading="gouraud")
    axes.contour(first, second, share, levels=[0.5], colors="black", linewidths=1.5)
    figure.colorbar(shading, ax=axes, label="probability of class 1")


def _points(axes, X, y, size, alpha, label, **style):
    for number, color in enumerate(COLORS):
        axes.scatter(
            *X[y == number].T, s=size, c=color, alpha=alpha, label=label.format(number), **{"linewidths": 0, **style}
        )
