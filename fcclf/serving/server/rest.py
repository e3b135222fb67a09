"""TensorFlow Serving's REST protocol, as functions: JSON of `:predict` into arrays, and arrays into JSON.

`instances` holds rows, `inputs` holds whole inputs; the answer comes in the same form. Some wrong bodies, which
TensorFlow Serving may leave to the graph or accept, are refused here with a sentence: uneven lists, shapes that do not
fit the signature, numbers that the type cannot hold, NaN and Infinity, names that are not inputs. What else it accepts
is accepted, and the keys that it ignores are ignored. null is accepted where values may be missing.
"""

import base64
import binascii
import itertools
import json
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fcclf.serving.server.signatures import DEFAULT, Signature, Spec
from fcclf.serving.server.statuses import NOT_IMPLEMENTED, RequestError
from fcclf.settings.fields import brief

MOST_NAMES, DEEPEST = 8, 4  # largest numbers of names, and of levels of nested lists, in a sentence


class Question(NamedTuple):
    """What a request asks. arrays: one for each input of the signature, in its order; rows: number of rows in each;
    by_rows: asked by `instances`, to be answered by `predictions`."""

    signature: Signature
    arrays: list[np.ndarray]
    rows: int
    by_rows: bool = True


def parsed(body: bytes) -> dict:
    """The JSON object in a body. Raises RequestError."""
    try:
        document = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise RequestError(
            "the body is nested too deeply: a value needs as many brackets as its input has axes."
        ) from None
    except ValueError as error:
        reason = str(error) if body.strip() else "it is empty"
        reason = "it has a number of thousands of digits" if "int_max_str_digits" in reason else reason
        raise RequestError(f'the body is not JSON ({reason}): send an object such as {{"instances": [...]}}.') from None
    if not isinstance(document, dict):
        raise RequestError(f'the body is {described(document)}, but must be an object such as {{"instances": [...]}}.')
    return document


def _no_number(token):
    remedy = "give null for one that is missing" if token == "NaN" else "leave such rows out"
    raise RequestError(f"the body has {token}, which is no number in JSON: {remedy}.")


def chosen(document: dict, signatures: dict[str, Signature]) -> Signature:
    """The signature that a request names. Raises RequestError if there is none with that name."""
    name = document.get("signature_name") or DEFAULT
    if not isinstance(name, str):
        raise RequestError(f"signature_name is {described(name)}, but must be a text: one of {listed(signatures)}.")
    if name not in signatures:
        raise RequestError(f"there is no signature {brief(name)}: signature_name must be one of {listed(signatures)}.")
    return signatures[name]


def question(document: dict, signatures: dict[str, Signature], features: tuple[str, ...] = ()) -> Question:
    """The question in the body of a predict request. features: the names of the features of X, for sentences. Raises
    RequestError."""
    signature = chosen(document, signatures)
    if ("instances" in document) == ("inputs" in document):
        raise RequestError("the body must have one of the keys instances (rows) and inputs (whole inputs).")
    if "instances" in document:
        arrays = _of_rows(document["instances"], signature, signatures, features)
        rows = len(document["instances"])
    else:
        arrays = _of_inputs(document["inputs"], signature, signatures, features)
        rows = _count(signature, arrays)
    return Question(signature, arrays, rows, "instances" in document)


def _of_rows(instances, signature, signatures, features):
    if not isinstance(instances, list) or not instances:
        raise RequestError(f"instances is {described(instances)}, but must be a list of one row at least.")
    inputs = signature.inputs
    if not any(map(_is_object, instances)):
        name = _only_input(signature, "instances are values")
        return [_array(instances, inputs[name], lambda *at: _place("instances", *at), name, features)]
    for number, each in enumerate(instances):
        if not _is_object(each):
            raise RequestError(
                f"instances[{number}] is {described(each)}, but others are objects: give all in one form."
            )
        _check_names(each, signature, f"instances[{number}]", signatures)

    def at(name):
        return lambda number=None, *rest: _place(f"instances[{'' if number is None else number}].{name}", *rest)

    return [_array([each[name] for each in instances], inputs[name], at(name), name, features) for name in inputs]


def _of_inputs(given, signature, signatures, features):
    if not _is_object(given):
        given = {_only_input(signature, "inputs is no object"): given}
    _check_names(given, signature, "inputs", signatures)
    return [
        _array(given[name], spec, lambda *at, name=name: _place(f"inputs.{name}", *at), name, features)
        for name, spec in signature.inputs.items()
    ]


