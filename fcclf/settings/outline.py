"""A stack of blocks, summarised as settings of `Model`, so that runs of presets can be compared with others.

Standard library only.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise

from fcclf.settings.blocks import Activation, AlphaDropout, BatchNorm, Block, Conv2D, Dense, Dropout, Standardize

LONGEST_ROW = 2  # layers of one size that are written one by one; more as "20x100"


def outline(stack: tuple[Block, ...]) -> dict:
    """{setting of `Model`: value} of a stack, nested blocks included; a tuple of values where layers differ."""
    *hidden, output = _every(stack)
    layers = [block for block in hidden if isinstance(block, Dense | Conv2D)]
    functions = [getattr(block, "activation", None) or getattr(block, "function", None) for block in hidden]
    return {
        "hidden": _sizes(layers),
        "activation": _one_or_all((each for each in functions if each and each != "identity"), "identity"),
        "initializer": _one_or_all((block.initializer for block in layers), output.initializer),
        "bias_initializer": _one_or_all((block.bias_initializer for block in layers), output.bias_initializer),
        "l1": _one_or_all(block.l1 for block in (*layers, output)),
        "l2": _one_or_all(block.l2 for block in (*layers, output)),
        "batch_norm": _batch_norm(hidden),
        "dropout": _one_or_all((block.rate for block in hidden if isinstance(block, Dropout)), 0.0),
        "alpha_dropout": _one_or_all((block.rate for block in hidden if isinstance(block, AlphaDropout)), 0.0),
        "standardize": _one_or_all((block.over for block in hidden if isinstance(block, Standardize)), "none"),
    }


def _every(stack: Iterable[Block]) -> Iterator[Block]:
    """Yields all blocks, each followed by those nested in it."""
    for block in stack:
        yield block
        yield from _every(block.layers)


def _sizes(layers):
    """Units of each dense layer and channels of each convolution; longer repetitions are written as a count."""
    sizes = [block.units if isinstance(block, Dense) else f"conv{block.filters}" for block in layers]
    rows = [(size, len(list(row))) for size, row in groupby(sizes)]
    written = [(size,) * count if count <= LONGEST_ROW else (f"{count}x{size}",) for size, count in rows]
    return tuple(each for row in written for each in row)


def _one_or_all(values, default=None):
    """The value if all are equal, a tuple of the different ones if not, the default if there is none."""
    different = tuple(dict.fromkeys(values)) or (default,)
    return different[0] if len(different) == 1 else different


def _batch_norm(hidden):
    """Where batches are normalised: "before" an `Activation` block, else "after" an activation; "none" if nowhere."""
    pairs = pairwise([*hidden, None])
    places = (isinstance(after, Activation) for block, after in pairs if isinstance(block, BatchNorm))
    return _one_or_all(("before" if place else "after" for place in places), "none")
