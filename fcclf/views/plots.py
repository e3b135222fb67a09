"""Figures: functions that take arrays and return a matplotlib `Figure`, and `save`.

Most kinds also have a function `draw_...` that draws on given Axes, so that other programs can place them where they
like. pyplot is not used, so there are no windows and there is no global state. matplotlib is imported inside functions:
a run without figures need not wait for it.
"""

import io
import textwrap
from pathlib import Path

import numpy as np

from fcclf.system import durable
from fcclf.views.lettering import Labels, labels_along, short_names, write_labels

# The palette of Okabe and Ito, for colour-blind readers too, without black and yellow, which do not show on shaded
# ground; the last three are Tol's. Every class has a marker of its own too.
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"),
    *("#56b4e9", "#882255", "#777777", "#332288", "#999933"),
)
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p")
PALENESS = 0.56  # share of white where a classifier is sure
SIZE, DPI = (8, 5), 120  # inches, pixels an inch: 960 by 600 pixels
MOST_CLASSES = len(COLORS)
MOST_POINTS = 5000  # drawn of each part; more would only cover each other
DOTS = {"s": 10, "alpha": 0.5, "linewidths": 0, "c": COLORS[0], "rasterized": True}  # test samples of a regression
SMALLEST_LETTERS = 5.5  # points, of numbers
LONGEST_ON_AXIS = 40  # letters of a column
LOWEST_R2 = -1.0  # the lowest that is shown: the first epochs may be far below


def save(figure, path: Path):
    """Writes a figure, whole or not at all, in the format that the suffix of `path` names: .png or .svg.

    The same figure gives the same bytes.
    """
    content = {".png": png, ".svg": _svg}[path.suffix](figure)
    figure.set_layout_engine("none")  # it is laid out already
    durable.make_directory(path.parent)
    durable.replace_file(path, content)


# `Figure.savefig` would draw everything twice, first to measure it.
def png(figure) -> bytes:
    """The figure as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content, pil_kwargs={"compress_level": 3})
    return content.getvalue()


def _svg(figure):
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fcclf"}):  # for the ids of its parts, which are random otherwise
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    return content.getvalue()


def new_figure(title, size=SIZE, **grid):
    """(figure, its axes as `Figure.subplots` returns them). size: in inches; grid: arguments of `Figure.subplots`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    figure.suptitle(textwrap.fill(title, int(9.5 * size[0])), fontsize="large")
    return figure, figure.subplots(**grid)


# ---- learning curves -------------------------------------------------------------------------------------------------

PARTS = {"train": COLORS[0], "validation": COLORS[2], "test": COLORS[1]}


def learning_curves(columns: dict[str, np.ndarray], best_epoch: int | None, title: str):
    """Loss and score of every part over the epochs. columns: as `history.read` gives them, one row at least.

    best_epoch: the one that early stopping chose; if None, that of the lowest test loss is marked, which chose nothing.
    """
    figure, (loss, score) = new_figure(title, ncols=2)
    lowest = int(columns["epoch"][columns["test_loss"].argmin()])
    marked = best_epoch or lowest
    name = "best epoch, by validation loss" if best_epoch else "lowest test loss, only noted"
    for axes, metric in ((loss, "loss"), (score, score_of(columns))):
        draw_curves(axes, columns, metric)
        axes.axvline(marked, color="black", linestyle=":", linewidth=1, label=f"{name}: epoch {marked}")
    lay_legend(figure, loss, widest=14)
    return figure


def score_of(columns) -> str:
    """The name of the score in a history, "accuracy" or "r2"."""
    return "r2" if "test_r2" in columns else "accuracy"


def draw_curves(axes, columns: dict[str, np.ndarray], metric: str):
    """Draws one curve of `metric`, "loss" or a score, for each part in `columns`."""
    for part, color in PARTS.items():
        if f"{part}_{metric}" in columns:
            _draw_curve(axes, columns["epoch"], columns[f"{part}_{metric}"], color=color, label=part)
    _label_curves(axes, metric, loss=_loss_name([columns]))