def _only_input(signature, found):
    if len(signature.inputs) != 1:
        raise RequestError(
            f"{found}, but signature {signature.name} takes {len(signature.inputs)} inputs: give an object with "
            f"{listed(signature.inputs)}."
        )
    return next(iter(signature.inputs))


def _check_names(given, signature, where, signatures):
    missing, extra = (listed(names) for names in (signature.inputs.keys() - given, given.keys() - signature.inputs))
    if missing or extra:
        wrong = " and ".join(filter(None, [missing and f"lacks {missing}", extra and f"has {extra}"]))
        meant = [name for name, each in signatures.items() if each.inputs.keys() == given.keys()]
        remedy = f'"signature_name": "{meant[0]}" takes these' if meant else "name each of its inputs"
        raise RequestError(f"{where} {wrong}, but {signature.name} takes {listed(signature.inputs)}: {remedy}.")


def _count(signature, arrays):
    """Number of rows in arrays. Raises RequestError if it differs between them although the signature requires equal
    numbers."""
    counts = {name: len(array) if array.ndim else 1 for name, array in zip(signature.inputs, arrays, strict=True)}
    if signature.joins and len(set(counts.values())) > 1:
        written = ", ".join(f"{name} {count}" for name, count in itertools.islice(counts.items(), MOST_NAMES))
        raise RequestError(f"inputs have different numbers of rows ({written}), but must have as many each.")
    return max(counts.values(), default=1)


# ---- values ----------------------------------------------------------------------------------------------------------


def _array(value, spec: Spec, place: Callable[..., str], name, features=()) -> np.ndarray:
    """`value` in the type and shape of an input. place(*indices): the name of a place in it."""
    if spec.dtype is None:
        raise RequestError(f"input {name} is of type {spec.type_name}, which JSON cannot give.", NOT_IMPLEMENTED)
    found = _leaves(value)
    if found is None or not _fits(found[0], spec.shape):
        raise RequestError(_misfit(value, spec, place, name, features))
    shape, leaves = found
    converted = _converted(leaves, spec, lambda index: place(*map(int, np.unravel_index(index, shape))))
    return converted.reshape(shape)


def _leaves(value):
    """(shape, all values in order) of nested lists, or None if they are uneven."""
    shape, level = [], [value]
    while level and list in (types := set(map(type, level))):
        lengths = set(map(len, level)) if types == {list} else ()
        if len(lengths) != 1:
            return None
        shape += lengths
        level = list(itertools.chain.from_iterable(level))
    return tuple(shape), level


def _fits(shape, rule):
    return rule is None or (
        len(shape) == len(rule) and all(each in (length, None) for length, each in zip(shape, rule, strict=True))
    )


def _misfit(value, spec, place, name, features):
    """A sentence on what is wrong with the shape of a value: of its first row that does not fit, if there is one."""
    remedy = f": {', '.join(features)}" if spec.shape == (None, len(features)) and len(features) <= MOST_NAMES else ""
    if isinstance(value, list) and spec.shape:
        for number, row in enumerate(value):
            found = _leaves(row)
            if found is None or not _fits(found[0], spec.row_shape):
                rule = _written(spec.row_shape, spec)
                return f"{place(number)} is {described(row)}, but a row of input {name} is {rule}{remedy}."
    return f"{place()} is {described(value)}, but input {name} is {_written(spec.shape, spec)}{remedy}."


def _converted(leaves, spec, place):
    dtype = spec.dtype
    if spec.missing:
        stands_for = "" if spec.is_text else math.nan
        leaves = [stands_for if each is None else each for each in leaves]
    if dtype.kind == "O":
        return _texts(leaves, place)
    if dtype.kind == "b":
        return np.array(_checked(leaves, {bool}, "true or false", place), bool)
    if dtype.kind in "iu":
        return _whole_numbers(_checked(leaves, {int}, "a whole number", place), dtype, place)
    return _numbers(_checked(leaves, {int, float}, "a number", place), dtype, place)


def _checked(leaves, kinds, noun, place):
    if not set(map(type, leaves)) <= kinds:
        index, bad = next((index, each) for index, each in enumerate(leaves) if type(each) not in kinds)
        raise RequestError(f"{place(index)} is {described(bad)}, but must be {noun}.")
    return leaves


