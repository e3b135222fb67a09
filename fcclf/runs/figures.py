"""The figures of a run: which there are, which make sense for it, and writing them.

    <run>/figures/<name>.png and .svg     each of `NAMES` but the animation
    <run>/figures/boundary.gif            the decision boundary over training, from what was recorded

Everything is made from the run directory, during training too. Light to import, for the command line needs the names;
what draws is imported inside.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from fcclf.errors import RunError

ANIMATION = "boundary"
NAMES = ("learning_curves", "decision_boundary", "confusion_matrix", "calibration", "weights", "mistakes", ANIMATION)
AT_THE_END = NAMES[:3]  # drawn whenever training has ended
FORMATS = ("png", "svg")


class LeftOutError(Exception):
    """A figure makes no sense for a run. The message is the reason, a clause."""


def write(run, directory: Path, names: Iterable[str] = NAMES, formats=FORMATS, say=None) -> Iterator[Path]:
    """Writes the figures `names` of a run into `directory`; yields the path of each file.

    run: an open `trained.TrainedRun`. say(sentence): called for each figure left out, with the reason.
    Raises RunError, after the others are written, if one cannot be, or what it is made of cannot be read.
    """
    seen, failed = _Seen(run), None
    for name in names:
        try:
            yield from _write(seen, name, directory, formats)
        except LeftOutError as reason:
            if say:
                say(f"{name} is left out: {reason}")
        except RunError as error:
            failed = failed or error
    if failed:
        raise failed


def _write(seen, name, directory, formats):
    if name == ANIMATION:
        yield seen.animate(directory / f"{name}.gif")
    else:
        yield from _save(getattr(seen, name)(), directory, name, formats)


def _save(figure, directory, name, formats):
    from fcclf.views import plots

    for suffix in formats:
        plots.save(figure, directory / f"{name}.{suffix}")
        yield directory / f"{name}.{suffix}"


class _Seen:
    """What a run shows of itself: its data, and the network's opinion of the test part. One method for each figure."""

    def __init__(self, run):
        self.run, self.dataset = run, run.dataset()
        self.title = f"{run.path.resolve().name}, epoch {run.epoch}"
        self.probabilities = run.probabilities(self.dataset.test.X)

    def learning_curves(self):
        from fcclf.runs import history
        from fcclf.views import plots

        columns = history.read(self.run.path)
        if not len(columns["epoch"]):
            raise LeftOutError("no epoch is finished yet")
        early_stopping = self.run.description.config.training.early_stopping
        return plots.learning_curves(columns, self.run.epoch if early_stopping else None, self.title)

    def decision_boundary(self):
        from fcclf.views import plots

        self.check_plane()
        return plots.decision_boundary(self.dataset, self.run.probabilities, self.title)

    def check_plane(self):
        """Raises LeftOutError unless a boundary can be drawn."""
        from fcclf.views import plots

        if self.dataset.n_features != 2:
            raise LeftOutError(f"the data have {self.dataset.n_features} features, and a boundary is drawn for 2")
        if self.dataset.n_classes > plots.MOST_CLASSES:
            most = f"{plots.MOST_CLASSES} at most"
            raise LeftOutError(f"the data have {self.dataset.n_classes} classes, and a boundary is drawn for {most}")

    def animate(self, path):
        """Writes the animation; its path."""
        from fcclf.runs import events
        from fcclf.views import animation

        self.check_plane()
        pictures = events.read_pictures(self.run.path, "pictures/boundary")
        if not pictures:
            raise LeftOutError("the run has no pictures of its boundary; --image-every of `fcclf train` records them")
        animation.write(path, pictures)
        return path

    def confusion_matrix(self):
        from sklearn.metrics import confusion_matrix

        from fcclf.views import plots

        predictions, labels = self.probabilities.argmax(axis=1), range(self.dataset.n_classes)
        matrix = confusion_matrix(self.dataset.test.y, predictions, labels=labels)
        return plots.confusion_matrix(matrix, self.dataset.classes, self.title)

    def calibration(self):
        from fcclf.views import diagnostics, evaluation

        return diagnostics.calibration(evaluation.calibration(self.dataset.test.y, self.probabilities), self.title)

    def weights(self):
        from fcclf.views import diagnostics

        kernels = [values for name, values in self.run.weights().items() if name.endswith("/kernel")]
        if kernels[0].shape[0] != self.dataset.n_features or kernels[0].ndim != 2:
            raise LeftOutError("the first layer is not a dense one")
        return diagnostics.weights(kernels[0], self.title)

    def mistakes(self):
        from fcclf.views import diagnostics

        if diagnostics.image_side(self.dataset.n_features) is None:
            raise LeftOutError(f"the data have {self.dataset.n_features} features, which are no square image")
        if (self.probabilities.argmax(axis=1) == self.dataset.test.y).all():
            raise LeftOutError("every test sample is predicted right")
        X, y, classes = self.dataset.test.X, self.dataset.test.y, self.dataset.classes
        return diagnostics.mistakes(X, y, self.probabilities, classes, self.title)
