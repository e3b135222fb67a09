"""Figures: of the right size, of the right thing, and the same bytes each time."""

import numpy as np
import pytest
import runs
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from fcclf.data import loading
from fcclf.data.dataset import Part
from fcclf.data.schema import Column, Schema
from fcclf.views import plots


@pytest.fixture
def moons():
    return loading.load(runs.config())


def halves(X):
    """A classifier that is sure of class 0 on the left and of class 1 on the right."""
    right = (X[:, :1] > 0.5).astype(float)
    return np.hstack([1 - right, right])


def columns(*parts, epochs=5):
    """A history whose losses fall up to the epoch before the last."""
    losses = np.array([1.0, 0.7, 0.5, 0.3, 0.4])[:epochs]
    return {
        "epoch": np.arange(1, epochs + 1),
        **{f"{part}_loss": losses for part in parts},
        **{f"{part}_accuracy": 1 - losses / 2 for part in parts},
    }


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def saved(figure, path):
    plots.save(figure, path)
    return imread(path)


def test_the_boundary_separates_the_two_colours_where_the_classifier_does(moons, tmp_path):
    image = saved(plots.decision_boundary(moons, halves, "title"), tmp_path / "figures" / "boundary.png")
    assert image.shape[:2] == (600, 960)
    red, blue = image[..., 0], image[..., 2]
    middle = slice(130, 450)
    assert (blue > red)[middle, 100:200].mean() > 0.5
    assert (red > blue)[middle, 600:700].mean() > 0.5


def test_the_boundary_counts_and_rings_the_errors(moons):
    figure = plots.decision_boundary(moons, halves, "title")
    wrong = moons.test.X[halves(moons.test.X).argmax(axis=1) != moons.test.y]
    assert legend(figure) == ["class 0", "class 1", "training", f"wrong: {len(wrong)} of 20 in test"]
    np.testing.assert_allclose(figure.axes[0].collections[-1].get_offsets(), wrong)


def test_the_boundary_has_the_names_of_columns_and_classes(moons):
    columns = (Column("petal length"), Column("petal width"))
    named = moons._replace(schema=Schema(columns, named=True, classes=("setosa", "virginica")))
    figure = plots.decision_boundary(named, halves, "title")
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("petal length", "petal width")
    assert bar.get_ylabel() == "probability of class virginica"
    assert legend(figure)[:2] == ["class setosa", "class virginica"]


def test_the_legend_of_long_names_is_as_wide_as_the_figure(moons):
    names = tuple(f"a class with a long name, number {number}" for number in range(10))
    named = moons._replace(schema=Schema(classes=names), n_classes=10)
    figure = plots.decision_boundary(named, lambda X: np.eye(10)[np.zeros(len(X), int)], "title")
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert (box.x0 >= 0, box.x1 <= figure.bbox.width) == (True, True)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_the_plane_has_the_colour_of_the_most_probable_class_and_its_borders(n_classes):
    def stripes(X):
        return np.eye(n_classes)[np.clip(X[:, 0].astype(int), 0, n_classes - 1)]

    axes = Figure().add_subplot()
    plots.draw_plane(axes, (0, 0), (n_classes, 1), stripes, resolution=100)
    row = axes.images[0].get_array()[50]
    for label, color in enumerate(plots.COLORS[:n_classes]):
        pale = plots.PALENESS + (1 - plots.PALENESS) * np.array(to_rgb(color))
        np.testing.assert_allclose(row[int((label + 0.5) * 100 / n_classes)], pale)
    borders = np.concatenate([each.vertices for lines in axes.collections for each in lines.get_paths()])
    assert set(borders[:, 0].round().astype(int)) == set(range(1, n_classes))


def test_a_classifier_that_knows_nothing_leaves_the_plane_white_without_a_border():
    axes = Figure().add_subplot()
    plots.draw_plane(axes, (0, 0), (1, 1), lambda X: np.full((len(X), 2), 0.5), resolution=10)
    assert (axes.images[0].get_array() == 1).all()
    assert not axes.collections


