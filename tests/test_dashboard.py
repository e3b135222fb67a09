"""What a run tells TensorBoard besides curves, read back through TensorBoard's own plugins."""

import numpy as np
import pytest
import runs
import tensorflow as tf
from PIL import Image
from sklearn.metrics import precision_score, recall_score
from stacks import RESIDUAL
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import tensor_util

from fcclf.data.facts import Facts
from fcclf.learning.plan import planned
from fcclf.learning.program import Program
from fcclf.runs import dashboard, run_directory, training
from fcclf.runs.run_directory import Description
from fcclf.settings.run_config import DataShape
from fcclf.settings.sources import Curve, Images


def values(serialized):
    return {value.tag: value for value in Summary.FromString(serialized).value}


@pytest.fixture
def about(finished_run):
    return values(dashboard.about(run_directory.read(finished_run), "finished"))


def text(value):
    return tensor_util.make_ndarray(value.tensor).item().decode()


def test_the_session_has_every_setting_that_changes_the_result(about):
    plugin_data = about["_hparams_/session_start_info"].metadata.plugin_data.content
    session = hparams_metadata.parse_session_start_info_plugin_data(plugin_data)
    assert session.group_name == "finished"
    assert session.hparams.keys() == runs.config().for_display().keys()
    assert session.hparams["noise"].number_value == 0.2
    assert session.hparams["hidden"].string_value == "6 4"
    assert session.hparams["early_stopping"].bool_value is False


def test_the_session_of_a_preset_has_the_settings_of_its_layers(tmp_path):
    config = runs.config(preset="lenet", data=Images(), learning_rate=1e-3)
    description = Description(config, Facts("", 784, 10), {}, "")
    content = values(dashboard.about(description, "lenet"))["_hparams_/session_start_info"].metadata.plugin_data.content
    hparams = hparams_metadata.parse_session_start_info_plugin_data(content).hparams
    assert runs.config().for_display().keys() - hparams.keys() == {"noise", "samples", "test_ratio", "data_seed"}
    assert (hparams["layers"].string_value, hparams["hidden"].string_value) == ("lenet", "conv6 conv16 120 84")
    assert (hparams["dropout"].number_value, hparams["learning_rate"].number_value) == (0.0, 1e-3)


def test_the_text_has_the_command_and_the_settings(about):
    command = (
        "fcclf train moons --noise 0.2 --samples 100 --batch-size 16 --epochs 6 --image-every 0 --jit off --threads 1"
    )
    assert text(about["command/text_summary"]).strip() == command
    assert "noise | 0.2" in text(about["settings/text_summary"])
    assert "n_features | 2" in text(about["data and versions/text_summary"])


def test_the_layout_puts_every_curve_of_a_run_into_a_chart(about, finished_run):
    serialized = tensor_util.make_ndarray(about["custom_scalars__config__"].tensor).item()
    layout = layout_pb2.Layout.FromString(serialized)
    charted = {tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag}
    scalars = {tag for (_, tag), points in runs.curves(finished_run).items() if len(points) == 6}
    assert {tag.strip("^$") for tag in charted} == scalars


def test_precision_and_recall_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    y, first = random.integers(2, size=50), random.random(50)
    curves = values(dashboard.pr_curves(y, np.column_stack([first, 1 - first]), ["no", "yes"], "fruit"))
    *_, precision, recall = tensor_util.make_ndarray(curves["fruit/class yes/pr_curves"].tensor)
    predicted = 1 - first >= 0.5
    assert precision[100] == pytest.approx(precision_score(y, predicted))
    assert recall[100] == pytest.approx(recall_score(y, predicted))


def test_precision_recall_curves_are_named_by_the_data_and_the_class():
    curves = values(dashboard.pr_curves(np.array([0, 1]), np.eye(2), ["no", "yes"], "fruit"))
    assert {tag: value.metadata.display_name for tag, value in curves.items()} == {
        "fruit/class no/pr_curves": "class no",
        "fruit/class yes/pr_curves": "class yes",
    }


