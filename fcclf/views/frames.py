"""Small pictures of the network as it learns, for TensorBoard's slider: PNGs, drawn in some 40 ms each.

boundary: the plane as the network divides it, with the data. units: the output of each hidden unit over the plane,
layer by layer, as the TensorFlow Playground shows it (Smilkov et al. 2017). confusion: the test part's confusion
matrix. The first two need data of two features, the first also few classes. In regression, fit: the predicted curve
over the one feature of the data; predictions: those of the test part against their labels.
"""

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, r2_score

from fcclf.views import lettering, plots

GRID = 120  # points along each axis of the plane that the boundary is drawn from
WIDTH, HEIGHT = 330, 260  # pixels; wider pictures do not fit TensorBoard's cards
HEAD = 22  # pixels, for a picture's title
TILE, GAP = 48, 6  # pixels: the side of a unit's picture, the space between two
COLUMNS, MOST_UNITS = 6, 18  # units side by side, and shown of a layer at most
MOST_DRAWN = 100_000  # samples of a part that are predicted or drawn; of more, a random sample
MOST_CLASSES = 200  # in a confusion matrix
LONGEST_NAME = 12  # letters of a class
SMALLEST_MATRIX, LARGEST_MATRIX, CELL = 264, 640, 15  # pixels: the sides of a confusion matrix and of a class in it
BESIDE = 38  # pixels beside the names of classes, for the axis label and space
NO_TICKS = {"xticks": [], "yticks": [], "xlabel": "", "ylabel": ""}  # they take most of the time to draw


class Frames:
    """The pictures of one run. predictor: its `Program`; dataset: its data, which decide what is drawn."""

    def __init__(self, predictor, dataset):
        self.predictor, self.dataset = predictor, dataset
        self.is_plane = dataset.axes == 2
        *self.hidden, _ = (name for name, block in predictor.layers.items() if block.has_units)
        self.names = lettering.short_names(dataset.classes, LONGEST_NAME)

    def draw(self, answers, title: str):
        """Yields (directory of the run, tag, PNG) of each picture. answers: the logits of the test part, float32
        [samples, classes]; in regression the network's outputs, [samples, 1]."""
        return (self._of_numbers if self.dataset.is_regression else self._of_classes)(answers, title)

    def _of_numbers(self, answers, title):
        labels, predictions = self.dataset.numbers(self.dataset.test.y), self._predictions(answers)
        title = f"{title}, test R2 {r2_score(labels, predictions):.4f}"
        if self.dataset.axes == 1:
            yield "", "pictures/fit", self.fit(title)
        if self.is_plane and self.hidden:
            yield "", "pictures/units", self.units(title)
        yield "test", "pictures/predictions", self.predictions(labels, predictions, title)

    def _predictions(self, answers):
        return self.dataset.numbers(answers, logarithms=self.predictor.plan.objective.loss == "poisson")

    def fit(self, title):
        """`plots.fit` as a PNG, without ticks and legend."""
        figure, axes = _frame(WIDTH, HEIGHT, title)
        plots.draw_fit(axes, self.dataset, lambda X: self._predictions(self.predictor.answers(X)), GRID)
        axes.set(**NO_TICKS)
        return plots.png(figure)

    def predictions(self, labels, predictions, title):
        """`plots.predictions_against_labels` as a PNG, without a legend."""
        figure, axes = _frame(WIDTH, HEIGHT + 40, title, margins=(0.16, 0.14))
        plots.draw_predictions(axes, labels, predictions)
        return plots.png(figure)

    def _of_classes(self, logits, title):
        accuracy = np.mean(logits.argmax(axis=1) == self.dataset.test.y)
        title = f"{title}, test accuracy {accuracy:.4f}"
        if self.is_plane and self.dataset.n_classes <= plots.MOST_CLASSES:
            yield "", "pictures/boundary", self.boundary(title)
        if self.is_plane and self.hidden:
            yield "", "pictures/units", self.units(title)
        if self.dataset.n_classes <= MOST_CLASSES:
            yield "test", "pictures/confusion", self.confusion(logits, title)

    def boundary(self, title):
        """`plots.decision_boundary` as a PNG, without ticks and legend."""
        figure, axes = _frame(WIDTH, HEIGHT, title)
        plots.draw_boundary(axes, self.dataset, lambda X: softmax(self.predictor.logits(X), axis=1), GRID)
        axes.set(**NO_TICKS)
        return plots.png(figure)

    def units(self, title):
        """The outputs of hidden units over the plane as a PNG: purple if negative, orange if positive, each unit scaled
        by its largest absolute value."""
        low, high = plots.plane(self.dataset)
        first, second = np.meshgrid(np.linspace(low[0], high[0], TILE), np.linspace(high[1], low[1], TILE))
        outputs = self.predictor.outputs(np.column_stack([first.ravel(), second.ravel()]))
        shown = [outputs[name][:, :MOST_UNITS].T.reshape(-1, TILE, TILE) for name in self.hidden]
        mosaic = np.vstack([_mosaic(pictures) for pictures in shown])
        figure, axes = _frame(mosaic.shape[1], mosaic.shape[0], title)
        axes.imshow(mosaic, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="none", aspect="auto")
        axes.set_axis_off()
        return plots.png(figure)

    def confusion(self, logits, title):
        """`plots.confusion_matrix` as a PNG, without a colour bar."""
        count, predictions = self.dataset.n_classes, logits.argmax(axis=1)
        side = min(max(SMALLEST_MATRIX, CELL * count), LARGEST_MATRIX)
        labels = lettering.labels_along(self.names, side / 100, small=7)
        left, below = (round(100 * inches) + BESIDE for inches in (labels.left, labels.below))
        margins = left / (left + side), below / (below + side + HEAD)
        figure, axes = _frame(left + side, below + side, title, margins)
        matrix = confusion_matrix(self.dataset.test.y, predictions, labels=range(count))
        plots.draw_confusion(axes, matrix, labels, side / 100)
        return plots.png(figure)


def _mosaic(pictures):
    """Pictures, float [units, TILE, TILE], in rows: float [height, width], each scaled to -1 to 1 by its largest
    absolute value, with NaN between them."""
    rows = -(-len(pictures) // COLUMNS)
    mosaic = np.full((rows * (TILE + GAP) + GAP, COLUMNS * (TILE + GAP) + GAP), np.nan)
    for number, picture in enumerate(pictures):
        top, left = (GAP + position * (TILE + GAP) for position in divmod(number, COLUMNS))
        mosaic[top : top + TILE, left : left + TILE] = picture / max(np.abs(picture).max(), 1e-12)
    return mosaic


def _frame(width, height, title, margins=(0.01, 0.01)):
    """(figure, axes) of so many pixels, with a title above. margins: shares of the figure at the left and below."""
    figure = Figure(figsize=(width / 100, (height + HEAD) / 100), dpi=100)
    left, lower = margins
    axes = figure.add_axes((left, lower, 0.99 - left, height / (height + HEAD) - lower))
    figure.text(0.5, 1 - 0.5 * HEAD / (height + HEAD), title, ha="center", va="center", fontsize="small")
    return figure, axes