def test_only_some_points_of_large_data_are_drawn(moons):
    many = moons._replace(test=Part(np.tile(moons.test.X, (1000, 1)), np.tile(moons.test.y, 1000)))
    axes = plots.decision_boundary(many, halves, "title").axes[0]
    drawn = sum(len(points.get_offsets()) for points in axes.collections if points.get_label().startswith("class"))
    assert drawn == plots.MOST_POINTS


def test_learning_curves_have_a_curve_for_each_part_and_mark_the_best_epoch():
    figure = plots.learning_curves(columns("train", "validation", "test"), 4, "title")
    assert legend(figure) == ["train", "validation", "test", "best epoch, by validation loss: epoch 4"]
    loss, accuracy = figure.axes
    np.testing.assert_array_equal(loss.lines[2].get_ydata(), [1.0, 0.7, 0.5, 0.3, 0.4])
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), [0.5, 0.65, 0.75, 0.85, 0.8])
    assert loss.get_ylabel() == "cross-entropy in nats"


def test_without_early_stopping_the_lowest_test_loss_is_marked_as_such():
    figure = plots.learning_curves(columns("train", "test"), None, "title")
    assert legend(figure) == ["train", "test", "lowest test loss, only noted: epoch 4"]


def test_curves_of_one_epoch_can_be_drawn(tmp_path):
    image = saved(plots.learning_curves(columns("train", "test", epochs=1), None, "title"), tmp_path / "one.png")
    assert image.shape[:2] == (600, 960)


def test_a_comparison_has_a_curve_for_each_run():
    figure = plots.comparison({"one": columns("test"), "two": columns("test", epochs=3)}, "title")
    assert legend(figure) == ["one", "two"]
    assert [len(line.get_xdata()) for line in figure.axes[1].lines] == [5, 3]


def test_the_confusion_matrix_shows_counts_and_shares_of_the_true_class():
    figure = plots.confusion_matrix([[3, 1], [0, 4]], ["no", "yes"], "title")
    assert [text.get_text() for text in figure.axes[0].texts] == ["3\n75.0%", "1\n25.0%", "0\n0.0%", "4\n100.0%"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), [[0.75, 0.25], [0, 1]])
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["no", "yes"]


def test_where_cells_are_small_the_counts_alone_are_shown_and_no_zeros():
    axes = plots.confusion_matrix(np.eye(26, dtype=int) * 10, [*map(str, range(26))], "title").axes[0]
    assert [text.get_text() for text in axes.texts] == ["10"] * 26


def test_a_large_confusion_matrix_has_no_numbers_that_nobody_could_read():
    axes = plots.confusion_matrix(np.eye(100, dtype=int), [f"class number {n}" for n in range(100)], "title").axes[0]
    assert not axes.texts
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["class number 0", "class number 2"]


@pytest.mark.parametrize("n_classes", [2, 26, 100, 1000])
def test_the_figure_of_a_confusion_matrix_grows_within_bounds(n_classes):
    names = ["the long name of a class " + "x" * number for number in range(n_classes)]
    width, height = plots.confusion_matrix(np.eye(n_classes, dtype=int), names, "title").get_size_inches()
    assert 5 < width < 11
    assert 4 < height < 10


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_figure_has_the_same_bytes_each_time(moons, tmp_path, suffix):
    written = []
    for number in (1, 2):
        path = tmp_path / f"{number}{suffix}"
        plots.save(plots.decision_boundary(moons, halves, "title"), path)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_an_svg_has_its_texts_and_no_date(moons, tmp_path):
    plots.save(plots.decision_boundary(moons, halves, "a run"), tmp_path / "boundary.svg")
    text = (tmp_path / "boundary.svg").read_text()
    for words in ("a run", "feature 1", "probability of class 1"):
        assert f"<!-- {words} -->" in text
    assert "<dc:date>" not in text
