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
from fcclf.settings.blocks import Encode


class LeftOutError(Exception):
    """A figure that makes no sense for a run. The message is the reason, a clause."""


class Shown(NamedTuple):
    """What figures are made from. run: an open `trained.TrainedRun`; dataset: its data; answers: for the test part,
    probabilities, float32 [samples, classes], or the numbers predicted, float64 [samples]; title: of every figure."""

    run: object
    dataset: object
    answers: object
    title: str

    @property
    def probabilities(self):
        """The answers of a run that classifies. Raises LeftOutError if this one does not."""
        if self.dataset.is_regression:
            raise LeftOutError("the run predicts numbers, not classes")
        return self.answers

    @property
    def predictions(self):
        """The answers of a regression. Raises LeftOutError if the run is not one."""
        if not self.dataset.is_regression:
            raise LeftOutError("the run predicts classes, not numbers")
        return self.answers


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

    _check_plane(shown)
    return plots.decision_boundary(shown.dataset, shown.run.probabilities, shown.title)


def _check_plane(shown):
    """Raises LeftOutError unless a boundary can be drawn."""
    from fcclf.views import plots

    dataset, _ = shown.dataset, shown.probabilities
    if dataset.axes != 2:
        raise LeftOutError(f"the data have {_features(dataset)}, and a boundary is drawn for 2")
    if dataset.n_classes > plots.MOST_CLASSES:
        most = f"{plots.MOST_CLASSES} at most"
        raise LeftOutError(f"the data have {dataset.n_classes} classes, and a boundary is drawn for {most}")


def _features(dataset):
    """A phrase on the features that the data have."""
    return f"{dataset.n_features} features" + (", some of them categories or missing" if not dataset.axes else "")


def _confusion_matrix(shown):
    from sklearn.metrics import confusion_matrix

    from fcclf.views import plots

    predictions, labels = shown.probabilities.argmax(axis=1), range(shown.dataset.n_classes)
    matrix = confusion_matrix(shown.dataset.test.y, predictions, labels=labels)
    return plots.confusion_matrix(matrix, shown.dataset.classes, shown.title)


def _calibration(shown):
    from fcclf.views import diagnostics, evaluation

    return diagnostics.calibration(evaluation.calibration(shown.dataset.test.y, shown.probabilities), shown.title)


def _roc(shown):
    from fcclf.views import diagnostics, evaluation

    measured = evaluation.roc(shown.dataset.test.y, shown.probabilities)
    if not measured:
        raise LeftOutError("the test part has samples of one class alone")
    return diagnostics.roc(measured, shown.dataset.classes, shown.title)


def _fit(shown):
    from fcclf.views import plots

    shown.predictions  # noqa: B018 - of a regression alone
    if shown.dataset.axes != 1:
        raise LeftOutError(f"the data have {_features(shown.dataset)}, and a fit is drawn for 1")
    return plots.fit(shown.dataset, shown.run.predictions, shown.title)


def _predictions(shown):
    from fcclf.views import plots

    predictions = shown.predictions
    return plots.predictions_against_labels(shown.dataset.numbers(shown.dataset.test.y), predictions, shown.title)


def _residuals(shown):
    from fcclf.views import plots

    predictions = shown.predictions
    return plots.residuals(shown.dataset.numbers(shown.dataset.test.y), predictions, shown.title)


def _weights(shown):
    from fcclf.views import diagnostics

    kernel = next(values for name, values in shown.run.weights().items() if name.endswith("/kernel"))
    names = _inputs(shown.dataset)
    if kernel.ndim != 2 or len(kernel) != len(names):
        raise LeftOutError("the first layer is not a dense one")
    may_be_pixels = shown.dataset.axes and diagnostics.image_side(shown.dataset.n_features)
    return diagnostics.weights(kernel, shown.title, None if may_be_pixels else names)


def _inputs(dataset):
    """Names of the first layer's inputs, in the order of `blocks.Encode`: the columns of numbers, then for every other
    column its texts, or the numbers of its embedding."""
    names, categories = dataset.schema.names or [*map(str, range(1, dataset.n_features + 1))], dataset.categories
    numbers = [name for column, name in enumerate(names) if not (categories and categories[column])]
    encoded = [_encoded(dataset.schema.columns[column], count) for column, count in enumerate(categories) if count]
    return [*numbers, *(name for column in encoded for name in column)]


def _encoded(column, count):
    width = Encode.width(count)
    if width < count:
        return [f"{column.name}, {number} of {width}" for number in range(1, width + 1)]
    return [f"{column.name} = {text}" for text in column.categories]


def _mistakes(shown):
    from fcclf.views import diagnostics

    (X, y, _), n_features, probabilities = shown.dataset.test, shown.dataset.n_features, shown.probabilities
    if diagnostics.image_side(n_features) is None:
        raise LeftOutError(f"the data have {n_features} features, which are no square image")
    if (probabilities.argmax(axis=1) == y).all():
        raise LeftOutError("every test sample is predicted right")
    return diagnostics.mistakes(X, y, probabilities, shown.dataset.classes, shown.title)


DRAWN = {  # name: what draws it
    "learning_curves": _learning_curves,
    "decision_boundary": _decision_boundary,
    "confusion_matrix": _confusion_matrix,
    "fit": _fit,
    "predictions": _predictions,
    "residuals": _residuals,
    "calibration": _calibration,
    "roc": _roc,
    "weights": _weights,
    "mistakes": _mistakes,
}
ANIMATION = "boundary"
NAMES = (*DRAWN, ANIMATION)
AT_THE_END = ("learning_curves", "decision_boundary", "confusion_matrix")  # drawn whenever training has ended
AT_THE_END_OF_REGRESSION = ("learning_curves", "fit", "predictions", "residuals")
FORMATS = ("png", "svg")


# ---- writing them ----------------------------------------------------------------------------------------------------


def write(run, directory: Path, names: Iterable[str] = NAMES, formats=FORMATS, say=None) -> Iterator[Path]:
    """Writes the figures `names` of a run into `directory`; yields the path of each file.

    run: an open `trained.TrainedRun`. say(sentence): called for each figure left out, with the reason. Raises RunError
    if a figure cannot be written or what it is made from cannot be read, after the others are written.
    """
    from fcclf.views.frames import MOST_DRAWN

    dataset, failed = run.dataset().sample(MOST_DRAWN), None
    answers = (run.predictions if dataset.is_regression else run.probabilities)(dataset.test.X)
    shown = Shown(run, dataset, answers, f"{run.path.resolve().name}, epoch {run.epoch}")
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
    """Writes the animation and returns its path."""
    from fcclf.runs import events
    from fcclf.views import animation

    _check_plane(shown)
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
