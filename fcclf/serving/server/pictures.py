"""Pictures for the page: the boundary between classes of two-dimensional data, and samples that are images."""

import io
import threading
import weakref
from typing import NamedTuple

import numpy as np
from PIL import Image

from fcclf.serving.server.model import Model, Notes
from fcclf.serving.server.signatures import DEFAULT
from fcclf.views import plots

WIDTH, HEIGHT = 640, 480  # of the boundary, in the page's pixels, if there is room for it
AXES = (0.14, 0.12, 0.84, 0.86)  # left, bottom, width, height as fractions of the picture
NAME_AT = -0.14  # position of the second feature's name, left of the axes, in widths of the axes
DPI, FONT = 200, 12  # pixels per inch at twice the size; points
MARGIN = 0.05
SMALLEST = 140  # pixels of the longer side of an example


class Plane(NamedTuple):
    """The rectangle in which the boundary is drawn. low, high: its corners, in features."""

    low: np.ndarray
    high: np.ndarray

    def point(self, x: float, y: float) -> np.ndarray | None:
        """The features at a place in the picture, given as fractions of it from the upper left; None outside the
        axes."""
        share = (np.array([x, 1 - y]) - AXES[:2]) / AXES[2:]
        return self.low + share * (self.high - self.low) if (share >= 0).all() and (share <= 1).all() else None

    def place(self, point: np.ndarray) -> np.ndarray | None:
        """The place in the picture, as `point` takes it, of two features; None outside the axes."""
        share = (point - self.low) / (self.high - self.low)
        x, y = AXES[:2] + share * AXES[2:]
        return np.array([x, 1 - y]) if (share >= 0).all() and (share <= 1).all() else None


def plane(notes: Notes | None) -> Plane | None:
    """The rectangle around the samples that a model was trained on; None if no boundary can be drawn."""
    if not notes or notes.task != "classification" or notes.n_features != 2:
        return None
    schema = notes.schema
    if schema.image_shape or any(column.categories for column in schema.columns):
        return None
    if len(schema.classes) > plots.MOST_CLASSES or notes.ranges is None or not np.isfinite(notes.ranges).all():
        return None
    low, high = notes.ranges.T
    margin = MARGIN * (high - low) + 1e-6
    return Plane(low - margin, high + margin)


class Pictures:
    """Draws the boundary of each model, once."""

    def __init__(self):
        self._drawn, self._lock = weakref.WeakKeyDictionary(), threading.Lock()

    def boundary(self, model: Model) -> bytes | None:
        """The boundary as a PNG of twice WIDTH and HEIGHT; None if none can be drawn."""
        with self._lock, model.held():
            if model not in self._drawn:
                where = plane(model.notes)
                self._drawn[model] = where and _boundary(model, where)
            return self._drawn[model]


def _boundary(model, where):
    from matplotlib.figure import Figure

    signature = model.signatures[DEFAULT]

    def probabilities(X):
        return model.answer(signature, [X.astype(signature.inputs["X"].dtype)])["probabilities"]

    figure = Figure(figsize=(2 * WIDTH / DPI, 2 * HEIGHT / DPI), dpi=DPI)
    axes = figure.add_axes(AXES)
    plots.draw_plane(axes, where.low, where.high, probabilities, resolution=300)
    axes.set_aspect("auto")
    first, second = model.notes.schema.names or ("feature 1", "feature 2")
    axes.set_xlabel(first, fontsize=FONT)
    axes.set_ylabel(second, fontsize=FONT)
    axes.yaxis.set_label_coords(NAME_AT, 0.5)
    axes.tick_params(labelsize=FONT - 2)
    return plots.png(figure)


def example(notes: Notes | None, row: int) -> bytes | None:
    """An example that is an image, as a PNG; None if there is none."""
    if not notes or not notes.schema.image_shape or notes.examples is None or row >= len(notes.examples):
        return None
    low, high = (notes.ranges[:, 0].min(), notes.ranges[:, 1].max()) if notes.ranges is not None else (0.0, 1.0)
    values = notes.examples[row].reshape(notes.schema.image_shape)
    shades = np.clip((values - low) / ((high - low) or 1), 0, 1)
    image = Image.fromarray((255 * shades).round().astype(np.uint8))
    factor = -(-SMALLEST // max(image.size))
    content = io.BytesIO()
    image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST).save(content, "PNG")
    return content.getvalue()