def _loss_name(histories):
    """The name of the losses in the histories of runs, which may classify, predict numbers, or both."""
    classify = {score_of(columns) == "accuracy" for columns in histories}
    return "cross-entropy in nats" if classify == {True} else "loss"


def comparison(histories: dict[str, dict[str, np.ndarray]], title: str):
    """Test loss and test scores of several runs over the epochs. histories: {run name: columns}."""
    scores = dict.fromkeys(map(score_of, histories.values()))
    figure, all_axes = new_figure(title, size=(SIZE[0], 4 + 0.2 * len(histories)), ncols=1 + len(scores))
    loss = all_axes[0]
    for axes, metric in zip(all_axes, ("loss", *scores), strict=True):
        for number, (name, columns) in enumerate(histories.items()):
            style = {"color": COLORS[number % len(COLORS)], "linestyle": ("-", "--", ":")[number // len(COLORS) % 3]}
            if f"test_{metric}" in columns:
                _draw_curve(axes, columns["epoch"], columns[f"test_{metric}"], label=name, **style)
        _label_curves(axes, metric, "test ", _loss_name(histories.values()))
    lay_legend(figure, loss, widest=max(map(len, histories)))
    return figure


def _draw_curve(axes, epochs, values, **style):
    few = {"marker": "o", "markersize": 3} if len(epochs) < 30 else {}
    axes.plot(epochs, values, linewidth=1.2, **few, **style)


def _label_curves(axes, metric, whose="", loss="loss"):
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    if metric == "loss" and values.min() > 0 and values.max() > 5 * values.min():
        _scale_by_powers(axes, subdivided=values.max() < 1000 * values.min())
    axes.set(xlabel="epoch", ylabel=whose + {"loss": loss, "r2": "R2"}.get(metric, metric))
    if metric == "r2":
        axes.set_ylim(max(values.min(), LOWEST_R2) - 0.02, min(max(values.max(), LOWEST_R2) + 0.02, 1.02))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.locator_params(axis="x", integer=True, nbins=5, min_n_ticks=1)


def _scale_by_powers(axes, subdivided):
    """Sets a logarithmic scale with plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if subdivided else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def lay_legend(figure, axes, widest=20, **style):
    """Puts a legend of what is drawn in `axes` below the whole figure. widest: letters of the longest name."""
    handles, _ = axes.get_legend_handles_labels()
    columns = max(1, 90 // (widest + 8))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize="small", frameon=False, **style)


# ---- decision boundary -----------------------------------------------------------------------------------------------


def decision_boundary(dataset, probabilities, title: str):
    """The plane shaded by class and probability, the borders between classes, and the data with errors ringed.

    dataset: a `Dataset` of two features and at most MOST_CLASSES classes.
    probabilities: a function of X, as `fcclf.runs.trained.TrainedRun.probabilities` is.
    """
    from matplotlib.cm import ScalarMappable

    figure, axes = new_figure(title)
    draw_boundary(axes, dataset, probabilities)
    if dataset.n_classes == 2:
        second = f"probability of class {short_names(dataset.classes)[1]}"
        figure.colorbar(ScalarMappable(cmap=_two_colors()), ax=axes, label=second, shrink=0.8)
    lay_legend(figure, axes, widest=9 + max(map(len, short_names(dataset.classes))), handletextpad=0.3)
    return figure


def draw_boundary(axes, dataset, probabilities, resolution=300):
    """Draws `decision_boundary` without a legend. resolution: points along each axis at which classes are predicted."""
    width = axes.get_position().width * axes.figure.get_figwidth()
    scale = min(1, width / 6)  # of all that is drawn at a point; 6 inches are those of `decision_boundary`
    draw_plane(axes, *plane(dataset), probabilities, resolution)
    small = {"s": 5 * scale**2, "alpha": 0.35, "linewidths": 0}
    large = {"s": 24 * scale**2, "edgecolors": "white", "linewidths": 0.5 * scale}
    _draw_points(axes, dataset.train.X, dataset.train.y, small)
    names = [f"class {name}" for name in short_names(dataset.classes)]
    _draw_points(axes, dataset.test.X, dataset.test.y, large, names)
    axes.scatter([], [], c="black", label="training", **small)
    wrong = probabilities(dataset.test.X).argmax(axis=1) != dataset.test.y
    thin = scale if wrong.sum() < 100 else 0.5 * scale
    ring = {"s": 80 * scale * thin, "facecolors": "none", "edgecolors": "black", "linewidths": 1.2 * thin}
    name = f"wrong: {wrong.sum()} of {len(wrong)} in test"
    axes.scatter(*dataset.test.X[wrong][:MOST_POINTS].T, label=name, rasterized=True, **ring)
    first, second = _axis_names(dataset)
    axes.set(xlabel=first, ylabel=second)


def _axis_names(dataset):
    """The name of each feature: that of its column, or else its number."""
    named, numbers = dataset.schema.named, range(1, dataset.n_features + 1)
    return short_names(dataset.schema.names, LONGEST_ON_AXIS) if named else [f"feature {number}" for number in numbers]


def plane(dataset):
    """The lower left and the upper right corner, float [2] each, of the plane that a two-feature `Dataset` lies in."""
    X = np.concatenate([dataset.train.X, dataset.test.X])
    margin = 0.05 * np.ptp(X, axis=0) + 1e-6
    return X.min(axis=0) - margin, X.max(axis=0) + margin


def draw_plane(axes, low, high, probabilities, resolution):
    """Shades the plane from corner `low` to corner `high` and draws a line where the most probable class changes."""
    first, second = np.meshgrid(*(np.linspace(low[axis], high[axis], resolution) for axis in (0, 1)))
    shares = np.asarray(probabilities(np.column_stack([first.ravel(), second.ravel()])))
    n_classes = shares.shape[1]
    sureness = (shares.max(axis=1) - 1 / n_classes) / (1 - 1 / n_classes)
    colors = 1 - sureness[:, None] * (1 - _pale_colors()[shares.argmax(axis=1)])
    extent = (low[0], high[0], low[1], high[1])
    aspect = "equal" if 0.2 < (high[1] - low[1]) / (high[0] - low[0]) < 5 else "auto"
    image = colors.reshape(resolution, resolution, 3)
    axes.imshow(image, origin="lower", extent=extent, interpolation="bilinear", aspect=aspect)
    for label in range(n_classes if n_classes > 2 else 1):
        lead = shares[:, label] - np.delete(shares, label, axis=1).max(axis=1)
        if lead.min() < 0 < lead.max():
            axes.contour(first, second, lead.reshape(first.shape), levels=[0], colors="black", linewidths=1.5)


def _draw_points(axes, X, y, style, labels=None):
    """Draws samples by class. labels: of each class, for the legend."""
    X, y = _thinned(X, y)
    for label, (color, marker) in enumerate(zip(COLORS, MARKERS, strict=True)):
        name = labels[label] if labels and label < len(labels) else None
        if name or np.any(y == label):
            axes.scatter(*X[y == label].T, c=color, marker=marker, label=name, rasterized=True, **style)


def _thinned(*columns):
    """Evenly spaced samples of each array, MOST_POINTS at most."""
    step = -(-len(columns[0]) // MOST_POINTS) or 1
    return [each[::step] for each in columns]


def _pale_colors():
    """The pale colours of the classes, RGB: float [MOST_CLASSES, 3]."""
    from matplotlib.colors import to_rgb

    return PALENESS + (1 - PALENESS) * np.array([to_rgb(color) for color in COLORS])


def _two_colors():
    from matplotlib.colors import LinearSegmentedColormap

    pale = _pale_colors()
    return LinearSegmentedColormap.from_list("classes", [pale[0], (1, 1, 1), pale[1]])


# ---- numbers ---------------------------------------------------------------------------------------------------------


def fit(dataset, predictions, title: str):
    """The predicted curve over the one feature of the data, with the samples. predictions: a function of X, float32
    [samples, 1], that returns the predicted numbers, [samples]."""
    figure, axes = new_figure(title)
    draw_fit(axes, dataset, predictions)
    lay_legend(figure, axes)
    return figure


def draw_fit(axes, dataset, predictions, resolution=500):
    """Draws `fit` without a legend. resolution: points at which the curve is predicted."""
    for name, part, color in (("training", dataset.train, COLORS[5]), ("test", dataset.test, COLORS[1])):
        X, y = _thinned(part.X[:, 0], dataset.numbers(part.y))
        axes.scatter(X, y, s=8, alpha=0.5, linewidths=0, c=color, label=name, rasterized=True)
    every = np.concatenate([dataset.train.X, dataset.test.X])
    x = np.linspace(every.min(), every.max(), resolution, dtype=np.float32)
    axes.plot(x, predictions(x[:, None]), color="black", linewidth=1.5, label="predicted")
    axes.set(xlabel=_axis_names(dataset)[0], ylabel="label")


def predictions_against_labels(labels, predictions, title: str):
    """Each test sample's prediction over its label, beside the line where they are equal. labels, predictions: float
    [samples]."""
    figure, axes = new_figure(title, size=(6, 5.5))
    draw_predictions(axes, labels, predictions)
    lay_legend(figure, axes)
    return figure


def draw_predictions(axes, labels, predictions):
    """Draws `predictions_against_labels` without a legend."""
    ends = np.array([min(labels.min(), predictions.min()), max(labels.max(), predictions.max())])
    axes.plot(ends, ends, color="black", linestyle="--", linewidth=1, label="equal")
    axes.scatter(*_thinned(labels, predictions), label="test samples", **DOTS)
    axes.set(xlabel="label", ylabel="predicted")


def residuals(labels, predictions, title: str):
    """The errors of predictions: over the predictions, and as a histogram."""
    figure, (upper, lower) = new_figure(title, size=(6, 6), nrows=2, height_ratios=(3, 2))
    errors = predictions - labels
    upper.axhline(0, color="black", linestyle="--", linewidth=1)
    upper.scatter(*_thinned(predictions, errors), **DOTS)
    upper.set(xlabel="predicted", ylabel="predicted - label")
    lower.hist(errors, bins="auto" if np.ptp(errors) > 0 else 1, color=COLORS[7])
    lower.set(xlabel="predicted - label", ylabel="test samples")
    return figure


# ---- confusion matrix ------------------------------------------------------------------------------------------------


def confusion_matrix(matrix, classes: list[str], title: str):
    """The confusion matrix. matrix: int [classes, classes], rows are true classes; classes: their names. The figure
    grows with their number, up to some 10 inches."""
    side = min(max(3.8, 0.28 * len(classes)), 7.2)
    labels = labels_along(short_names(classes), side, small=8)
    figure, axes = new_figure(title, size=(side + labels.left + 1.9, side + labels.below + 0.9))
    image = draw_confusion(axes, matrix, labels, side)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def draw_confusion(axes, matrix, labels: Labels, side: float):
    """Draws `confusion_matrix` without a colour bar and returns the image. labels: classes; side: inches of the axes.

    If there is room for legible letters, a cell has its count and, below, its share of the true class in per cent; with
    less room, only a count that is not 0; with too little, nothing.
    """
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    room = 72 * 0.95 * side / len(matrix)  # points, of a cell's side
    digits = len(str(matrix.max()))
    both, alone = min(13, room / 3.6, 1.6 * room / digits), min(9, 0.8 * room, 1.6 * room / digits)
    for (row, column), count in np.ndenumerate(matrix) if max(both, alone) >= SMALLEST_LETTERS else ():
        if count or both >= SMALLEST_LETTERS:
            share = f"\n{shares[row, column]:.1%}" if both >= SMALLEST_LETTERS else ""
            color = "white" if shares[row, column] > 0.5 else "black"
            size = both if share else alone
            axes.text(column, row, f"{count}{share}", ha="center", va="center", color=color, fontsize=size)
    write_labels(axes, labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    return image
