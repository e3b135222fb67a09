"""TensorFlow Serving's REST protocol, as functions: JSON of `:classify` and `:regress`, which take tf.Example.

A whole number becomes an int64 feature and a decimal one a float feature, as in TensorFlow Serving; if the model says
what its features are, whole numbers may stand for floats, and null for a value if some may be missing.
"""

import math
from typing import NamedTuple

import numpy as np
from tensorflow.core.example.example_pb2 import Example
from tensorflow.core.example.feature_pb2 import Feature

from fcclf.serving.server import rest
from fcclf.serving.server.rest import Question, described, listed
from fcclf.serving.server.signatures import DEFAULT, Signature
from fcclf.serving.server.statuses import RequestError
from fcclf.settings.fields import brief

INT64 = np.iinfo(np.int64)


class Wanted(NamedTuple):
    """What a feature must be. text: texts, not numbers; count: how many values; missing: some may be null."""

    text: bool
    count: int
    missing: bool = False


Features = dict[str, Wanted]


def question(document: dict, signatures: dict[str, Signature], method: str, features: Features | None) -> Question:
    """The question in the body of a classify or a regress request. features: what the model takes, if that is known.

    Without a signature_name, and if `serving_default` has another method, the only signature of this method is meant.
    Raises RequestError.
    """
    signature = _of_method(document, signatures, method)
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples:
        raise RequestError(f"examples is {described(examples)}, but must be a list of one object at least.")
    context = _features(document.get("context", {}), "context", {})
    serialized = np.empty(len(examples), object)
    for number, each in enumerate(examples):
        given = _features(each, f"examples[{number}]", context)
        serialized[number] = _example(given, f"examples[{number}]", features).SerializeToString(deterministic=True)
    return Question(signature, [serialized], len(examples))


def _of_method(document, signatures, method):
    fitting = {name: each for name, each in signatures.items() if each.method == method}
    if not document.get("signature_name") and DEFAULT not in fitting and len(fitting) == 1:
        return next(iter(fitting.values()))
    signature = rest.chosen(document, signatures)
    if signature.name not in fitting:
        others = f"signature_name can be {listed(fitting)}" if fitting else "this model has none, so ask :predict"
        raise RequestError(f"signature {signature.name} is not made for :{method}: {others}.")
    spec = next(iter(signature.inputs.values()), None)
    if len(signature.inputs) != 1 or not spec.is_text:
        raise RequestError(
            f"signature {signature.name} does not take tf.Example alone, as :{method} wants: ask :predict."
        )
    return signature


def _features(given, where, context):
    if not isinstance(given, dict):
        raise RequestError(f"{where} is {described(given)}, but must be an object of features.")
    twice = context.keys() & given.keys()
    if twice:
        raise RequestError(f"{where} has {listed(twice)}, which context has too: give each feature once.")
    return {**context, **given}


def _example(given, where, features):
    for name in features or ():
        if name not in given:
            raise RequestError(f"{where} lacks {brief(name)}: its features are {listed(features)}.")
    example = Example()
    for name, value in given.items():
        feature = example.features.feature[_encodable(name, where)]
        _fill(feature, value if isinstance(value, list) else [value], f"{where}.{name}", (features or {}).get(name))
    return example


def _encodable(name, where):
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RequestError(f"{where} has a feature whose name is no Unicode text: {brief(name)}.") from None
    return name


def _fill(feature: Feature, values, place, wanted: Wanted | None):
    """Fills a feature with values. wanted: None if it is not known what the feature must be."""
    if wanted and wanted.missing:
        stands_for = "" if wanted.text else math.nan
        values = [stands_for if each is None else each for each in values]
    kinds = set(map(type, values))
    if wanted and len(values) != wanted.count:
        raise RequestError(f"{place} has {len(values)} values, but must have {wanted.count}.")
    if kinds <= {str, dict}:
        if wanted and not wanted.text:
            raise RequestError(f"{place} is {described(values[0])}, but must be a number.")
        feature.bytes_list.value.extend(_bytes(each, place) for each in values)
    elif not kinds <= {bool, int, float} or (wanted and (wanted.text or bool in kinds)):
        rule = "a text" if wanted and wanted.text else "a number" if wanted else "numbers or texts of one kind"
        raise RequestError(f"{place} is {described(values[0] if len(values) == 1 else values)}, but must be {rule}.")
    elif float in kinds or wanted:
        feature.float_list.value.extend(_floats(values, place))
    else:
        feature.int64_list.value.extend(_integers(values, place))


def _bytes(value, place):
    found = rest.text_bytes(value)
    if found is None:
        raise RequestError(
            f'{place} is {described(value)}, but must be a text, or {{"b64": ...}} with base64 of its bytes.'
        )
    return found


def _floats(values, place):
    largest = float(np.finfo(np.float32).max)
    for each in values:
        if abs(each) > largest:  # NaN stands for a missing number
            raise RequestError(f"{place} is {brief(each)}, which is too large for float32.")
    return map(float, values)


def _integers(values, place):
    for each in values:
        if not INT64.min <= each <= INT64.max:
            raise RequestError(f"{place} is {brief(each)}, which is too large for int64.")
    return map(int, values)


# ---- answers ---------------------------------------------------------------------------------------------------------


def classes_answer(asked: Question, outputs: dict[str, np.ndarray]) -> bytes:
    """The JSON that answers a classify request: for each example, pairs of label and score. Raises RequestError."""
    given = [outputs.get("classes"), outputs.get("scores")]
    known = [each for each in given if each is not None]
    if not known or any(each.ndim != 2 or len(each) != asked.rows for each in known):
        raise RequestError(f"signature {asked.signature.name} does not answer with classes and scores: ask :predict.")
    empty = np.full(known[0].shape, b"", object), np.zeros(known[0].shape, np.float32)
    labels, scores = (
        rest.plain_values(name, other if each is None else each)
        for name, each, other in zip(("classes", "scores"), given, empty, strict=True)
    )
    pairs = [list(map(list, zip(*row, strict=True))) for row in zip(labels, scores, strict=True)]
    return rest.dumped({"results": pairs})


def numbers_answer(asked: Question, outputs: dict[str, np.ndarray]) -> bytes:
    """The JSON that answers a regress request: a number for each example. Raises RequestError."""
    found = outputs.get("outputs")
    if found is None or found.size != asked.rows or found.dtype == object:
        raise RequestError(f"signature {asked.signature.name} does not answer with one number a row: ask :predict.")
    return rest.dumped({"results": rest.plain_values("outputs", found.ravel())})
