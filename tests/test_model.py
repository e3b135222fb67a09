"""One version of a model: what is loaded of it, what it answers, and what is wrong with those that are damaged."""

import gc
import json
import os
import shutil

import numpy as np
import pytest
import runs
import served
import tensorflow as tf

from fcclf.data.schema import Column, Schema
from fcclf.errors import RunError
from fcclf.serving.server.model import Model
from fcclf.serving.server.statuses import RequestError

tf1 = tf.compat.v1
DAMAGES = {
    "no graph": lambda path: (path / "saved_model.pb").unlink(),
    "half a graph": lambda path: cut(path / "saved_model.pb", 0.5),
    "an empty graph": lambda path: cut(path / "saved_model.pb", 0),
    "no graph but a text": lambda path: (path / "saved_model.pb").write_text("this is a picture of a cat"),
    "ONNX alone": lambda path: (path / "saved_model.pb").rename(path / "model.onnx"),
    "a graph without an end": lambda path: endless(path / "saved_model.pb"),
    "variables that are a pipe": lambda path: pipe(path / "variables" / "variables.index"),
    "a graph as large as a disk": lambda path: os.truncate(path / "saved_model.pb", 2**40),
    "no variables": lambda path: shutil.rmtree(path / "variables"),
    "no data of variables": lambda path: (path / "variables" / "variables.data-00000-of-00001").unlink(),
    "half the data of variables": lambda path: cut(path / "variables" / "variables.data-00000-of-00001", 0.5),
    "half the index of variables": lambda path: cut(path / "variables" / "variables.index", 0.5),
    "other bits in the variables": lambda path: flip(path / "variables" / "variables.data-00000-of-00001"),
    "half of the notes": lambda path: cut(path / "assets.extra" / "model.json", 0.5),
    "notes of another format": lambda path: change(path, format=2),
    "notes of another model": lambda path: change(
        path, n_features=3, ranges=None, examples=None, schema=Schema().to_dict()
    ),
    "notes that are a list": lambda path: (path / "assets.extra" / "model.json").write_text("[]"),
    "notes without an end": lambda path: endless(path / "assets.extra" / "model.json"),
    "notes with uneven examples": lambda path: change(path, examples={"X": [[1, 2], [3]]}),
}


def cut(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])


def flip(file):
    file.write_bytes(bytes(255 - byte for byte in file.read_bytes()))


def change(path, **entries):
    file = path / "assets.extra" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def endless(file):
    file.unlink()
    file.symlink_to("/dev/zero")


def pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.fixture
def model(tmp_path):
    model = Model(served.write(tmp_path, 3), 3)
    yield model
    model.close()


def test_it_has_the_signatures_and_the_notes_of_its_maker(model):
    assert {name: each.method for name, each in model.signatures.items()} == {
        "serving_default": "predict",
        "columns": "predict",
        "classify": "classify",
    }
    assert model.notes.schema == served.NAMED
    assert model.notes.n_features == 2
    assert model.notes.examples.tolist() == served.EXAMPLES
    assert model.notes.example_features == {"width": (False, 1, False), "height": (False, 1, False)}


def test_it_answers_by_every_signature(model):
    X = np.float32([[1, 2], [3, -4]])
    found = model.answer(model.signatures["serving_default"], [X])
    assert list(found) == ["class_ids", "classes", "logits", "probabilities"]
    np.testing.assert_array_equal(found["logits"], served.logits(3, X))
    assert found["classes"].tolist() == [b"green", b"red"]
    columns = model.answer(model.signatures["columns"], [X[:, 1], X[:, 0]])  # height, width
    np.testing.assert_array_equal(columns["logits"], served.logits(3, X))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noted", "threads"), [({"threads": 3}, 3), ({}, 1), ({"threads": "many"}, 1), ({"threads": 0}, 1)]
)
def test_its_session_has_as_many_threads_as_its_run_had(tmp_path, noted, threads):
    model = Model(served.write(tmp_path, note=noted), 1)
    assert model.notes.threads == threads
    model.close()


def test_what_the_graph_refuses_is_refused_in_one_sentence(model):
    with pytest.raises(RequestError, match=r"^the model cannot answer: Could not parse example input, value: 'x'\.$"):
        model.answer(model.signatures["classify"], [np.array([b"x"], object)])


def test_it_tells_its_signatures_as_tensorflow_serving_does(model):
    told = json.loads(json.dumps(model.metadata()))["signature_def"]["serving_default"]
    assert told["method_name"] == "tensorflow/serving/predict"
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    assert told["inputs"]["X"] == {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": told["inputs"]["X"]["name"]}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_refused_in_one_sentence_that_names_it(tmp_path, damage):
    path = served.write(tmp_path)
    DAMAGES[damage](path)
    with pytest.raises(RunError) as refused:
        Model(path, 1)
    runs.assert_one_sentence(refused.value)
    assert str(path) in str(refused.value)


def test_a_model_from_elsewhere_is_served_by_its_signatures_alone(tmp_path):
    def build():
        text = tf1.placeholder(tf.string, (None,))
        return {"serving_default": ({"text": text}, {"upper_bytes": tf.strings.upper(text)})}

    model = Model(served.foreign(tmp_path / "1", build), 1)
    assert model.notes is None
    assert not model.signatures["serving_default"].inputs["text"].shape[1:]
    found = model.answer(model.signatures["serving_default"], [np.array([b"abc"], object)])
    assert found["upper_bytes"].tolist() == [b"ABC"]
    model.close()


@pytest.mark.slow
def test_a_model_of_tensorflow_2_is_served_too(tmp_path):
    class Doubles(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "x")])
        def __call__(self, x):
            return {"twice": 2 * x}

    doubles = Doubles()
    tf.saved_model.save(doubles, str(tmp_path / "1"), signatures=doubles.__call__)
    model = Model(tmp_path / "1", 1)
    assert list(model.signatures) == ["serving_default"]
    found = model.answer(model.signatures["serving_default"], [np.float32([[1, 2]])])
    assert found["twice"].tolist() == [[2, 4]]
    model.close()


def test_a_model_without_the_tag_serve_is_refused(tmp_path):
    with tf.Graph().as_default() as graph, tf1.Session(graph=graph) as session:
        x = tf1.placeholder(tf.float32, (None,))
        builder = tf1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(
            session, ["train"], {"serving_default": served.signature({"x": x}, {"y": x})}
        )
        builder.save()
    with pytest.raises(RunError, match=r"MetaGraphDef associated with tags"):
        Model(tmp_path / "1", 1)


def test_categories_are_places_in_a_row_and_texts_in_a_column(tmp_path):
    schema = Schema((Column("size"), Column("shape", ("round", "square"))), True, "colour", served.CLASSES)
    model = Model(served.write(tmp_path, schema=schema), 1)
    assert model.notes.example_features == {"size": (False, 1, False), "shape": (True, 1, True)}
    by_column = model.answer(model.signatures["columns"], [np.array([b"square", b"odd"], object), np.float32([5, 6])])
    by_row = model.answer(model.signatures["serving_default"], [np.float32([[5, 1], [6, 2]])])
    np.testing.assert_array_equal(by_column["logits"], by_row["logits"])
    model.close()


@pytest.mark.campaign
def test_versions_that_come_and_go_leave_no_memory_behind(tmp_path):
    path, sizes = served.write(tmp_path), []
    for _ in range(200):
        Model(path, 1).close()
        gc.collect()
        sizes.append(resident())
    assert sizes[-1] - sizes[49] < 20_000_000


def resident():
    """Bytes of memory in use."""
    with open("/proc/self/statm") as file:
        return 4096 * int(file.read().split()[1])