def _whole_numbers(leaves, dtype, place):
    info = np.iinfo(dtype)
    if leaves and (min(leaves) < info.min or max(leaves) > info.max):
        index = next(index for index, each in enumerate(leaves) if not info.min <= each <= info.max)
        raise RequestError(f"{place(index)} is {brief(leaves[index])}, but {dtype} goes from {info.min} to {info.max}.")
    return np.array(leaves, dtype)


def _numbers(leaves, dtype, place):
    try:
        numbers = np.array(leaves, np.float64)
    except OverflowError:
        numbers = np.array([_number(each) for each in leaves])
    with np.errstate(over="ignore"):
        cast = numbers.astype(dtype)
    infinite = np.isinf(cast.astype(np.float64))  # NaN stands for a missing number
    if infinite.any():
        index = int(np.argmax(infinite))
        raise RequestError(f"{place(index)} is {brief(leaves[index])}, which is too large for {dtype}.")
    return cast


def _number(value):
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _texts(leaves, place):
    texts = np.empty(len(leaves), object)
    for index, each in enumerate(leaves):
        texts[index] = text_bytes(each)
        if texts[index] is None:
            rule = 'must be a text, or {"b64": ...} with base64 of its bytes'
            raise RequestError(f"{place(index)} is {described(each)}, but {rule}.")
    return texts


def text_bytes(value) -> bytes | None:
    """The bytes that a JSON string, or an object of base64, stands for; None for any other value."""
    try:
        if _is_base64(value):
            code = value["b64"]
            return base64.b64decode(code + "=" * (-len(code) % 4), validate=True)
        return value.encode() if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        return None


def _is_base64(value):
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_object(value):
    return isinstance(value, dict) and not _is_base64(value)


# ---- words -----------------------------------------------------------------------------------------------------------


def described(value) -> str:
    """A phrase for a JSON value, for use in a sentence."""
    if isinstance(value, list):
        found = _leaves(value)
        if not value or found is None:
            return "an uneven list" if value else "an empty list"
        shape, leaves = found
        if len(shape) > DEEPEST:
            return f"a list that is nested {len(shape)} deep"
        return _sized(shape, "value" if leaves else "list")
    if isinstance(value, dict):
        return "an object"
    return json.dumps(value) if value is None or isinstance(value, bool) else brief(value)


def _written(shape, spec):
    """A phrase for a shape."""
    noun = "text" if spec.is_text else "number"
    return _sized(shape, noun) if shape else f"one {noun}"


def _sized(shape, noun):
    counted = [("" if length is None else f"{length} ") for length in shape]
    nouns = [*["list"] * (len(shape) - 1), noun]
    lists = [
        f"a list of {count}{each}{'' if count == '1 ' else 's'}" for count, each in zip(counted, nouns, strict=True)
    ]
    return ", each ".join(lists)


def _place(name, *indices):
    return name + "".join(f"[{index}]" for index in indices)


def listed(names: Iterable[str]) -> str:
    """Names in order, in quotes, at most MOST_NAMES of them."""
    names = sorted(names)
    shown = ", ".join(map(brief, names[:MOST_NAMES]))
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


# ---- answers ---------------------------------------------------------------------------------------------------------


def answer(asked: Question, outputs: dict[str, np.ndarray]) -> bytes:
    """The JSON that answers a predict request. Raises RequestError if rows were asked for and an output does not have
    them."""
    if not asked.by_rows:
        values = {name: plain_values(name, array) for name, array in outputs.items()}
        return dumped({"outputs": next(iter(values.values())) if len(values) == 1 else values})
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != asked.rows:
            raise RequestError(f"output {name} does not have {asked.rows} rows, one for each of instances: use inputs.")
    columns = [plain_values(name, array) for name, array in outputs.items()]
    if len(columns) == 1:
        return dumped({"predictions": columns[0]})
    return dumped({"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]})


def plain_values(name: str, array: np.ndarray):
    """An array as JSON values: numbers with as few digits as distinguish them from their neighbours in their own type;
    strings as text, or as base64 if the name of the output ends in _bytes."""
    if array.dtype == object:
        values = np.empty(array.size, object)
        for index, each in enumerate(array.ravel()):
            values[index] = _plain_text(each, name.endswith("_bytes"))
        return values.reshape(array.shape).tolist()
    if array.dtype.kind in "iub" or array.dtype == np.float64:
        return array.tolist()
    return array.astype(np.float32).astype(str).astype(np.float64).tolist()


def _plain_text(value, as_bytes):
    if as_bytes:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def dumped(document) -> bytes:
    """Compact JSON that ends with a newline, for terminals."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
