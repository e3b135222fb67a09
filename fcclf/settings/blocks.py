"""The building blocks of a network, as data: what each one computes, its variables and their shapes.

A model is a tuple of blocks from the samples to the logits; the last is a `Dense` without units, which gets as many as
the classes need. `fcclf.network.layers` builds the operations. Shapes are those of one sample: (features,), or
(height, width, channels). Standard library only, so that a stack can be checked and summarised without TensorFlow.
"""

import dataclasses
import math
import typing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from fcclf.errors import ConfigError
from fcclf.settings.fields import Section, brief, required, setting

ACTIVATIONS = ("elu", "relu", "leaky_relu", "selu", "tanh", "sigmoid", "softplus", "gelu", "swish", "identity")
BIAS_INITIALIZERS = ("zeros", "uniform")  # uniform: within the limits of glorot_uniform for the kernel
INITIALIZERS = (
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "truncated_normal",
    "inverse_sqrt_uniform",
)

OVER, MISSING = ("features", "all"), "missing"
MOST_ONE_HOT, MOST_CATEGORIES = 20, 1000  # texts of a column, at most: to be encoded one-hot, and at all
DEEPEST = 8  # levels of nested blocks, at most

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Block(Section):
    """The base class of layers: what other code needs to know of a layer to build, draw or measure it.

    label: its scope without the number that follows. phased: it behaves differently in training than in prediction.
    compiles: XLA does not make it slower on CPUs. has_units: its outputs are those of units. over: which statistics of
    the training data it needs, "features" (of each feature), "all" (of all features together) or "missing" (what
    replaces missing numbers); None: none. l1, l2: penalties on its kernel. layers: the nested blocks that it was given;
    `branches` returns all of them.
    """

    label: typing.ClassVar[str]
    phased: typing.ClassVar[bool] = False
    compiles: typing.ClassVar[bool] = True
    has_units: typing.ClassVar[bool] = False
    over = None
    l1 = l2 = 0.0  # not annotated, so that a field of that name in a subclass keeps its position
    layers = ()

    def __post_init__(self):
        super().__post_init__()
        if any(item.name == "layers" for item in dataclasses.fields(self)):
            object.__setattr__(self, "layers", _inside(self.layers, type(self).__name__))

    def branches(self, shape: Shape) -> "tuple[dict[str, Block], ...]":
        """The stacks inside this block, {scope: block} each. shape: of its input, which goes into every stack."""
        return ()

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of one output sample. shape: of one input sample; raises ConfigError if it does not fit."""
        return shape

    def trained(self, shape: Shape) -> dict[str, Shape]:
        """{name: shape} of the variables that the optimizer trains. shape: of one input sample."""
        return {}

    def statistics(self, shape: Shape) -> dict[str, Shape]:
        """{name: shape} of the variables that are measured, not trained."""
        return {}

    def initial(self, name: str) -> str:
        """The initial distribution of a variable: an entry of INITIALIZERS or BIAS_INITIALIZERS, or "ones"."""
        if name in ("kernel", "bias"):
            return self.initializer if name == "kernel" else self.bias_initializer
        return "ones" if name in ("gamma", "moving_variance", "stddev") else "zeros"

    def without_penalties(self) -> "Block":
        """A copy of the block with l1 and l2 of 0, nested blocks included."""
        names = {item.name for item in dataclasses.fields(self)}
        changes = {name: 0.0 for name in ("l1", "l2") if name in names}
        if self.layers:
            changes["layers"] = tuple(block.without_penalties() for block in self.layers)
        return dataclasses.replace(self, **changes)

    def refuse(self, shape, rule):
        """The error for a shape that does not fit."""
        return ConfigError("model", f"has {type(self).__name__} after shape {written(shape)}, but {rule}")


# ---- with weights ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense(Block):
    """activation(inputs @ kernel + bias); penalties l1 * sum(|kernel|) and l2 * sum(kernel^2) / 2."""

    units: int | None = setting(
        None, "outputs; null: as the classes need, for the last layer", at_least=1, at_most=1_000_000
    )
    activation: str = setting("identity", "activation", choices=ACTIVATIONS)
    initializer: str = setting("he_normal", "initial distribution of the kernel", choices=INITIALIZERS)
    l1: float = setting(0.0, "L1 penalty on the kernel", at_least=0, at_most=1e6)
    l2: float = setting(0.0, "L2 penalty on the kernel", at_least=0, at_most=1e6)
    use_bias: bool = setting(True, "add a bias")
    bias_initializer: str = setting("zeros", "initial distribution of the bias", choices=BIAS_INITIALIZERS)

    label: typing.ClassVar[str] = "fc"
    has_units: typing.ClassVar[bool] = True

    def output_shape(self, shape):
        if len(shape) != 1:
            raise self.refuse(shape, "it takes flat samples: put Flatten before it.")
        return (self.units,)

    def trained(self, shape):
        bias = {"bias": (self.units,)} if self.use_bias else {}
        return {"kernel": (*shape, self.units), **bias}


@dataclass(frozen=True)
class Conv2D(Block):
    """activation(convolution with square kernels + bias); penalties as for `Dense`."""

    filters: int = required("channels that come out", at_least=1, at_most=65536)
    size: int = setting(3, "height and width of the kernels", at_least=1, at_most=1024)
    strides: int = setting(1, "pixels from one place to the next", at_least=1, at_most=1024)
    padding: str = setting("same", "zeros around the image (same), or none (valid)", choices=("same", "valid"))
    activation: str = setting("identity", "activation", choices=ACTIVATIONS)
    initializer: str = setting("he_normal", "initial distribution of the kernel", choices=INITIALIZERS)
    l1: float = setting(0.0, "L1 penalty on the kernel", at_least=0, at_most=1e6)
    l2: float = setting(0.0, "L2 penalty on the kernel", at_least=0, at_most=1e6)
    use_bias: bool = setting(True, "add a bias")

    bias_initializer: typing.ClassVar[str] = "zeros"
    label: typing.ClassVar[str] = "conv"
    compiles: typing.ClassVar[bool] = False  # XLA makes it ten times slower

    def output_shape(self, shape):
        return *_places(self, shape, self.padding), self.filters

    def trained(self, shape):
        bias = {"bias": (self.filters,)} if self.use_bias else {}
        return {"kernel": (self.size, self.size, shape[-1], self.filters), **bias}


@dataclass(frozen=True)
class BatchNorm(Block):
    """Brings each feature, or channel, of a batch to mean 0 and variance 1, then scales and shifts it (Ioffe and
    Szegedy 2015). Prediction uses moving means of the batches' means and (biased) variances instead."""

    momentum: float = setting(0.99, "share of the moving means that stays each step", at_least=0, below=1)
    epsilon: float = setting(1e-3, "added to the variance", above=0, at_most=1e3)
    center: bool = setting(True, "shift by a trained beta")
    scale: bool = setting(True, "scale by a trained gamma")

    label: typing.ClassVar[str] = "bn"
    phased: typing.ClassVar[bool] = True

    def trained(self, shape):
        return {name: shape[-1:] for name, used in (("gamma", self.scale), ("beta", self.center)) if used}

    def statistics(self, shape):
        return {"moving_mean": shape[-1:], "moving_variance": shape[-1:]}


