"""The figures of a run: which there are, which make sense for it, and writing them.

    <run>/figures/<name>.png and .svg     each of `DRAWN`
    <run>/figures/boundary.gif            the decision boundary over training, from what was recorded

Everything is made from the run directory, during training too. Light to import, for the command line needs the names;
what draws is imported inside.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fcclf.errors import RunError


class LeftOutError(Exception):
    """A figure makes no sense for a run. The message is the reason, a clause."""


class Shown(NamedTuple):
    """What figures are made of. run: an open `trained.TrainedRun`; dataset: its data; probabilities: float32 [samples,
    classes], its answers for the test part; title: of every figure."""

    run: object
    dataset: object
    probabilities: object
    title: str


# ---- one function for each figure ------------------------------------------------------------------------------------


def _learning_curves(shown):
    from fcclf.runs import history
    from fcclf.views import plots

    columns = history.read(shown.run.path)
    if not len(columns["epoch"]):
        raise LeftOutError("no epoch is finished yet")
    early_stopping = shown.run.description.config.training.early_stopping
    return plots.learning_curves(columns, shown.run.epoch if early_stopping else None, shown.title)


def _decision_boundary(shown):
    from fcclf.views import plots

    _check_plane(shown.dataset)
    return plots.decision_boundary(shown.dataset, shown.run.probabilities, shown.title)


def _check_plane(dataset):
    """Raises LeftOutError unless a boundary can be drawn."""
    from fcclf.views import plots

    if dataset.n_features != 2:
        raise LeftOutError(f"the data have {dataset.n_features} features, and a boundary is drawn for 2")
    if dataset.n_classes > plots.MOST_CLASSES:
        most = f"{plots.MOST_CLASSES} at most"
        raise LeftOutError(f"the data have {dataset.n_classes} classes, and a boundary is drawn for {most}")


def _confusion_matrix(shown):
    from sklearn.metrics import confusion_matrix

    from fcclf.views import plots

    predictions, labels = shown.probabilities.argmax(axis=1), range(shown.dataset.n_classes)
    matrix = confusion_matrix(shown.dataset.test.y, predictions, labels=labels)
    return plots.confusion_matrix(matrix, shown.dataset.classes, shown.title)


def _calibration(shown):
    from fcclf.views import diagnostics, evaluation

    return diagnostics.calibration(evaluation.calibration(shown.dataset.test.y, shown.probabilities), shown.title)


def _weights(shown):
    from fcclf.views import diagnostics

    kernels = [values for name, values in shown.run.weights().items() if name.endswith("/kernel")]
    if kernels[0].shape[0] != shown.dataset.n_features or kernels[0].ndim != 2:
        raise LeftOutError("the first layer is not a dense one")
    return diagnostics.weights(kernels[0], shown.title)


def _mistakes(shown):
    from fcclf.views import diagnostics

    (X, y, _), n_features = shown.dataset.test, shown.dataset.n_features
    if diagnostics.image_side(n_features) is None:
        raise LeftOutError(f"the data have {n_features} features, which are no square image")
    if (shown.probabilities.argmax(axis=1) == y).all():
        raise LeftOutError("every test sample is predicted right")
    return diagnostics.mistakes(X, y, shown.probabilities, shown.dataset.classes, shown.title)


DRAWN = {  # name: what draws it
    "learning_curves": _learning_curves,
    "decision_boundary": _decision_boundary,
    "confusion_matrix": _confusion_matrix,
    "calibration": _calibration,
    "weights": _weights,
    "mistakes": _mistakes,
}
ANIMATION = "boundary"
NAMES = (*DRAWN, ANIMATION)
AT_THE_END = NAMES[:3]  # drawn whenever training has ended
FORMATS = ("png", "svg")


# ---- writing them ----------------------------------------------------------------------------------------------------


def write(run, directory: Path, names: Iterable[str] = NAMES, formats=FORMATS, say=None) -> Iterator[Path]:
    """Writes the figures `names` of a run into `directory`; yields the path of each file.

    run: an open `trained.TrainedRun`. say(sentence): called for each figure left out, with the reason.
    Raises RunError, after the others are written, if one cannot be, or what it is made of cannot be read.
    """
    dataset, failed = run.dataset(), None
    shown = Shown(run, dataset, run.probabilities(dataset.test.X), f"{run.path.resolve().name}, epoch {run.epoch}")
    for name in names:
        try:
            yield from _write(shown, name, directory, formats)
        except LeftOutError as reason:
            if say:
                say(f"{name} is left out: {reason}")
        except RunError as error:
            failed = failed or error
    if failed:
        raise failed


def _write(shown, name, directory, formats):
    if name == ANIMATION:
        yield _animate(shown, directory / f"{name}.gif")
    else:
        yield from _save(DRAWN[name](shown), directory, name, formats)


def _animate(shown, path):
    """Writes the animation; its path."""
    from fcclf.runs import events
    from fcclf.views import animation

    _check_plane(shown.dataset)
    pictures = events.read_pictures(shown.run.path, "pictures/boundary")
    if not pictures:
        raise LeftOutError("the run has no pictures of its boundary; --image-every of `fcclf train` records them")
    animation.write(path, pictures)
    return path


def _save(figure, directory, name, formats):
    from fcclf.views import plots

    for suffix in formats:
        plots.save(figure, directory / f"{name}.{suffix}")
        yield directory / f"{name}.{suffix}"
