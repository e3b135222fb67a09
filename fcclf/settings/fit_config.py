"""The settings of a fit that is kept as a run: what `fcclf.settings.config.Config` is for a command-line run.

They are the parameters of the estimator, and whatever else is needed to open a fitted one, in the types of JSON: one
class for each estimator. Standard library only: runs are listed without TensorFlow.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

from fcclf.errors import ConfigError
from fcclf.settings import blocks
from fcclf.settings.blocks import Block
from fcclf.settings.run_config import (
    AS_IT_LOOKS,
    CLASSIFICATION,
    LONGEST_PATIENCE,
    MULTILABEL,
    REGRESSION,
    DataShape,
    Format,
    Stopping,
)

HOW = ("max_iter", "verbose", "random_state", "threads", "device")  # same fit: `seed` is what random_state gave
SIZES = "hidden_layer_sizes"  # a tuple, which JSON does not have
CLASS_TYPE = re.compile(r"[a-z]+[0-9]*(\[\w+\])?|[<>|=][US][0-9]{1,6}")  # numpy dtypes; longer ones could fill memory


@dataclass(frozen=True)
class FitConfig:
    """The settings of a fit that all estimators share.

    parameters: {name: value} of the estimator, except `logdir`; class_weight as pairs. seed: of initial weights,
    sample orders, dropout masks and validation split. feature_names: of the columns, None if they have none. samples:
    number of training samples. stack: the network. dtype: of its numbers. score: the name in metrics of what `score`
    returns.
    """

    parameters: dict
    seed: int
    feature_names: tuple[str, ...] | None
    samples: int
    stack: tuple[Block, ...]
    dtype: str = dataclasses.field(default="float32", kw_only=True)

    maker: ClassVar[str]
    score: ClassVar[str]
    named_by: ClassVar[str] = "logdir"
    source: ClassVar[str] = "fit"
    format: ClassVar[Format] = AS_IT_LOOKS
    remedy: ClassVar[str] = "name another logdir, or move this one away to start over."
    loadable: ClassVar[bool] = False
    threads: ClassVar[int] = 1

    @property
    def epochs(self) -> int:
        """Number of epochs asked for."""
        return self.parameters["max_iter"]

    @property
    def stopping(self) -> Stopping:
        """The rule that ends training early or lowers the learning rate."""
        return stopping(self.parameters, self.score)

    def arguments(self) -> dict:
        """{name: value} of the parameters, as the estimator takes them."""
        return {name: tuple(value) if name == SIZES else value for name, value in self.parameters.items()}

    def identity(self) -> dict:
        """{setting: value} of the settings that change the result: two equal identities are the same run."""
        changing = {f"parameters.{name}": value for name, value in self.parameters.items() if name not in HOW}
        others = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "parameters"}
        return changing | others

    def for_display(self) -> dict:
        """{setting: value} of the settings that change the result, for display."""
        changing = {name: value for name, value in self.parameters.items() if name not in HOW}
        return {"data": self.source, **changing, "seed": self.seed}

    def command(self) -> str:
        """The call that makes this run, with a line for each parameter."""
        lines = [f"    {name}={value!r}," for name, value in self.arguments().items()]
        return "\n".join([f"{self.maker}(", *lines, ").fit(X, y)"])

    def to_dict(self) -> dict:
        """The settings as plain dicts and lists, for JSON. `from_dict` reads them back."""
        return {**asdict(self), "stack": [blocks.to_dict(block) for block in self.stack]}

    @classmethod
    def from_dict(cls, stored) -> "FitConfig":
        """The settings that `to_dict` wrote. Numbers and lists may also be those of numpy.

        Raises ConfigError if a setting breaks its rule; the estimator checks the other parameters.
        """
        stored = json.loads(json.dumps(stored, default=lambda value: value.tolist()))
        for name, holds, rule in (*_rules(stored, stored["parameters"]), *cls._own_rules(stored)):
            if not holds:
                raise ConfigError(name, f"is no setting of a fit: it must be {rule}.")
        lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list) and name != "stack"}
        return cls(**stored | lists | {"stack": blocks.checked_stack(stored["stack"])})


@dataclass(frozen=True)
class ClassifierConfig(FitConfig):
    """The settings of a fit of `FCClassifier`. classes, class_type: the labels in order and their numpy dtype.
    multilabel: a sample may have several labels."""

    classes: tuple
    class_type: str
    multilabel: bool = False

    maker: ClassVar[str] = "FCClassifier"
    score: ClassVar[str] = "accuracy"
    logarithms: ClassVar[bool] = False
    highlights: ClassVar[tuple[str, ...]] = ("train_total", "validation_accuracy")

    @property
    def task(self) -> str:
        """What is predicted."""
        return MULTILABEL if self.multilabel else CLASSIFICATION

    def arguments(self) -> dict:
        """{name: value} of the parameters, as the classifier takes them."""
        weights = self.parameters["class_weight"]
        return {**super().arguments(), "class_weight": dict(weights) if isinstance(weights, list) else weights}

    def layers(self, shape: DataShape) -> dict[str, Block]:
        """{scope: block} of the network for data of that shape."""
        return blocks.named(self.stack, shape.n_classes if shape.n_classes > 2 or self.multilabel else 1)

    @classmethod
    def wrote(cls, stored) -> bool:
        """Whether a stored document was made by `to_dict` of this class."""
        return {"parameters", "classes"} <= set(stored)

    @staticmethod
    def _own_rules(stored):
        weights = stored["parameters"]["class_weight"]
        pairs = isinstance(weights, list) and all(isinstance(each, list) and len(each) == 2 for each in weights)
        pairs = pairs and all(_is_label(label) and _is_number(weight) for label, weight in weights)
        yield "class_weight", weights in (None, "balanced") or pairs, "balanced, or pairs of label and weight"
        classes, kind = stored["classes"], stored["class_type"]
        labels = isinstance(classes, list) and len(classes) > 0 and all(map(_is_label, classes))
        yield "classes", labels, "a list of labels"
        yield "multilabel", isinstance(stored.get("multilabel", False), bool), "true or false"
        yield "class_type", isinstance(kind, str) and bool(CLASS_TYPE.fullmatch(kind)), "a type of numpy's"


@dataclass(frozen=True)
class RegressorConfig(FitConfig):
    """The settings of a fit of `FCRegressor`. n_outputs: numbers predicted for each sample."""

    n_outputs: int

    maker: ClassVar[str] = "FCRegressor"
    score: ClassVar[str] = "r2"
    task: ClassVar[str] = REGRESSION
    highlights: ClassVar[tuple[str, ...]] = ("train_total", "train_r2", "validation_r2")

    @property
    def logarithms(self) -> bool:
        """Whether the network's outputs are logarithms of the predicted numbers."""
        return self.parameters["loss"] == "poisson"

    def layers(self, shape: DataShape) -> dict[str, Block]:
        """{scope: block} of the network for data of that shape."""
        return blocks.named(self.stack, shape.n_classes)

    @classmethod
    def wrote(cls, stored) -> bool:
        """Whether a stored document was made by `to_dict` of this class."""
        return {"parameters", "n_outputs"} <= set(stored)

    @staticmethod
    def _own_rules(stored):
        yield "n_outputs", _is_whole(stored["n_outputs"], 1), "a whole number of at least 1"