@dataclass(frozen=True)
class Standardize(Block):
    """(inputs - mean) / standard deviation of the training data; the first layer. A constant feature becomes 0."""

    over: str = setting("features", "one mean and deviation for each feature, or for all together", choices=OVER)

    label: typing.ClassVar[str] = "standardize"

    def statistics(self, shape):
        of = shape if self.over == "features" else ()
        return {"mean": of, "stddev": of}


@dataclass(frozen=True)
class Fill(Block):
    """Replaces missing numbers (NaN) by the mean of their column in the training data, and missing categories by -1,
    which is no category. It is added as the first layer if the data lack numbers; a stack does not list it."""

    label: typing.ClassVar[str] = "fill"
    over: typing.ClassVar[str] = MISSING

    def statistics(self, shape):
        return {"fill": shape}


@dataclass(frozen=True)
class Encode(Block):
    """Encodes columns of categories, given as indices from 0, as one-hot vectors, or as embeddings if they have more
    than MOST_ONE_HOT categories. The encoded columns follow those of numbers. Any other index, such as that of an
    unknown text, becomes zeros. The block is added if the data have categories; a stack does not list it.

    categories: number of categories of each column, 0 for a column of numbers.
    """

    categories: tuple[int, ...] = ()

    label: typing.ClassVar[str] = "encode"

    @staticmethod
    def width(categories: int) -> int:
        """Number of outputs of a column: one for each category, or the length of an embedding; 1 for numbers."""
        return max(1, categories) if categories <= MOST_ONE_HOT else math.ceil(categories**0.5)

    def output_shape(self, shape):
        if len(shape) != 1 or shape[0] != len(self.categories):
            raise self.refuse(shape, f"it takes {len(self.categories)} columns.")
        return (sum(map(self.width, self.categories)),)

    def trained(self, shape):
        many = {column: count for column, count in enumerate(self.categories) if count > MOST_ONE_HOT}
        return {f"embedding{column + 1}": (count, self.width(count)) for column, count in many.items()}

    def initial(self, name):
        return "truncated_normal"


