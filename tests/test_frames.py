"""TensorBoard's small pictures: which there are, and that they show the network they were drawn from."""

import io

import numpy as np
import pytest
import runs
from PIL import Image

from fcclf.data import loading
from fcclf.learning.trainer import Trainer
from fcclf.views.frames import GAP, TILE, Frames

pytestmark = pytest.mark.usefixtures("built_once")


def pixels(png):
    """float [height, width, 3], 0 to 1."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) / 255


@pytest.fixture
def trainer():
    """A network that has learned for 40 epochs."""
    config = runs.config(noise=0.1, learning_rate=0.02)
    with Trainer(config, loading.load(config)) as trainer:
        trainer.initialize()
        trainer.advance(40 * trainer.n_batches)
        yield trainer


def drawn(trainer):
    logits = trainer.logits(trainer.dataset.X_test)
    return {(directory, tag): png for directory, tag, png in Frames(trainer).draw(logits, "epoch 40")}


def test_a_run_on_the_plane_has_a_boundary_its_units_and_a_confusion_matrix(trainer):
    pictures = drawn(trainer)
    assert list(pictures) == [("", "pictures/boundary"), ("", "pictures/units"), ("test", "pictures/confusion")]
    for png in pictures.values():
        assert pixels(png).std() > 0.05


def test_the_boundary_is_blue_and_orange_where_the_network_says_so(trainer):
    picture = pixels(drawn(trainer)["", "pictures/boundary"])
    blueness = picture[..., 2] - picture[..., 0]
    height, width = blueness.shape
    upper_left, lower_right = blueness[: height // 3, : width // 2], blueness[-height // 3 :, width // 2 :]
    assert (upper_left[np.abs(upper_left) > 0.1] > 0).mean() > 0.9
    assert (lower_right[np.abs(lower_right) > 0.1] < 0).mean() > 0.9


def test_a_row_of_pictures_shows_the_units_of_a_layer(trainer):
    picture = pixels(drawn(trainer)["", "pictures/units"])
    assert picture.shape[1] == 6 * (TILE + GAP) + GAP
    white = (picture > 0.99).all(axis=2)
    last_tile = white[-TILE - GAP : -GAP, -TILE - GAP : -GAP]  # the second layer has but four units
    assert last_tile.all()
    assert not white[-TILE - GAP : -GAP, GAP : GAP + TILE].all()


def test_data_of_other_widths_have_a_confusion_matrix_alone():
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    dataset = loading.split(X, (X[:, 0] > 0).astype(np.int32), 0, 20, n_classes=2)
    with Trainer(runs.config(), dataset) as trainer:
        trainer.initialize()
        assert list(drawn(trainer)) == [("test", "pictures/confusion")]


def test_a_network_without_hidden_layers_has_no_units_to_show():
    config = runs.config(hidden=())
    with Trainer(config, loading.load(config)) as trainer:
        trainer.initialize()
        assert ("", "pictures/units") not in drawn(trainer)


def test_the_same_network_gives_the_same_bytes(trainer):
    assert drawn(trainer) == drawn(trainer)