def stopping(parameters: dict, score: str) -> Stopping:
    """scikit-learn's stopping rule for the parameters of an estimator: by the validation score, or else by the loss."""
    early = parameters["early_stopping"]
    return Stopping(
        metric=f"validation_{score}" if early else "train_total",
        tolerance=parameters["tol"],
        patience=int(min(parameters["n_iter_no_change"], LONGEST_PATIENCE - 1)) + 1,
        rising=early,
        lenient=True,
        slows=parameters["solver"] == "sgd" and parameters["learning_rate"] == "adaptive",
    )


def _rules(stored, parameters) -> Iterator[tuple[str, bool, str]]:
    """Yields (setting, whether its rule holds, the rule) of the settings that are used without the estimator."""
    yield "parameters", isinstance(parameters, dict), "an object of parameters"
    yield "max_iter", _is_whole(parameters["max_iter"], 1), "a whole number of at least 1"
    patience = parameters["n_iter_no_change"]
    yield "n_iter_no_change", _is_number(patience) and patience >= 1, "a number of at least 1"
    yield "early_stopping", isinstance(parameters["early_stopping"], bool), "true or false"
    yield "tol", _is_number(parameters["tol"]), "a number"
    yield SIZES, isinstance(parameters[SIZES], list), "a list of whole numbers"
    for name in ("solver", "learning_rate"):
        yield name, isinstance(parameters[name], str), "a text"
    for name in ("seed", "samples"):
        yield name, _is_whole(stored[name], 0), "a whole number of at least 0"
    yield "dtype", stored.get("dtype", "float32") in ("float32", "float64"), "float32 or float64"
    names = stored["feature_names"]
    named = names is None or (isinstance(names, list) and all(isinstance(each, str) for each in names))
    yield "feature_names", named, "a list of texts, or null"


def _is_whole(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_label(value):
    return isinstance(value, int | float | str)
