"""TensorBoard's small pictures: which there are, and that they show the network they were drawn from."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import runs
from PIL import Image

from fcclf.data import loading
from fcclf.data.dataset import split
from fcclf.data.schema import Schema
from fcclf.learning.program import Program, borrowed
from fcclf.learning.stretches import stretches
from fcclf.runs import training
from fcclf.settings.blocks import Dense, Dropout, Residual
from fcclf.views.frames import GAP, TILE, Frames


def pixels(png):
    """float [height, width, 3], 0 to 1."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) / 255


def frames(config, dataset=None, epochs=0):
    """Of a network that has learned for so many epochs."""
    dataset = dataset or loading.load(config)
    with borrowed(Program, training.plan_on(config, dataset)) as program:
        training.begin(program, config, dataset)
        for _ in stretches(program, loading.parts(config, dataset), epochs):
            pass
        return Frames(program, dataset)


@pytest.fixture
def learned():
    return frames(runs.config(noise=0.1, learning_rate=0.02), epochs=40)


def drawn(pictured):
    logits = pictured.predictor.logits(pictured.dataset.test.X)
    return {(directory, tag): png for directory, tag, png in pictured.draw(logits, "epoch 40")}


def test_a_run_on_the_plane_has_a_boundary_its_units_and_a_confusion_matrix(learned):
    pictures = drawn(learned)
    assert list(pictures) == [("", "pictures/boundary"), ("", "pictures/units"), ("test", "pictures/confusion")]
    for png in pictures.values():
        assert pixels(png).std() > 0.05


@pytest.mark.slow
def test_the_units_of_a_residual_block_are_shown():
    pictured = frames(runs.config(layers=(Dense(3), Residual((Dense(4), Dropout(0.1), Dense(2))), Dense(None))))
    assert pictured.hidden == ["fc1", "residual1"]
    assert pixels(drawn(pictured)["", "pictures/units"]).std() > 0.05


def test_the_boundary_is_blue_and_orange_where_the_network_says_so(learned):
    picture = pixels(drawn(learned)["", "pictures/boundary"])
    blueness = picture[..., 2] - picture[..., 0]
    height, width = blueness.shape
    upper_left, lower_right = blueness[: height // 3, : width // 2], blueness[-height // 3 :, width // 2 :]
    assert (upper_left[np.abs(upper_left) > 0.1] > 0).mean() > 0.9
    assert (lower_right[np.abs(lower_right) > 0.1] < 0).mean() > 0.9


def test_a_row_of_pictures_shows_the_units_of_a_layer(learned):
    picture = pixels(drawn(learned)["", "pictures/units"])
    assert picture.shape[1] == 6 * (TILE + GAP) + GAP
    white = (picture > 0.99).all(axis=2)
    last_tile = white[-TILE - GAP : -GAP, -TILE - GAP : -GAP]  # the second layer has but four units
    assert last_tile.all()
    assert not white[-TILE - GAP : -GAP, GAP : GAP + TILE].all()


def test_data_of_other_widths_have_a_confusion_matrix_alone():
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    dataset = split(X, (X[:, 0] > 0).astype(np.int32), 0, 20, n_classes=2)
    assert list(drawn(frames(runs.config(), dataset))) == [("test", "pictures/confusion")]


@pytest.mark.parametrize(("n_classes", "width", "height"), [(2, 370, 334), (26, 496, 518), (100, 746, 768)])
def test_the_picture_of_a_confusion_matrix_grows_within_bounds(n_classes, width, height):
    X = np.zeros((200, 3), np.float32)
    dataset = split(X, np.arange(200, dtype=np.int32) % n_classes, 0, 100, n_classes)
    named = dataset._replace(schema=Schema(classes=tuple(f"a long name, number {n}" for n in range(n_classes))))
    predictor = SimpleNamespace(layers={"output": Dense(n_classes)})
    picture = Frames(predictor, named).confusion(np.eye(n_classes)[dataset.test.y], "title")
    assert pixels(picture).shape == (height, width, 3)


def test_a_network_without_hidden_layers_has_no_units_to_show():
    config = runs.config(hidden=())
    assert ("", "pictures/units") not in drawn(frames(config))


def test_the_same_network_gives_the_same_bytes(learned):
    assert drawn(learned) == drawn(learned)
