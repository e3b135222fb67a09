"""What is known not to work well together, said before a run begins."""

import itertools
from collections.abc import Iterator

from fcclf.settings.blocks import BatchNorm, Block, Conv2D, Dense, Dropout, Standardize
from fcclf.settings.config import Config


def advice(config: Config) -> Iterator[str]:
    """A sentence for each pairing in the model that defeats its purpose: what, why, the remedy."""
    layers = config.model.layers
    stacks = list(_stacks(layers))
    selu = [block for stack in stacks for block in stack if _ends_in_selu(block)]
    if any(block.initializer != "lecun_normal" for block in selu):
        yield "SELU keeps mean 0 and variance 1 from layer to layer only with --initializer lecun_normal"
    if selu and not isinstance(layers[0], Standardize):
        yield "SELU needs inputs of mean 0 and variance 1: use --standardize features"
    pairs = [pair for stack in stacks for pair in itertools.pairwise(stack)]
    if any(_ends_in_selu(block) and isinstance(after, Dropout) for block, after in pairs):
        yield "dropout after SELU disturbs the mean and variance that SELU keeps: use --alpha-dropout"
    if any(_has_idle_bias(block) and isinstance(after, BatchNorm) for block, after in pairs):
        yield "a bias right before batch normalisation has no effect: give that layer use_bias=False"


def _stacks(layers: tuple[Block, ...]) -> Iterator[tuple[Block, ...]]:
    """The stack, and those inside its blocks."""
    if layers:
        yield layers
    for block in layers:
        yield from _stacks(block.layers)


def _ends_in_selu(block: Block):
    return isinstance(block, Dense | Conv2D) and block.activation == "selu"


def _has_idle_bias(block: Block):
    return isinstance(block, Dense | Conv2D) and block.activation == "identity" and block.use_bias