# ---- without weights -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activation(Block):
    """An activation on its own, such as after `BatchNorm`."""

    function: str = setting("relu", "activation", choices=ACTIVATIONS)

    label: typing.ClassVar[str] = "activation"
    has_units: typing.ClassVar[bool] = True


@dataclass(frozen=True)
class Dropout(Block):
    """In training: zeroes a share of the inputs and scales the others up (Srivastava et al. 2014)."""

    rate: float = setting(0.5, "share that is dropped", at_least=0, below=1)

    label: typing.ClassVar[str] = "dropout"
    phased: typing.ClassVar[bool] = True


@dataclass(frozen=True)
class AlphaDropout(Block):
    """In training: sets a share of the inputs to SELU's lower limit, then rescales all: mean and variance stay the same
    (Klambauer et al. 2017)."""

    rate: float = setting(0.5, "share that is dropped", at_least=0, below=1)

    label: typing.ClassVar[str] = "alpha_dropout"
    phased: typing.ClassVar[bool] = True


@dataclass(frozen=True)
class MaxPool(Block):
    """The largest value of each square of an image. Squares do not overlap; a remainder at the border is left out."""

    size: int = setting(2, "height and width of a square", at_least=1, at_most=1024)

    label: typing.ClassVar[str] = "max_pool"

    @property
    def strides(self):
        """Pixels from one square to the next."""
        return self.size

    def output_shape(self, shape):
        return *_places(self, shape, "valid"), shape[-1]


@dataclass(frozen=True)
class AveragePool(MaxPool):
    """The mean of each square of an image."""

    label: typing.ClassVar[str] = "average_pool"


@dataclass(frozen=True)
class Flatten(Block):
    """Flattens an image into one row of numbers."""

    label: typing.ClassVar[str] = "flatten"

    def output_shape(self, shape):
        return (math.prod(shape),)


@dataclass(frozen=True)
class Reshape(Block):
    """Turns a row of numbers, as data come, into an image."""

    height: int = setting(28, "rows", at_least=1, at_most=65536)
    width: int = setting(28, "columns", at_least=1, at_most=65536)
    channels: int = setting(1, "values of a pixel", at_least=1, at_most=65536)

    label: typing.ClassVar[str] = "reshape"

    def output_shape(self, shape):
        target = (self.height, self.width, self.channels)
        if math.prod(shape) != math.prod(target):
            wanted = f"images of {self.height} x {self.width} pixels" + (f" x {self.channels}" * (self.channels > 1))
            raise ConfigError(
                "model",
                f"takes {wanted}, which are {math.prod(target)} features, but the samples have {math.prod(shape)}: use "
                "other data, or another network.",
            )
        return target


