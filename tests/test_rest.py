"""TensorFlow Serving's JSON into arrays, and back: what is taken, what is refused with which sentence."""

import json

import numpy as np
import pytest

from fcclf.serving.server import rest
from fcclf.serving.server.signatures import Signature, Spec
from fcclf.serving.server.statuses import RequestError


def spec(dtype, *shape):
    return Spec("t:0", np.dtype(dtype), str(dtype), shape)


X = spec("float32", None, 2)
SIGNATURES = {
    "serving_default": Signature("serving_default", "predict", {"X": X}, {"logits": X}),
    "columns": Signature(
        "columns", "predict", {"age": spec("float64", None), "sex": spec(object, None)}, {"logits": X}
    ),
    "ids": Signature("ids", "predict", {"id": spec("uint8", None)}, {"logits": X}),
    "images": Signature("images", "predict", {"image": spec("float32", None, 2, 3)}, {"logits": X}),
    "lacking": Signature(
        "lacking",
        "predict",
        {"age": spec("float32", None)._replace(missing=True), "sex": spec(object, None)._replace(missing=True)},
        {"logits": X},
    ),
    "flags": Signature("flags", "predict", {"on": spec(bool, None)}, {"logits": X}),
    "scalar": Signature("scalar", "predict", {"x": spec("float32")}, {"y": spec("float32")}),
    "any": Signature("any", "predict", {"x": Spec("t:0", np.dtype("float32"), "float32", None)}, {"y": X}),
}


def asked(body):
    document = rest.parsed(body if isinstance(body, bytes) else json.dumps(body).encode())
    return rest.question(document, SIGNATURES, ("width", "height"))


@pytest.mark.parametrize(
    ("body", "arrays"),
    [
        ({"instances": [[1, 2.5], [3, 4]]}, [[[1, 2.5], [3, 4]]]),
        ({"instances": [{"X": [1, 2]}]}, [[[1, 2]]]),
        ({"inputs": [[1, 2]]}, [[[1, 2]]]),
        ({"inputs": {"X": [[1, 2]]}}, [[[1, 2]]]),
        ({"inputs": [[1, 2]], "signature_name": "", "a key of no meaning": 1}, [[[1, 2]]]),
        ({"signature_name": "columns", "instances": [{"sex": "f", "age": 5}]}, [[5], [b"f"]]),
        (
            {"signature_name": "columns", "inputs": {"sex": ["ä", {"b64": "/w=="}], "age": [5, 6]}},
            [[5, 6], [b"\xc3\xa4", b"\xff"]],
        ),
        (
            {"signature_name": "lacking", "inputs": {"age": [5, None], "sex": [None, "f"]}},
            [[5, np.nan], [b"", b"f"]],
        ),
        ({"signature_name": "ids", "instances": [1, 255]}, [[1, 255]]),
        ({"signature_name": "images", "instances": [[[1, 2, 3], [4, 5, 6]]]}, [[[[1, 2, 3], [4, 5, 6]]]]),
        ({"signature_name": "flags", "instances": [True, False]}, [[True, False]]),
        ({"signature_name": "scalar", "inputs": 3}, [3]),
        ({"signature_name": "any", "instances": [[[1]]]}, [[[[1]]]]),
    ],
)
def test_what_tensorflow_serving_takes_becomes_arrays(body, arrays):
    question = asked(body)
    for array, expected, spec in zip(question.arrays, arrays, question.signature.inputs.values(), strict=True):
        assert array.dtype == spec.dtype
        np.testing.assert_array_equal(array, np.array(expected, spec.dtype))
    assert question.by_rows == ("instances" in body)


def test_rows_are_counted():
    assert asked({"instances": [[1, 2]] * 3}).rows == 3
    assert asked({"inputs": [[1, 2]] * 4}).rows == 4
    assert asked({"signature_name": "scalar", "inputs": 3}).rows == 1