def test_a_picture_has_the_size_that_its_file_says(tmp_path):
    Image.new("RGB", (7, 5)).save(tmp_path / "small.png")
    png = (tmp_path / "small.png").read_bytes()
    picture = values(dashboard.image("boundary", png))["boundary"].image
    assert (picture.width, picture.height, picture.encoded_image_string) == (7, 5, png)


BOXES = {"input", "full-connect-layer", "output", "loss", "train", "eval", "epoch-loop", "state", "global_step", "init"}
PLANE = DataShape(2, 2)


def pictured(config, shape=PLANE, validation=0):
    """{name: node} of the picture of a run's graph."""
    program = Program(planned(config, shape, (80, validation, 20)))
    program.fed_step  # noqa: B018 - adds the tutorial's half
    return {node.name: node for node in dashboard.graph_picture(program.session.graph).node}


@pytest.mark.slow
def test_the_picture_of_the_graph_has_the_scopes_of_the_tutorials_and_its_variables_in_their_layers():
    nodes = pictured(runs.config())
    assert {name.split("/")[0] for name in nodes} == BOXES
    assert "full-connect-layer/fc1/kernel" in nodes
    assert nodes["full-connect-layer/fc1/MatMul/ReadVariableOp"].input == ["full-connect-layer/fc1/kernel"]
    inputs = {name.lstrip("^").split(":")[0] for node in nodes.values() for name in node.input}
    assert inputs <= nodes.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "shape", "validation"),
    [
        ({"batch_norm": "after", "dropout": 0.1, "standardize": "features"}, PLANE, 0),
        ({"batch_norm": "before", "early_stopping": True}, PLANE, 10),
        ({"preset": "lenet"}, DataShape(784, 10), 0),
        ({"data": Curve()}, DataShape(1, 1), 0),
        ({"dropout": 0.1}, DataShape(2, 2, categories=(0, 30), missing=True), 0),
    ],
)
def test_whatever_the_network_and_its_training_the_picture_of_the_graph_has_the_same_boxes(settings, shape, validation):
    assert {name.split("/")[0] for name in pictured(runs.config(**settings), shape, validation)} == BOXES


def written_graph(path):
    """Names of the nodes of the graph in a run's event file."""
    (file,) = (path / "train").iterdir()
    (graph,) = (event.graph_def for event in tf.compat.v1.train.summary_iterator(str(file)) if event.graph_def)
    return {node.name for node in tf.compat.v1.GraphDef.FromString(graph).node}


@pytest.mark.slow
def test_a_second_run_in_a_process_has_the_picture_of_the_first(tmp_path):
    for seed in (0, 1):
        training.train(runs.config(epochs=2, image_every=1, early_stopping=True, seed=seed), tmp_path / str(seed))
    assert written_graph(tmp_path / "1") == written_graph(tmp_path / "0")


@pytest.mark.slow
def test_what_layers_do_in_training_is_a_box_inside_theirs():
    nodes = pictured(runs.config(dropout=0.1))
    inside = {name.split("/")[1] for name in nodes if name.startswith("full-connect-layer/")}
    assert inside == {"fc1", "fc2", "in-training"}
    assert {name.split("/")[2] for name in nodes if name.startswith("full-connect-layer/in-training/")} == {
        *("fc1", "dropout1", "fc2", "dropout2")
    }
    assert "output/in-training/MatMul" in nodes


@pytest.mark.slow
def test_the_picture_of_the_graph_has_blocks_inside_blocks_with_their_variables():
    nodes = pictured(runs.config(layers=RESIDUAL))
    for inside in ("fc1", "residual1/fc1", "projection"):
        layer = f"full-connect-layer/residual1/{inside}"
        assert nodes[f"{layer}/MatMul/ReadVariableOp"].input == [f"{layer}/kernel"]
    assert {name.split("/")[0] for name in nodes} == BOXES
