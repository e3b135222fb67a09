"""Warnings that a user may need: before a run, of settings that do not work well together; after it, that nothing was
learned."""

import itertools
from collections.abc import Iterator

from fcclf.settings.blocks import BatchNorm, Block, Conv2D, Dense, Dropout, Standardize
from fcclf.settings.config import Config

RARE = 0.3  # below this share of all other classes together, class weights may help


def advice(config: Config) -> Iterator[str]:
    """Yields a sentence for each combination in the model that defeats its purpose: what, why, the remedy."""
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
    """Yields the stack, and those inside its blocks."""
    if layers:
        yield layers
    for block in layers:
        yield from _stacks(block.layers)


def _ends_in_selu(block: Block):
    return isinstance(block, Dense | Conv2D) and block.activation == "selu"


def _has_idle_bias(block: Block):
    return isinstance(block, Dense | Conv2D) and block.activation == "identity" and block.use_bias


# ---- afterwards ------------------------------------------------------------------------------------------------------


def verdict(config: Config, dataset, found: dict) -> Iterator[str]:
    """Yields a sentence if the network is no better than one that always gives the same answer: what, and the likely
    remedy.

    dataset: what it was trained and tested on, a `fcclf.data.dataset.Dataset`; found: the metrics of its test part.
    """
    if dataset.is_regression:
        if found["r2"] <= 0:
            yield f"the predictions are no better than always the mean: {_remedy(config, dataset)}"
        return
    predicted = [sum(column) for column in zip(*found["confusion_matrix"], strict=True)]
    true = [sum(row) for row in found["confusion_matrix"]]
    commonest, most = dataset.classes[true.index(max(true))], max(true) / sum(true)
    if most == 1:
        return
    if max(predicted) == sum(predicted):
        always = dataset.classes[predicted.index(max(predicted))]
        yield f"every test sample is predicted as {always}: {_remedy(config, dataset, most)}"
    elif sum(found["confusion_matrix"][each][each] for each in range(len(true))) <= max(true):
        yield f"the predictions are no better than always {commonest}, {most:.4f}: {_remedy(config, dataset, most)}"


def _remedy(config, dataset, most=0.0):
    """What is most likely to help. most: share of the most common class."""
    from fcclf.data.dataset import far_apart

    layers = config.layers(dataset.shape).values()
    apart = far_apart(dataset.train.X, dataset.categories)
    if apart and not any(isinstance(block, Standardize) for block in layers):
        return "use --standardize features, as the columns' standard deviations go from {:.3g} to {:.3g}".format(*apart)
    if 1 - most < RARE and not config.training.class_weight and not dataset.is_regression:
        return "use --class-weight balanced, or more samples of the other classes"
    return "try more --epochs, another --learning-rate or more units in --hidden, or columns that tell more"