ROW = "but a row of input X is a list of 2 numbers: width, height."
WHOLE = "input X is a list of lists, each a list of 2 numbers: width, height."
TEXT = 'but must be a text, or {"b64": ...} with base64 of its bytes.'
SEND = 'send an object such as {"instances": [...]}.'
ONE_KEY = "the body must have one of the keys instances (rows) and inputs (whole inputs)."
TAKES = "but signature columns takes 2 inputs: give an object with 'age', 'sex'."
IMAGE = "but a row of input image is a list of 2 lists, each a list of 3 numbers."
PROPERTY = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
LISTED = "'any', 'columns', 'flags', 'ids', 'images', 'lacking', 'scalar', 'serving_default'"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", f"the body is not JSON (it is empty): {SEND}"),
        (b"{", f"the body is not JSON ({PROPERTY}): {SEND}"),
        (b"\xff\xfe\xff", "the body is not JSON ("),
        (b"[" * 100_000, "the body is nested too deeply: a value needs as many brackets as its input has axes."),
        (
            b'{"instances": [[NaN, 1]]}',
            "the body has NaN, which is no number in JSON: give null for one that is missing.",
        ),
        (
            b'{"instances": [[-Infinity, 1]]}',
            "the body has -Infinity, which is no number in JSON: leave such rows out.",
        ),
        (b'{"instances": [[1e999, 1]]}', "instances[0][0] is inf, which is too large for float32."),
        (
            b'{"instances": [[' + b"9" * 5000 + b", 1]]}",
            f"the body is not JSON (it has a number of thousands of digits): {SEND}",
        ),
        (
            b'{"instances": [[1, ' + b"9" * 400 + b"]]}",
            f"instances[0][1] is {'9' * 57}..., which is too large for float32.",
        ),
        (b'"text"', "the body is 'text', but must be an object such as {\"instances\": [...]}."),
        ([], 'the body is an empty list, but must be an object such as {"instances": [...]}.'),
        ({}, ONE_KEY),
        ({"instances": [[1, 2]], "inputs": 1}, ONE_KEY),
        ({"instances": []}, "instances is an empty list, but must be a list of one row at least."),
        ({"instances": {"X": [1, 2]}}, "instances is an object, but must be a list of one row at least."),
        ({"instances": [1, 2]}, f"instances[0] is 1, {ROW}"),
        ({"instances": [[1, 2], [3]]}, f"instances[1] is a list of 1 value, {ROW}"),
        ({"instances": [[1, 2], 3]}, f"instances[1] is 3, {ROW}"),
        ({"instances": [[[1, 2]]]}, f"instances[0] is a list of 1 list, each a list of 2 values, {ROW}"),
        ({"instances": [[1, [2]]]}, f"instances[0] is an uneven list, {ROW}"),
        ({"instances": [[1, "2"]]}, "instances[0][1] is '2', but must be a number."),
        ({"instances": [[1, True]]}, "instances[0][1] is true, but must be a number."),
        ({"instances": [[1, None]]}, "instances[0][1] is null, but must be a number."),
        ({"instances": [[1, {}]]}, "instances[0][1] is an object, but must be a number."),
        ({"instances": [[1, 1e39]]}, "instances[0][1] is 1e+39, which is too large for float32."),
        ({"inputs": {"X": [[1, 2], [3, "x"]]}}, "inputs.X[1][1] is 'x', but must be a number."),
        ({"inputs": {"X": [1, 2]}}, f"inputs.X[0] is 1, {ROW}"),
        ({"inputs": {"X": 5}}, f"inputs.X is 5, but {WHOLE}"),
        ({"inputs": {"X": []}}, f"inputs.X is an empty list, but {WHOLE}"),
        (
            {"instances": [{"X": [1, 2]}, [1, 2]]},
            "instances[1] is a list of 2 values, but others are objects: give all in one form.",
        ),
        (
            {"instances": [{"Y": [1, 2]}]},
            "instances[0] lacks 'X' and has 'Y', but serving_default takes 'X': name each of its inputs.",
        ),
        (
            {"instances": [{"age": 1, "sex": "f"}]},
            "instances[0] lacks 'X' and has 'age', 'sex', but serving_default takes 'X': "
            '"signature_name": "columns" takes these.',
        ),
        ({"signature_name": 5}, f"signature_name is 5, but must be a text: one of {LISTED}."),
        ({"signature_name": "none"}, f"there is no signature 'none': signature_name must be one of {LISTED}."),
        ({"signature_name": "columns", "instances": [[1, 2]]}, f"instances are values, {TAKES}"),
        ({"signature_name": "columns", "inputs": [1, 2]}, f"inputs is no object, {TAKES}"),
        ({"signature_name": "columns", "instances": [{"age": 1, "sex": 2}]}, f"instances[0].sex is 2, {TEXT}"),
        (
            {"signature_name": "columns", "instances": [{"age": [1], "sex": "f"}]},
            "instances[0].age is a list of 1 value, but a row of input age is one number.",
        ),
        (
            {"signature_name": "columns", "instances": [{"age": 1, "sex": {"b64": "?"}}]},
            f"instances[0].sex is an object, {TEXT}",
        ),
        (
            {"signature_name": "columns", "instances": [{"age": 1, "sex": "\ud800"}]},
            f"instances[0].sex is '\\ud800', {TEXT}",
        ),
        (
            {"signature_name": "columns", "inputs": {"age": [1], "sex": ["f", "m"]}},
            "inputs have different numbers of rows (age 1, sex 2), but must have as many each.",
        ),
        ({"signature_name": "ids", "instances": [1, 256]}, "instances[1] is 256, but uint8 goes from 0 to 255."),
        ({"signature_name": "ids", "instances": [1.0]}, "instances[0] is 1.0, but must be a whole number."),
        ({"signature_name": "flags", "instances": [1]}, "instances[0] is 1, but must be true or false."),
        ({"signature_name": "images", "instances": [[[1, 2, 3], [4, 5]]]}, f"instances[0] is an uneven list, {IMAGE}"),
    ],
)
def test_a_wrong_body_is_refused_with_its_value_the_rule_and_the_remedy(body, sentence):
    with pytest.raises(RequestError) as refused:
        asked(body)
    assert refused.value.status == 400
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < 300


