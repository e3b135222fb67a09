"""JSON of classify and regress into tf.Example, and their results into JSON."""

import json

import numpy as np
import pytest
from tensorflow.core.example.example_pb2 import Example

from fcclf.serving.server import examples
from fcclf.serving.server.examples import Wanted
from fcclf.serving.server.signatures import Signature, Spec
from fcclf.serving.server.statuses import RequestError

TEXT, NUMBERS = Spec("t:0", np.dtype(object), "string", (None,)), Spec("t:0", np.dtype("float32"), "float32", (None, 3))
DEFAULT = Signature("serving_default", "predict", {"X": NUMBERS}, {"logits": NUMBERS})
CLASSIFY = Signature("classify", "classify", {"inputs": TEXT}, {"classes": TEXT, "scores": NUMBERS})
SIGNATURES = {"serving_default": DEFAULT, "classify": CLASSIFY}
TEXT_RULE = 'but must be a text, or {"b64": ...} with base64 of its bytes.'
FEATURES = {"age": Wanted(False, 1), "sex": Wanted(True, 1)}
LACKING = {name: each._replace(missing=True) for name, each in FEATURES.items()}


def asked(given, features=None, signatures=SIGNATURES, method="classify"):
    return examples.question(given, signatures, method, features)


def features(given, known=None):
    """[{feature: (kind, values)}] of the examples that are asked about."""
    found = [Example.FromString(each) for each in asked(given, known).arrays[0]]
    return [{name: kind_and_values(each) for name, each in example.features.feature.items()} for example in found]


def kind_and_values(feature):
    kind = feature.WhichOneof("kind")
    return kind, [*getattr(feature, kind).value]


def test_values_become_features_of_their_kinds():
    given = {"whole": 1, "yes": True, "decimal": [0.5, 2], "text": "ä", "bytes": {"b64": "/w=="}, "texts": ["a", "b"]}
    assert features({"examples": [given]}) == [
        {
            "whole": ("int64_list", [1]),
            "yes": ("int64_list", [1]),
            "decimal": ("float_list", [0.5, 2.0]),
            "text": ("bytes_list", ["ä".encode()]),
            "bytes": ("bytes_list", [b"\xff"]),
            "texts": ("bytes_list", [b"a", b"b"]),
        }
    ]


def test_a_whole_number_is_a_float_where_the_model_takes_one():
    found = features({"examples": [{"age": 5, "sex": "f", "another": 1}]}, FEATURES)
    assert found == [{"age": ("float_list", [5.0]), "sex": ("bytes_list", [b"f"]), "another": ("int64_list", [1])}]


def test_null_is_a_value_that_is_missing():
    ((name, (kind, values)), (_, text)) = sorted(
        features({"examples": [{"age": None, "sex": None}]}, LACKING)[0].items()
    )
    assert (name, kind, np.isnan(values).all()) == ("age", "float_list", True)
    assert text == ("bytes_list", [b""])


def test_the_context_belongs_to_every_example():
    found = features({"context": {"sex": "f"}, "examples": [{"age": 0.5}, {"age": 1.5}]})
    assert [each["sex"] for each in found] == [("bytes_list", [b"f"])] * 2


def test_the_only_signature_of_the_kind_need_not_be_named():
    assert asked({"examples": [{}]}).signature is CLASSIFY
    assert asked({"examples": [{}], "signature_name": "classify"}).signature is CLASSIFY


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "examples is null, but must be a list of one object at least."),
        ({"examples": []}, "examples is an empty list, but must be a list of one object at least."),
        ({"examples": [1]}, "examples[0] is 1, but must be an object of features."),
        ({"examples": [{"age": 1}], "context": []}, "context is an empty list, but must be an object of features."),
        (
            {"examples": [{"age": 1}], "context": {"age": 1}},
            "examples[0] has 'age', which context has too: give each feature once.",
        ),
        ({"examples": [{"age": 1}]}, "examples[0] lacks 'sex': its features are 'age', 'sex'."),
        ({"examples": [{"age": "x", "sex": "f"}]}, "examples[0].age is 'x', but must be a number."),
        ({"examples": [{"age": True, "sex": "f"}]}, "examples[0].age is true, but must be a number."),
        ({"examples": [{"age": 1, "sex": 2}]}, "examples[0].sex is 2, but must be a text."),
        ({"examples": [{"age": [1, 2], "sex": "f"}]}, "examples[0].age has 2 values, but must have 1."),
        ({"examples": [{"age": 1e39, "sex": "f"}]}, "examples[0].age is 1e+39, which is too large for float32."),
        ({"examples": [{"age": 1, "sex": {"b64": "?"}}]}, f"examples[0].sex is an object, {TEXT_RULE}"),
        (
            {"examples": [{"age": 1, "sex": "f", "x": None}]},
            "examples[0].x is null, but must be numbers or texts of one kind.",
        ),
        (
            {"examples": [{"age": 1, "sex": "f", "x": [1, "a"]}]},
            "examples[0].x is a list of 2 values, but must be numbers or texts of one kind.",
        ),
        (
            {"examples": [{"age": 1, "sex": "f", "x": 2**63}]},
            "examples[0].x is 9223372036854775808, which is too large for int64.",
        ),
        (
            {"examples": [{"age": 1, "sex": "f", "\ud800": 1}]},
            "examples[0] has a feature whose name is no Unicode text: '\\ud800'.",
        ),
        (
            {"examples": [{}], "signature_name": "serving_default"},
            "signature serving_default is not made for :classify: signature_name can be 'classify'.",
        ),
    ],
)
def test_a_wrong_body_is_refused(given, sentence):
    with pytest.raises(RequestError) as refused:
        asked(given, FEATURES)
    assert (str(refused.value), refused.value.status) == (sentence, 400)


def test_a_model_that_is_not_made_for_it_says_so():
    with pytest.raises(RequestError, match="is not made for :regress: this model has none, so ask :predict"):
        asked({"examples": [{}]}, method="regress")


def test_classes_are_answered_by_pairs_of_label_and_score():
    question = asked({"examples": [{}, {}]})
    labels, scores = np.array([[b"a", b"b"]] * 2, object), np.float32([[0.1, 0.9], [1, 0]])
    answers = [
        json.loads(examples.classes_answer(question, outputs))["results"]
        for outputs in ({"classes": labels, "scores": scores}, {"scores": scores}, {"classes": labels})
    ]
    assert answers[0] == [[["a", 0.1], ["b", 0.9]], [["a", 1.0], ["b", 0.0]]]
    assert answers[1][0] == [["", 0.1], ["", 0.9]]
    assert answers[2][0] == [["a", 0.0], ["b", 0.0]]
    with pytest.raises(RequestError, match="does not answer with classes and scores"):
        examples.classes_answer(question, {"scores": scores[0]})


def test_numbers_are_answered_one_an_example():
    question = asked({"examples": [{}, {}]})
    for outputs in (np.float32([0.1, 2]), np.float32([[0.1], [2]])):
        assert json.loads(examples.numbers_answer(question, {"outputs": outputs})) == {"results": [0.1, 2.0]}
    with pytest.raises(RequestError, match="does not answer with one number a row"):
        examples.numbers_answer(question, {"outputs": np.float32([1])})
