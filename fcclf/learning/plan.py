"""What a program is made for, and what is fed to it.

A `Plan` is hashable: programs of equal plans are equal, so one that is built and compiled serves every training of its
kind in the process. `Hyperparameters` are fed: other seeds, learning rates and penalties need no other program.
"""

import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fcclf.learning.objective import Classification
from fcclf.learning.optimizers import Optimizer, Schedule
from fcclf.learning.rules import Rule
from fcclf.settings import blocks
from fcclf.settings.blocks import Block
from fcclf.settings.config import Config

MOST_EPOCHS_PER_RUN = 64  # rows of the fed order, at most
MOST_SAMPLES_PER_RUN = 2_000_000  # entries of the fed order, at most (but one epoch always fits)
OPTIMIZERS_OF_RUNS = {"nesterov": Optimizer("momentum", nesterov=True)}  # the others go by their own names
LONGEST_PATIENCE = np.iinfo(np.int64).max


class Sizes(NamedTuple):
    """Numbers of samples in each part of the data; 0 where there is no such part."""

    train: int
    validation: int = 0
    test: int = 0


@dataclass(frozen=True)
class Plan:
    """All that a program is compiled for.

    layers: (name, block) of the network, without penalties. weighted: parts whose samples have weights. rule: of early
    stopping, None without one. clip_norm: None to leave gradients as they are. l1, l2, alpha: whether there are such
    penalties. fed_dropout: a fed rate counts instead of those of the blocks. compiled: by XLA. threads: of the
    session.
    """

    layers: tuple[tuple[str, Block], ...]
    n_features: int
    sizes: Sizes
    batch_size: int
    optimizer: Optimizer
    objective: Classification = Classification()  # noqa: RUF009 - frozen, as a default must be
    schedule: Schedule = Schedule()  # noqa: RUF009
    rule: Rule | None = None
    weighted: tuple[str, ...] = ()
    clip_norm: float | None = None
    l1: bool = False
    l2: bool = False
    alpha: bool = False
    fed_dropout: bool = False
    compiled: bool = True
    threads: int = 1

    @property
    def n_batches(self) -> int:
        """Batches in an epoch, the short last one counted."""
        return batches_per_epoch(self.sizes.train, self.batch_size)

    @property
    def most_epochs(self) -> int:
        """Epochs that one `Session.run` may train, at most."""
        return min(MOST_EPOCHS_PER_RUN, max(1, MOST_SAMPLES_PER_RUN // self.sizes.train))

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels, which penalties are on, in the order of their blocks."""
        every = blocks.placed(dict(self.layers), (self.n_features,))
        return tuple(name for placed in every for name in placed.trained if name.endswith("/kernel"))

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch are kept."""
        return self.rule is not None and self.sizes.validation > 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is measured in an epoch; columns of its history.

        train_loss, train_accuracy, train_total (the loss with its penalties) and gradient_norm are means over the
        epoch's batches, as they were trained on; all others hold after its last batch. wait: epochs without
        improvement.
        """
        measured = [part for part in ("validation", "test") if getattr(self.sizes, part)]
        return (
            *("train_loss", "train_total", "train_accuracy", "penalty", "gradient_norm", "learning_rate"),
            *(("wait",) if self.rule else ()),
            *(f"{part}_{name}" for part in measured for name in ("loss", "accuracy")),
        )


class Hyperparameters(NamedTuple):
    """What is fed. seed: of initial weights, masks and orders; l1, l2: float32 [kernels], of each kernel of the plan;
    alpha: divided by the samples of a batch, it adds to l2; tolerance, patience: of the rule; power_t: exponent of the
    invscaling schedule; samples: trained on before epoch 0, for that schedule."""

    seed: int
    learning_rate: float
    l1: np.ndarray
    l2: np.ndarray
    alpha: float = 0.0
    dropout: float = 0.0
    tolerance: float = 0.0
    patience: int = LONGEST_PATIENCE
    power_t: float = 0.5
    samples: int = 0


def batches_per_epoch(train_size: int, batch_size: int) -> int:
    """Number of batches in an epoch, the short last one counted."""
    return -(-train_size // batch_size)


def penalties(layers: dict[str, Block], n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """(l1, l2), float32 [kernels], of every kernel in a network."""
    pairs = [
        (placed.block.l1, placed.block.l2)
        for placed in blocks.placed(layers, (n_features,))
        for name in placed.trained
        if name.endswith("/kernel")
    ]
    return tuple(np.float32(column) for column in zip(*pairs, strict=True))


# ---- of a run --------------------------------------------------------------------------------------------------------


def planned(config: Config, n_features: int, n_classes: int, sizes, threads: int | None = None) -> Plan:
    """The plan of a run on such data. sizes: numbers of training, validation and test samples. threads: of the
    session, where the settings ask for none; by default one for each core."""
    training, layers = config.training, config.layers(n_features, n_classes)
    l1, l2 = penalties(layers, n_features)
    by_steps = (training.decay_steps, training.decay_rate) if training.schedule != "constant" else ()
    return Plan(
        layers=tuple((name, block.without_penalties()) for name, block in layers.items()),
        n_features=n_features,
        sizes=Sizes(*sizes),
        batch_size=training.batch_size,
        optimizer=OPTIMIZERS_OF_RUNS.get(training.optimizer) or Optimizer(training.optimizer),
        objective=Classification(training.label_smoothing),
        schedule=Schedule(training.schedule, *by_steps),
        rule=Rule("validation_loss") if training.early_stopping else None,
        clip_norm=training.clip_norm,
        l1=bool(l1.any()),
        l2=bool(l2.any()),
        compiled=is_compiled(config.session.jit, layers, n_features),
        threads=config.session.threads or threads or cores(),
    )


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def hyperparameters(config: Config, n_features: int, n_classes: int) -> Hyperparameters:
    """What is fed to the program of a run."""
    training = config.training
    l1, l2 = penalties(config.layers(n_features, n_classes), n_features)
    return Hyperparameters(
        training.seed, training.learning_rate, l1, l2, tolerance=training.min_delta, patience=training.patience
    )


def is_compiled(jit: str, layers: dict[str, Block], n_features: int) -> bool:
    """Whether XLA compiles the loop; with "auto" unless a block is faster without."""
    if jit == "auto":
        return all(placed.block.compiles for placed in blocks.placed(layers, (n_features,)))
    return jit == "on"