def test_a_type_that_json_has_not_is_not_implemented():
    signature = Signature("odd", "predict", {"z": Spec("t:0", None, "complex64", (None,))}, {"y": X})
    with pytest.raises(RequestError, match=r"^input z is of type complex64, which JSON cannot give\.$") as refused:
        rest.question({"instances": [1], "signature_name": "odd"}, {"odd": signature})
    assert refused.value.status == 501


def answered(outputs, body):
    return json.loads(rest.answer(asked(body), outputs))


def test_one_output_is_answered_by_its_values_and_several_by_name():
    rows, whole = {"instances": [[1, 2], [3, 4]]}, {"inputs": [[1, 2], [3, 4]]}
    one, two = {"y": np.array([5, 6])}, {"y": np.array([5, 6]), "z": np.array([[True], [False]])}
    assert answered(one, rows) == {"predictions": [5, 6]}
    assert answered(two, rows) == {"predictions": [{"y": 5, "z": [True]}, {"y": 6, "z": [False]}]}
    assert answered(one, whole) == {"outputs": [5, 6]}
    assert answered(two, whole) == {"outputs": {"y": [5, 6], "z": [[True], [False]]}}
    assert answered({"y": np.float32(0.5)}, whole) == {"outputs": 0.5}


def test_an_output_without_rows_cannot_answer_rows():
    with pytest.raises(RequestError, match=r"^output y does not have 1 rows, one for each of instances: use inputs\.$"):
        answered({"y": np.float32(0.5)}, {"instances": [[1, 2]]})


def test_texts_are_texts_and_bytes_base64_by_the_name_of_the_output():
    values = np.array([b"\xc3\xa4", b"\xff"], object)
    assert rest.plain_values("y", values) == ["ä", "\ufffd"]
    assert rest.plain_values("y_bytes", values) == [{"b64": "w6Q="}, {"b64": "/w=="}]


def test_numbers_have_the_digits_of_their_type_and_come_back_to_the_same_bits():
    numbers = np.random.default_rng(0).normal(size=1000).astype(np.float32) ** 9
    listed = rest.plain_values("y", numbers)
    assert max(len(repr(each)) for each in listed) < 16
    np.testing.assert_array_equal(np.array(json.loads(json.dumps(listed)), np.float32), numbers)
    assert rest.plain_values("y", np.float32([0.1, 1e-30])) == [0.1, 1e-30]
    assert rest.plain_values("y", np.float64([0.1])) == [0.1]


def test_an_answer_that_is_no_number_is_written_as_tensorflow_serving_does():
    assert rest.dumped(rest.plain_values("y", np.float32([np.nan, np.inf, -np.inf]))) == b"[NaN,Infinity,-Infinity]\n"