# ---- with blocks inside ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Residual(Block):
    """activation(layers + shortcut) (He et al. 2016).

    The shortcut is the input itself. Where the layers change its shape, it is a linear projection of the input without
    a bias: a `Dense`, or for images a `Conv2D` of size 1 with the strides that give the height and width of the layers'
    output. Initializer and penalties are those of the projection; the layers have their own.
    """

    layers: tuple[Block, ...]
    activation: str = setting("identity", "activation of the sum", choices=ACTIVATIONS)
    initializer: str = setting("he_normal", "initial distribution of the projection", choices=INITIALIZERS)
    l1: float = setting(0.0, "L1 penalty on the projection", at_least=0, at_most=1e6)
    l2: float = setting(0.0, "L2 penalty on the projection", at_least=0, at_most=1e6)

    label: typing.ClassVar[str] = "residual"
    has_units: typing.ClassVar[bool] = True

    def branches(self, shape):
        projection = self._projection(shape, self.output_shape(shape))
        return numbered(self.layers), {"projection": projection} if projection else {}

    def output_shape(self, shape):
        for block in self.layers:
            shape = block.output_shape(shape)
        return shape

    def _projection(self, before, after):
        """The block that projects the input from shape `before` to shape `after`; None if they are the same."""
        settings = {"initializer": self.initializer, "l1": self.l1, "l2": self.l2, "use_bias": False}
        if before == after:
            return None
        if len(before) == len(after) == 1:
            return Dense(*after, **settings)
        if len(before) == len(after) == 3:
            strides = max(-(-before[axis] // after[axis]) for axis in (0, 1))  # if any fit, these do
            projection = Conv2D(after[2], 1, strides, **settings)
            if projection.output_shape(before) == after:
                return projection
        raise self.refuse(
            before, f"no shortcut leads to the {written(after)} of its layers: give them padding same, and no Flatten."
        )


def _places(block, shape, padding):
    """(height, width) of the output of `block`, a square that moves over an image of `shape`."""
    if len(shape) != 3:
        raise block.refuse(shape, "it takes images: put Reshape before it.")
    room = shape[:2] if padding == "same" else (shape[0] - block.size + 1, shape[1] - block.size + 1)
    if min(room) < 1:
        raise block.refuse(shape, f"its size is {block.size}: make it smaller.")
    return tuple(-(-pixels // block.strides) for pixels in room)


# ---- stacks ----------------------------------------------------------------------------------------------------------

KINDS = {
    kind.__name__: kind
    for kind in (
        *(Dense, Conv2D, BatchNorm, Standardize),
        *(Activation, Dropout, AlphaDropout, MaxPool, AveragePool, Flatten, Reshape),
        Residual,
    )
}


def checked_stack(layers) -> tuple[Block, ...]:
    """`layers`, blocks or what `to_dict` made of them, as a tuple. Raises ConfigError unless they form a network."""
    stack = _blocks(layers)
    *hidden, output = stack
    if not isinstance(output, Dense) or output.units is not None:
        raise ConfigError("model", f"ends with {brief(output)}, but the output must be a Dense without units.")
    _hidden(hidden)
    if any(isinstance(block, Standardize) for block in hidden[1:]):
        raise _misplaced_standardize()
    return stack


def _blocks(layers, where=""):
    """A list of blocks, or of what `to_dict` made of them, as a tuple of blocks."""
    if not isinstance(layers, list | tuple) or not layers:
        raise ConfigError("model", f"has the layers {brief(layers)}{where}, but needs a list of at least one.")
    _check_depth(layers)
    return tuple(layer if isinstance(layer, Block) else _from_dict(layer) for layer in layers)


def _inside(layers, where):
    """The blocks nested in another, as a tuple. where: its class name. Raises ConfigError if they cannot be nested."""
    stack = _hidden(_blocks(layers, f" inside a {where}"))
    if any(isinstance(block, Standardize) for block in stack):
        raise _misplaced_standardize()
    return stack


def _check_depth(layers):
    """Raises ConfigError if blocks are nested too deep. Not recursive: a hostile file could exceed the limit."""
    for _ in range(DEEPEST):
        inside = [each.get("layers") if isinstance(each, dict) else getattr(each, "layers", ()) for each in layers]
        layers = [each for inner in inside if isinstance(inner, list | tuple) for each in inner]
    if layers:
        raise ConfigError("model", f"has blocks inside each other more than {DEEPEST} deep: nest them less.")


def _hidden(stack):
    """`stack`, the blocks before the output, unchanged. Raises ConfigError if a `Dense` has no units."""
    if any(isinstance(block, Dense) and block.units is None for block in stack):
        raise ConfigError("model", "has a Dense without units before the last: give it units.")
    return stack


def _misplaced_standardize():
    return ConfigError(
        "model",
        "has Standardize after the first layer or inside another: it knows the statistics of the data alone.",
    )


def to_dict(block: Block) -> dict:
    """A block for JSON: {"layer": name, setting: value, ...}; nested blocks in the same form."""
    stored = {item.name: getattr(block, item.name) for item in dataclasses.fields(block)}
    if block.layers:
        stored["layers"] = [to_dict(each) for each in block.layers]
    return {"layer": type(block).__name__, **stored}


def _from_dict(stored):
    settings = dict(stored) if isinstance(stored, dict) else {}
    name = settings.pop("layer", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ConfigError("model", f"has the layer {brief(stored)}; known are {', '.join(KINDS)}.")
    try:
        return kind(**settings)
    except TypeError:
        known = ", ".join(item.name for item in dataclasses.fields(kind))
        raise ConfigError(
            "model", f"has the layer {brief(stored)}; the settings of {kind.__name__} are {known}."
        ) from None


def numbered(layers: tuple[Block, ...]) -> dict[str, Block]:
    """{scope: block} of a stack, with the scopes fc1, fc2, bn1 ..."""
    counts, names = Counter(), {}
    for block in layers:
        counts[block.label] += 1
        names[f"{block.label}{counts[block.label]}"] = block
    return names


def named(stack: tuple[Block, ...], n_outputs: int) -> dict[str, Block]:
    """{scope: block} of a network: fc1, fc2, bn1 ..., and the last block, with `n_outputs` units, as output."""
    return {**numbered(stack[:-1]), "output": dataclasses.replace(stack[-1], units=n_outputs)}


class Placed(typing.NamedTuple):
    """A block and its position in a network. scope: of its variables; path: its number in its stack, preceded, if it is
    nested, by the path of the enclosing block and the number of the stack in there; shape: of one input sample."""

    scope: str
    path: tuple[int, ...]
    block: Block
    shape: Shape

    @property
    def trained(self) -> dict[str, Shape]:
        """{name: shape} of the block's own trained variables."""
        return {f"{self.scope}/{name}": shape for name, shape in self.block.trained(self.shape).items()}

    @property
    def statistics(self) -> dict[str, Shape]:
        """{name: shape} of the block's own variables that are measured, not trained."""
        return {f"{self.scope}/{name}": shape for name, shape in self.block.statistics(self.shape).items()}


def placed(layers: dict[str, Block], shape: Shape, scope: str = "", path: tuple[int, ...] = ()) -> Iterator[Placed]:
    """Yields every block of a stack, each followed by those nested in it. Raises ConfigError if one does not fit."""
    for number, (name, block) in enumerate(layers.items()):
        yield Placed(scope + name, (*path, number), block, shape)
        for branch, inside in enumerate(block.branches(shape)):
            yield from placed(inside, shape, f"{scope}{name}/", (*path, number, branch))
        shape = block.output_shape(shape)


def check_shapes(layers: dict[str, Block], n_features: int):
    """Raises ConfigError if a layer does not fit the one before it."""
    for _ in placed(layers, (n_features,)):
        pass


class Row(typing.NamedTuple):
    """A layer in a summary. name: its scope; shape: of one output sample; trained, statistics: numbers of parameters,
    without those of nested blocks, which have rows of their own."""

    name: str
    kind: str
    shape: Shape
    trained: int
    statistics: int

    @property
    def title(self) -> str:
        """The layer's name within the enclosing block, indented by its depth, and its kind."""
        outer, _, name = self.name.rpartition("/")
        return f"{'  ' * len(outer.split('/')) if outer else ''}{name} ({self.kind})"


def rows(layers: dict[str, Block], n_features: int) -> Iterator[Row]:
    """Yields a row for each layer, followed by those of nested blocks. Raises ConfigError if a layer does not fit."""
    for each in placed(layers, (n_features,)):
        after, kind = each.block.output_shape(each.shape), type(each.block).__name__
        yield Row(each.scope, kind, after, _count(each.trained), _count(each.statistics))


def summary(layers: dict[str, Block], n_features: int) -> str:
    """A table of layers, output shapes and numbers of parameters, with the totals."""
    table = list(rows(layers, n_features))
    width = max(28, *(len(row.title) + 2 for row in table))
    line = "-" * (width + 30)
    lines = [f"{'layer':<{width}}{'output shape':<18}{'parameters':>12}", line]
    for row in table:
        lines.append(f"{row.title:<{width}}{written(row.shape):<18}{row.trained + row.statistics:>12,}")
    trained, measured = sum(row.trained for row in table), sum(row.statistics for row in table)
    totals = {"total": trained + measured, "trained": trained, "not trained": measured}
    return "\n".join([*lines, line, *(f"{name:<{width + 18}}{count:>12,}" for name, count in totals.items())])


def written(shape: Shape) -> str:
    """A shape as text, such as 28 x 28 x 1."""
    return " x ".join(map(str, shape))


def _count(shapes):
    return sum(math.prod(shape) for shape in shapes.values())
