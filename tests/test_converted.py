"""ONNX and TFLite answer, up to their last bits, what the run answers."""

import functools
import json
import sys

import models
import numpy as np
import onnx
import onnxruntime
import pytest
import runs
import tensorflow as tf
from models import MODELS

from fcclf.data.schema import Schema
from fcclf.errors import RunError
from fcclf.serving import converted, export

FLOAT32 = [name for name in MODELS if models.model(name).dtype == "float32"]
EACH = [*(("onnx", name) for name in MODELS), *(("tflite", name) for name in FLOAT32)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(format, name) -> the file of one of `MODELS`."""

    @functools.cache
    def file(format, name):
        path = tmp_path_factory.mktemp(format) / "version" / f"model.{format}"
        path.parent.mkdir()
        export.FORMATS[format].write(models.model(name), path)
        return path

    return file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "name"), [each if each[1] in models.QUICK else runs.campaign(*each) for each in EACH]
)
def test_its_answers_are_near_the_runs(written, format, name):
    X, expected = models.samples(name), models.outputs(name)
    for rows in (1000, 1):
        found = export.FORMATS[format].answers(written(format, name), X[:rows], 1)
        assert set(found) == set(expected) - {"classes"}
        for output in found:
            assert found[output].shape == expected[output][:rows].shape
            if output != "class_ids":
                assert export.difference(found[output], expected[output][:rows]) <= 1e-5
        if "logits" in found:
            np.testing.assert_array_equal(found["class_ids"], models.model(name).decided(found["logits"])["class_ids"])


@pytest.mark.slow
def test_types_are_those_of_the_network(written):
    for name, expected in (
        ("iris", {"logits": "float32", "probabilities": "float32", "class_ids": "int64"}),
        ("float64", {"logits": "float64", "probabilities": "float64", "class_ids": "int64"}),
        ("regression", {"predictions": "float64"}),
    ):
        found = converted.onnx_answers(written("onnx", name), models.samples(name), 1)
        assert {output: values.dtype.name for output, values in found.items()} == expected
    found = converted.tflite_answers(written("tflite", "regression"), models.samples("regression"), 1)
    assert found["predictions"].dtype == np.float32


def test_onnx_tells_its_classes_and_columns(written):
    session = onnxruntime.InferenceSession(written("onnx", "odd labels"))
    told = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(told["classes"])) == models.ODD
    assert told["task"] == "classification"
    told = onnxruntime.InferenceSession(written("onnx", "categories")).get_modelmeta().custom_metadata_map
    assert Schema.from_dict(json.loads(told["schema"])) == models.MIXED
    assert [each.shape for each in session.get_inputs()] == [["batch", 3]]
    onnx.checker.check_model(onnx.load(written("onnx", "odd labels")), full_check=True)


@pytest.mark.slow
def test_nothing_else_is_left_beside_it(written):
    for format in ("onnx", "tflite"):
        file = written(format, "iris")
        assert [*file.parent.parent.rglob("*")] == [file.parent, file]


@pytest.mark.slow
def test_it_is_converted_inside_a_graph_too(tmp_path):
    (tmp_path / "version").mkdir()
    with tf.Graph().as_default():
        converted.write_tflite(models.model("iris"), tmp_path / "version" / "model.tflite")
    found = converted.tflite_answers(tmp_path / "version" / "model.tflite", models.samples("iris"), 1)
    assert set(found) == {"logits", "probabilities", "class_ids"}


def test_float64_has_no_tflite():
    with pytest.raises(RunError, match="TFLite has no networks of float64"):
        converted.check(models.model("float64"), "tflite")


@pytest.mark.parametrize(("format", "package"), [("onnx", "tf2onnx"), ("tflite", "ai_edge_litert")])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch, format, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RunError, match=rf"{format} needs {package}, .*pip install 'fcclf\[{format}\]'"):
        converted.check(models.model("iris"), format)
