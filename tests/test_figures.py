"""Which figures a run gets, and why others are left out."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import runs
from sklearn import datasets

from fcclf.data.dataset import split
from fcclf.data.schema import Column, Schema
from fcclf.errors import RunError
from fcclf.runs import figures
from fcclf.runs.trained import TrainedRun


@pytest.fixture
def finished(finished_run):
    with TrainedRun(finished_run) as run:
        yield run


def pretended(dataset, path, **functions):
    """As a run with this data, whose network always says class 0."""
    run = SimpleNamespace(path=path, epoch=6, description=SimpleNamespace(config=runs.config()), **functions)
    run.dataset = lambda: dataset
    run.probabilities = lambda X: np.eye(dataset.n_classes)[np.zeros(len(X), int)]
    return run


def written(run, directory, *names, **settings):
    """(names of the files written, sentences said)."""
    said = []
    paths = list(figures.write(run, directory, names or figures.NAMES, say=said.append, **settings))
    assert all(path.stat().st_size for path in paths)
    return [path.name for path in paths], said


@pytest.mark.slow
def test_every_figure_that_makes_sense_is_written_in_both_formats(finished, tmp_path):
    names, said = written(finished, tmp_path / "figures")
    drawn = ["learning_curves", "decision_boundary", "confusion_matrix", "calibration", "roc", "weights"]
    assert names == [f"{name}.{suffix}" for name in drawn for suffix in ("png", "svg")]
    assert said == [
        *(f"{name} is left out: the run predicts classes, not numbers" for name in ("fit", "predictions", "residuals")),
        "mistakes is left out: the data have 2 features, which are no square image",
        "boundary is left out: the run has no pictures of its boundary; --image-every of `fcclf train` records them",
    ]


def test_names_and_formats_can_be_chosen(finished, tmp_path):
    assert written(finished, tmp_path, "weights", formats=["svg"]) == (["weights.svg"], [])


@pytest.mark.slow
def test_images_have_mistakes_and_no_boundary(finished_run, tmp_path):
    X, y = datasets.load_digits(return_X_y=True)
    digits = split(np.float32(X), np.int32(y), 0, 100, n_classes=10)
    run = pretended(digits, finished_run, weights=lambda: {"fc1/kernel": np.ones((64, 6)), "fc1/bias": np.ones(6)})
    names, said = written(
        run, tmp_path, "decision_boundary", "confusion_matrix", "weights", "mistakes", formats=["png"]
    )
    assert names == ["confusion_matrix.png", "weights.png", "mistakes.png"]
    assert said == ["decision_boundary is left out: the data have 64 features, and a boundary is drawn for 2"]


def test_too_many_classes_have_no_boundary_and_no_mistakes_no_figure_of_them(finished_run, tmp_path):
    X = np.zeros((30, 2), np.float32)
    classes = split(X, np.arange(30, dtype=np.int32) % 11, 0, 10, n_classes=11)
    flat = split(np.zeros((30, 64), np.float32), np.zeros(30, np.int32), 0, 10, n_classes=3)
    _, said = written(pretended(classes, finished_run), tmp_path, "decision_boundary")
    _, also_said = written(pretended(flat, finished_run), tmp_path, "mistakes")
    assert said == ["decision_boundary is left out: the data have 11 classes, and a boundary is drawn for 10 at most"]
    assert also_said == ["mistakes is left out: every test sample is predicted right"]


def drawn_weights(dataset, kernel):
    run = SimpleNamespace(weights=lambda: {"fc1/kernel": kernel})
    return figures.DRAWN["weights"](figures.Shown(run, dataset, None, "title")).axes[0]


def test_weights_have_the_names_of_columns_texts_and_embeddings():
    many = tuple(f"city {number}" for number in range(21))
    columns = (Column("city", many), Column("age"), Column("soil", ("clay", "sand")))
    dataset = split(np.zeros((4, 3), np.float32), np.zeros(4, np.int32), 0, 2, n_classes=2)
    dataset = dataset._replace(schema=Schema(columns), categories=(21, 0, 2))
    names = [label.get_text() for label in drawn_weights(dataset, np.ones((8, 6))).get_yticklabels()]
    assert names == ["age", *(f"city, {number} of 5" for number in range(1, 6)), "soil = clay", "soil = sand"]


def test_columns_that_cannot_be_pixels_are_not_shown_as_an_image():
    columns = tuple(Column(f"column {number}") for number in range(64))
    dataset = split(np.zeros((4, 64), np.float32), np.zeros(4, np.int32), 0, 2, n_classes=2)
    dataset = dataset._replace(schema=Schema(columns), missing=True)
    assert drawn_weights(dataset, np.ones((64, 6))).images[0].get_array().shape == (64, 6)


def test_a_test_part_of_one_class_has_no_roc(finished_run, tmp_path):
    alone = split(np.zeros((30, 2), np.float32), np.zeros(30, np.int32), 0, 10, n_classes=3)
    _, said = written(pretended(alone, finished_run), tmp_path, "roc")
    assert said == ["roc is left out: the test part has samples of one class alone"]


def test_a_run_without_an_epoch_has_no_curves(finished, finished_run, tmp_path):
    (tmp_path / "history.csv").write_text((finished_run / "history.csv").read_text().splitlines(keepends=True)[0])
    finished.path = tmp_path
    assert written(finished, tmp_path, "learning_curves") == (
        [],
        ["learning_curves is left out: no epoch is finished yet"],
    )


def test_a_damaged_history_is_one_sentence(finished, finished_run, tmp_path):
    finished.path = shutil.copytree(finished_run, tmp_path / "run")
    (finished.path / "history.csv").write_text("epoch,test_loss\n1,2,3\n")
    with pytest.raises(RunError, match=r"history.csv is damaged \(.*\): train the run again, which mends it\.$"):
        written(finished, tmp_path, "learning_curves")
