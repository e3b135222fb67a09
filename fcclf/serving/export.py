"""An export: a trained model in a numbered folder, in formats that other programs open, tested before it can be seen.

    DIR/<version>/saved_model.pb  variables/  assets/    see fcclf.serving.savedmodel
    DIR/<version>/model.onnx, model.tflite               see fcclf.serving.converted
    DIR/<version>/assets.extra/model.json                what the model is: task, columns, classes, layers, origin

Every format answers the same samples as the run. If an answer differs by more than its bound nothing is exported.
"""

import contextlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from fcclf.errors import ConfigError, RunError
from fcclf.learning.predictor import Predictor
from fcclf.runs.trained import TrainedRun
from fcclf.serving import converted, savedmodel, versions
from fcclf.serving.model import ServedModel, of_run
from fcclf.settings import blocks
from fcclf.settings.fields import brief
from fcclf.system import durable

DOCUMENT = "assets.extra/model.json"
FORMAT = 1  # of that document
ROW = re.compile(r"\[\n[-+.,\de\s]+\]")  # a list of numbers, which is written on one line
DEFAULT = ("savedmodel",)  # formats
MEASURED = ("logits", "probabilities", "predictions")  # outputs
MOST_TESTED, MOST_EXAMPLES = 2000, 5  # rows
DRAWN = 500  # rows of random numbers
CONVERTED = 1e-5  # how far answers of a converted model may be from the run's
ROUNDING = 8  # ... or how many times as far as the run's are from those of the same network in float64
ULPS = 16  # ... and probabilities of a SavedModel, which TensorFlow computes where the run uses scipy


class Format(NamedTuple):
    """A format of exports. file: where the model is in the folder. write(model, path): writes it. answers(path, X,
    threads): {output: array} of what it answers. exact: it computes as the run does."""

    file: str
    write: object
    answers: object
    exact: bool = False


FORMATS = {
    "savedmodel": Format("", savedmodel.write, savedmodel.answers, exact=True),
    "onnx": Format("model.onnx", converted.write_onnx, converted.onnx_answers),
    "tflite": Format("model.tflite", converted.write_tflite, converted.tflite_answers),
}


class Samples(NamedTuple):
    """What an export is tested on. X: [samples, features]; origin: what they are, in words; ranges: (smallest, largest)
    of each feature in the data, [features, 2], or None where the samples are drawn."""

    X: np.ndarray
    origin: str
    ranges: np.ndarray | None = None


class Exported(NamedTuple):
    """A version that was exported. path: its folder. tested: what it was tested on, in words. differences: {format:
    {output: largest difference}} from the run's answers, relative to those beyond 1."""

    path: Path
    tested: str
    differences: dict[str, dict[str, float]]


def export_run(
    run: TrainedRun, directory: Path, formats: Iterable[str] = DEFAULT, say=lambda sentence: None
) -> Exported:
    """Exports an open run, tested on its own data, as the next version in `directory`.

    say(sentence): called if the data cannot be loaded again, and as in `export_model`. Raises RunError as that does.
    """
    return export_model(of_run(run), run.predictor.answers, directory, formats, _of_run(run, say), say)


def export_model(
    served: ServedModel,
    trained,
    directory: Path,
    formats: Iterable[str] = DEFAULT,
    samples: Samples | None = None,
    say=lambda sentence: None,
) -> Exported:
    """Exports a model as the next version in `directory`.

    trained(X): the trained network's outputs, [samples, outputs], which those of the exported models are compared with.
    formats: of "savedmodel", "onnx" and "tflite". samples: by default drawn at random. say(sentence): called if the
    SavedModel has no signature for the columns because of their names. Raises RunError if a format is unknown, a
    package is missing, the folder cannot be written, or answers differ by more than their bound.
    """
    formats, samples = _checked(served, formats), samples or drawn(served)
    with versions.begun(Path(directory)) as folder:
        durable.make_directory(folder)
        for name in formats:
            FORMATS[name].write(served, folder / FORMATS[name].file)
        expected = served.outputs(trained(samples.X))
        differences = {name: _differences(name, served, expected, folder, samples.X) for name in formats}
        _check_bounds(served, expected, samples.X, differences)
        tested = f"{len(samples.X)} rows of {samples.origin}"
        _describe(served, folder, samples, {"tested_on": tested, "differences": differences})
        exported = Exported(versions.show(folder), tested, differences)
    if "savedmodel" in formats:
        _say_nameless(served.schema, say)
    return exported


def _say_nameless(schema, say):
    if schema.named and (names := savedmodel.nameless(schema)):
        say(
            f"TensorFlow 2 has no arguments for columns of the names {brief(names)}: the SavedModel has no signature "
            "columns, only serving_default and those of examples"
        )


def _checked(served, formats):
    """The formats, the SavedModel first, because it needs an empty folder."""
    formats = [formats] if isinstance(formats, str) else list(formats)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise RunError(f"formats is {brief(formats)}, but must be some of {', '.join(FORMATS)}.")
    for name in formats:
        if name in converted.PACKAGES:
            converted.check(served, name)
    return [name for name in FORMATS if name in formats]


