"""The inputs and outputs that a SavedModel declares: the signatures that its author gave it."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

tf1 = tf.compat.v1

DEFAULT = "serving_default"
INITIAL = "__saved_model_init_op"  # an operation that tf.saved_model.save lists among the signatures
METHODS = {
    tf1.saved_model.signature_constants.PREDICT_METHOD_NAME: "predict",
    tf1.saved_model.signature_constants.CLASSIFY_METHOD_NAME: "classify",
    tf1.saved_model.signature_constants.REGRESS_METHOD_NAME: "regress",
}


class Spec(NamedTuple):
    """One input or output. tensor: its name in the graph; dtype: numpy's, object for strings, None if numpy has none;
    type_name: TensorFlow's; shape: with None for an axis of any length; None for any shape at all. missing: null, which
    becomes NaN or an empty text, may stand for a value."""

    tensor: str
    dtype: np.dtype | None
    type_name: str
    shape: tuple[int | None, ...] | None
    missing: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype == object

    @property
    def is_float(self) -> bool:
        """Whether it holds numbers that can be NaN."""
        return self.dtype is not None and self.dtype.kind == "f"

    @property
    def has_rows(self) -> bool:
        """Whether its first axis may be of any length, so that rows of several requests can be joined."""
        return bool(self.shape) and self.shape[0] is None

    @property
    def row_shape(self) -> tuple[int | None, ...] | None:
        """The shape of one row."""
        return self.shape[1:] if self.shape else None


class Signature(NamedTuple):
    """A signature of a SavedModel. method: "predict", "classify", "regress", or what else its author wrote; inputs,
    outputs: sorted by name."""

    name: str
    method: str
    inputs: dict[str, Spec]
    outputs: dict[str, Spec]

    def with_missing(self, numbers: bool) -> "Signature":
        """The same signature, where texts may be missing, and with `numbers` floats too."""
        may = {name: spec.is_text or (numbers and spec.is_float) for name, spec in self.inputs.items()}
        return self._replace(inputs={name: spec._replace(missing=may[name]) for name, spec in self.inputs.items()})

    @property
    def specs(self) -> list[Spec]:
        """The specs of all inputs and outputs."""
        return [*self.inputs.values(), *self.outputs.values()]

    @property
    def joins(self) -> bool:
        """Whether rows of several requests may be computed together."""
        return bool(self.inputs) and all(spec.has_rows for spec in self.specs)


def signatures(definitions: dict[str, SignatureDef]) -> dict[str, Signature]:
    """{name: signature} of those that can be called, whose inputs and outputs are plain tensors. Raises ValueError if
    there are none."""
    known = {name: _signature(name, each) for name, each in definitions.items() if name != INITIAL}
    found = {name: each for name, each in known.items() if each.outputs and all(spec.tensor for spec in each.specs)}
    if not found:
        raise ValueError("it has no signature that could be asked")
    return found


def _signature(name, definition):
    sides = [{key: _spec(side[key]) for key in sorted(side)} for side in (definition.inputs, definition.outputs)]
    return Signature(name, METHODS.get(definition.method_name, definition.method_name), *sides)


def _spec(info):
    dtype = tf.dtypes.as_dtype(info.dtype)
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    known = dtype == tf.string or dtype.is_bool or dtype.is_integer or dtype.is_floating
    return Spec(info.name, np.dtype(dtype.as_numpy_dtype) if known else None, dtype.name, shape)
