"""The settings of a network: those of the common case (`Model`), or a list of blocks (`Stack`), as presets are."""

import dataclasses
import hashlib
import typing
from dataclasses import dataclass

from fcclf.errors import ConfigError
from fcclf.settings import blocks, presets
from fcclf.settings.blocks import (
    ACTIVATIONS,
    BIAS_INITIALIZERS,
    INITIALIZERS,
    OVER,
    Activation,
    AlphaDropout,
    BatchNorm,
    Block,
    Dense,
    Dropout,
    Encode,
    Fill,
    Standardize,
)
from fcclf.settings.fields import Section, setting
from fcclf.settings.presets import PRESETS
from fcclf.settings.run_config import DataShape


@dataclass(frozen=True)
class Model(Section):
    """A network of the common kind: hidden dense layers that are alike, then a linear output. A setting that is None
    takes a default that fits the data."""

    hidden: tuple[int, ...] | None = setting(
        None,
        "units of each hidden layer; none: a linear classifier (default: 6 4, for the classes of a table 32 16)",
        at_least=1,
        at_most=65536,
        metavar="UNITS",
    )
    activation: str = setting("elu", "activation of the hidden layers", choices=ACTIVATIONS)
    initializer: str = setting("he_normal", "initial distribution of the kernels", choices=INITIALIZERS)
    bias_initializer: str = setting("zeros", "initial distribution of the biases", choices=BIAS_INITIALIZERS)
    l1: float = setting(0.0, "L1 penalty on every kernel", at_least=0, at_most=1e6)
    l2: float = setting(
        1e-3, "L2 penalty on every kernel: adds l2 * sum(kernel^2) / 2 to the loss", at_least=0, at_most=1e6
    )
    batch_norm: str = setting(
        "none", "normalise batches before or after each hidden activation", choices=("none", "before", "after")
    )
    dropout: float = setting(0.0, "share that is dropped after each hidden layer", at_least=0, below=1)
    alpha_dropout: float = setting(0.0, "the same, as SELU needs it", at_least=0, below=1)
    standardize: str | None = setting(
        None,
        "bring the data to mean 0 and deviation 1, by feature or all together (default: of a table features, else "
        "none)",
        choices=("none", *OVER),
    )

    common: typing.ClassVar[dict] = {"hidden": (6, 4), "standardize": "none"}
    preset_defaults: typing.ClassVar[dict] = {}

    @property
    def layers(self) -> tuple[Block, ...]:
        """The stack of blocks that these settings describe."""
        if None in (self.hidden, self.standardize):
            return self.with_defaults({}).layers
        first = () if self.standardize == "none" else (Standardize(self.standardize),)
        hidden = [block for units in self.hidden for block in self._hidden(units)]
        return (*first, *hidden, self._dense(None, "identity", True))

    def with_defaults(self, defaults: dict) -> "Model":
        """A copy with values for settings that are None: those in `defaults`, {setting: value}, else common ones."""
        values = {**self.common, **defaults}
        return dataclasses.replace(self, **{name: values[name] for name in values if getattr(self, name) is None})

    def _dense(self, units, activation, use_bias):
        return Dense(units, activation, self.initializer, self.l1, self.l2, use_bias, self.bias_initializer)

    def _hidden(self, units):
        activation = "identity" if self.batch_norm == "before" else self.activation
        yield self._dense(units, activation, use_bias=self.batch_norm != "before")
        if self.batch_norm != "none":
            yield BatchNorm()
        if self.batch_norm == "before":
            yield Activation(self.activation)
        if self.dropout:
            yield Dropout(self.dropout)
        if self.alpha_dropout:
            yield AlphaDropout(self.alpha_dropout)


@dataclass(frozen=True)
class Stack(Section):
    """A network given block by block. layers: as `fcclf.settings.blocks` describes them; default: those of the preset.

    A run stores its layers, so it keeps them if a later release changes the preset of that name.
    """

    preset: str | None = setting(None, "network and training settings by name", choices=tuple(PRESETS), metavar="NAME")
    layers: tuple[Block, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        layers = self.layers or (PRESETS[self.preset].layers if self.preset else ())
        object.__setattr__(self, "layers", blocks.checked_stack(layers))

    def with_defaults(self, defaults: dict) -> "Stack":
        """The stack itself, which has no settings to fill in."""
        return self

    @property
    def preset_defaults(self) -> dict:
        """{setting: value} that replace defaults of training and session for the preset."""
        return {**PRESETS[self.preset].training, **presets.SESSION} if self.preset else {}

    @property
    def title(self) -> str:
        """The preset's name, or one made of the layers."""
        return self.preset or "stack-" + hashlib.sha256(repr(self.layers).encode()).hexdigest()[:6]

    def name_parts(self, defaults):
        return [self.title]

    def to_dict(self):
        return {"preset": self.preset, "layers": [blocks.to_dict(block) for block in self.layers]}


def named_layers(model: Model | Stack, shape: DataShape) -> dict[str, Block]:
    """{scope: block} of the network for data of that shape. Raises ConfigError if a layer does not fit its input."""
    named = blocks.named(_fitting(model.layers, shape), shape.n_classes)
    blocks.check_shapes(named, shape.n_features)
    return named


def _fitting(stack, shape):
    """The stack with the blocks that the data need: `Fill` before all others, `Encode` after `Standardize`."""
    first = (Fill(),) if shape.missing else ()
    if not shape.categories:
        return (*first, *stack)
    standardized = int(isinstance(stack[0], Standardize))
    if standardized and stack[0].over == "all":
        raise ConfigError("standardize", "is all, but some columns are categories, not numbers: use features.")
    return (*first, *stack[:standardized], Encode(shape.categories), *stack[standardized:])