# ---- the samples -----------------------------------------------------------------------------------------------------


def drawn(served: ServedModel) -> Samples:
    """Random samples, always the same: normally distributed, or any of the categories' numbers in a column that has
    some."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((DRAWN, served.n_features))
    for number, column in enumerate(served.schema.columns):
        if column.categories:
            X[:, number] = generator.integers(len(column.categories) + 1, size=DRAWN)
    return Samples(X.astype(served.dtype), "random numbers")


def given(X, origin: str, dtype: str) -> Samples:
    """The `Samples` of X, [samples, features], dense or sparse; at most MOST_TESTED of them."""
    some = X[:MOST_TESTED]
    some = some.toarray() if issparse(some) else some
    return Samples(np.asarray(some, dtype), origin, _ranges(some))


def _of_run(run, say):
    """`Samples` from a run's test part; None if its data cannot be loaded again."""
    try:
        dataset = run.dataset()
    except (RunError, ConfigError) as error:
        say(f"the export is tested on random numbers, not on the run's data: {error}")
        return None
    return Samples(dataset.test.X[:MOST_TESTED], "the test part", _ranges(dataset.train.X))


def _ranges(X):
    """(smallest, largest) of each feature, [features, 2]; missing numbers do not count."""
    return np.stack([np.nanmin(X, axis=0), np.nanmax(X, axis=0)], axis=1)


# ---- the test --------------------------------------------------------------------------------------------------------


def _differences(name, served, expected, folder, X):
    """{output: the largest difference} between the run's answers and those of a format."""
    found = FORMATS[name].answers(folder / FORMATS[name].file, X, served.threads)
    labels = served.decided(found["logits"]) if "logits" in found else {}
    for output, values in labels.items():
        if output in found and not np.array_equal(found[output], values):
            raise RunError(f"{output} of the {name} export are not those of its logits: nothing was exported.")
    return {output: difference(found[output], expected[output]) for output in MEASURED if output in expected}


def difference(found, expected) -> float:
    """The largest difference between two arrays, relative for values beyond 1; infinite if a number is missing in only
    one."""
    with np.errstate(invalid="ignore"):
        gaps = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return float(np.nan_to_num(np.where(same, 0, gaps), nan=math.inf, posinf=math.inf).max(initial=0))


def _check_bounds(served, expected, X, differences):
    """Raises RunError for the first difference that is too large."""
    for name, found in differences.items():
        for output, measured in found.items():
            most = bound(name, output, served)
            if measured > most and not FORMATS[name].exact:
                most = max(most, ROUNDING * _rounding(served, expected, X)[output])
            if measured > most:
                raise RunError(
                    f"{output} of the {name} export differ from the run's by {measured:.2g}, but at most {most:.2g} is "
                    "allowed: nothing was exported; leave that format out."
                )


def bound(name: str, output: str, served: ServedModel) -> float:
    """The largest difference allowed. It is 0 where a SavedModel computes what the run computes; TensorFlow's
    exponential function and numpy's differ in their last bits."""
    if not FORMATS[name].exact:
        return CONVERTED
    if output == "probabilities":
        return ULPS * float(np.finfo(served.dtype).eps)
    return ULPS * float(np.finfo("float64").eps) if served.logarithms else 0.0


def _rounding(served, expected, X):
    """{output: the largest difference} between the run's answers and those of the same network in float64: the rounding
    errors of float32, which deep networks, and data far from 1, amplify."""
    with contextlib.closing(Predictor(served.layers, served.n_features, served.threads, "float64")) as precise:
        precise.load(served.values)
        found = served.outputs(precise.answers(X))
    return {output: difference(expected[output], found[output]) for output in MEASURED if output in found}


# ---- model.json ------------------------------------------------------------------------------------------------------


def _describe(served, folder, samples, test):
    """Writes model.json into the folder of a version."""
    document = {
        "format": FORMAT,
        "task": served.task,
        "schema": served.schema.to_dict(),
        "n_features": served.n_features,
        "layers": blocks.summary(dict(served.layers), served.n_features),
        "missing": served.missing,
        "note": {**served.note, "dtype": served.dtype, "threads": served.threads, **test},
        "examples": None if samples.ranges is None else {"X": _shortest(samples.X[:MOST_EXAMPLES])},
        "ranges": None if samples.ranges is None else _shortest(samples.ranges),
    }
    durable.make_directory((folder / DOCUMENT).parent)
    text = json.dumps(_finite(document), indent=2)
    durable.write_file(folder / DOCUMENT, ROW.sub(_on_one_line, text) + "\n")


def _on_one_line(row):
    return f"[{' '.join(row[0][1:-1].split())}]"


def _shortest(rows):
    """Rows of numbers as lists, with only as many digits as distinguish them: 5.1, not 5.0999999."""
    return [[float(str(value)) for value in row] for row in rows]


def _finite(value):
    """The same value with None in place of NaN and infinities, which JSON cannot express."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
