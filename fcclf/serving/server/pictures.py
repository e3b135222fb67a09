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

WIDTH, HEIGHT = 640, 480  # of the boundary, in the page's pixels where there is room for it
AXES = (0.14, 0.12, 0.84, 0.86)  # left, bottom, width, height in shares of the picture
NAME_AT = -0.14  # where the name of the second feature stands, left of the axes, in their widths
DPI, FONT = 200, 12  # pixels an inch of twice the size, points
MARGIN = 0.05
SMALLEST = 140  # pixels of the longer side of an example


class Plane(NamedTuple):
    """The rectangle that the boundary is drawn in. low, high: its corners, in features."""

    low: np.ndarray
    high: np.ndarray

    def point(self, x: float, y: float) -> np.ndarray | None:
        """The features at a place of the picture, in shares of it from the upper left; None outside the axes."""
        share = (np.array([x, 1 - y]) - AXES[:2]) / AXES[2:]
        return self.low + share * (self.high - self.low) if (share >= 0).all() and (share <= 1).all() else None

    def place(self, point: np.ndarray) -> np.ndarray | None:
        """Where two features are in the picture, as `point` takes it; None outside the axes."""
        share = (point - self.low) / (self.high - self.low)
        x, y = AXES[:2] + share * AXES[2:]
        return np.array([x, 1 - y]) if (share >= 0).all() and (share <= 1).all() else None


def plane(notes: Notes | None) -> Plane | None:
    """Where the samples lie that a model was trained on; None where there is no boundary to be drawn."""
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
    """Boundaries, each drawn once."""

    def __init__(self):
        self._drawn, self._lock = weakref.WeakKeyDictionary(), threading.Lock()

    def boundary(self, model: Model) -> bytes | None:
        """A PNG of twice WIDTH and HEIGHT; None where there is none to be drawn."""
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
    """A PNG of an example that is an image; None where there is no such one."""
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
