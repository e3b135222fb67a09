"""What a program is compiled for (`Plan`), and what is fed to it (`Hyperparameters`).

A `Plan` is hashable. Programs of equal plans are interchangeable, so one that is compiled serves every training of that
plan in the process, whatever its seed, learning rate and penalties.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import joblib
import numpy as np

from fcclf.data.dataset import Part
from fcclf.learning.objective import Classification, Objective, Regression
from fcclf.learning.optimizers import FACTORED, STEPPED, Optimizer, Schedule
from fcclf.learning.predictor import chosen_device
from fcclf.learning.rules import Rule, rule_of
from fcclf.settings import blocks
from fcclf.settings.blocks import Block
from fcclf.settings.config import Config
from fcclf.settings.run_config import CPU, GPU, LONGEST_PATIENCE, DataShape
from fcclf.system import memory
from fcclf.system.memory import Needed

MOST_EPOCHS_PER_RUN = 64  # largest number of rows of the fed order
MOST_SAMPLES_PER_RUN = 2_000_000  # largest number of entries of the fed order, unless one epoch has more
FED_BYTES, FED_ROWS = 1 << 24, 1 << 18  # most bytes and rows of streamed samples in one `Session.run`
READ_BYTES, READ_AHEAD = 1 << 26, 2  # bytes of streamed samples read at once, and number of such reads held in memory
SESSION, COMPILER = Needed(230_000_000, 570_000_000), Needed(0, 580_000_000)  # measured on two cores
LEAST_FOR_THREADS = 5_000_000  # multiplications in a step's forward pass; with fewer, one thread is the fastest
THREAD, THREADS_PER_CORE = 72_000_000, 2  # bytes of address space for stack and heap; number for each further core


class Sizes(NamedTuple):
    """Numbers of samples in each part of the data; 0 where there is no such part."""

    train: int
    validation: int = 0
    test: int = 0

    @classmethod
    def of(cls, parts: dict[str, Part]) -> "Sizes":
        """The numbers of samples in {name: part}."""
        return cls(**{name: len(part.y) for name, part in parts.items()})


def places(parts: dict[str, Part]) -> Sizes:
    """The numbers of places in the rows of each sparse part; 0 for the others."""
    return Sizes(**{"train": 0} | {name: part.X.places for name, part in parts.items() if part.is_sparse})


def weighted_parts(parts: dict[str, Part]) -> tuple[str, ...]:
    """Names of the parts whose samples have weights."""
    return tuple(name for name, part in parts.items() if part.weights is not None)


@dataclass(frozen=True)
class Plan:
    """All that a program is compiled for.

    layers: (name, block) of the network, without penalties. dtype: of its numbers, "float32" or "float64". places: in
    the rows of each sparse part, 0 for the others. weighted: parts whose samples have weights. rule: of early stopping,
    None without one. clip_norm: None to leave gradients as they are. l1, l2, alpha: whether there are such penalties.
    fed_dropout: whether a fed rate replaces those of the blocks. compiled: by XLA. threads: of the session. device: CPU
    or GPU. fed_batches: number of batches that are fed to one `Session.run` where samples are streamed, as in
    `fcclf.learning.streaming`; 0: all samples are fed. shards: number of shards that a batch is cut into, as in
    `fcclf.sharded`; None: it is not cut.
    """

    layers: tuple[tuple[str, Block], ...]
    n_features: int
    sizes: Sizes
    batch_size: int
    optimizer: Optimizer
    objective: Objective = Classification()  # noqa: RUF009 - frozen, as a default must be
    schedule: Schedule = Schedule()  # noqa: RUF009
    rule: Rule | None = None
    places: Sizes = Sizes(0)  # noqa: RUF009
    weighted: tuple[str, ...] = ()
    clip_norm: float | None = None
    l1: bool = False
    l2: bool = False
    alpha: bool = False
    fed_dropout: bool = False
    compiled: bool = True
    threads: int = 1
    dtype: str = "float32"
    device: str = CPU
    fed_batches: int = 0
    shards: int | None = None

    def streamed(self) -> "Plan":
        """The plan for the same training on streamed samples, with bit-identical results. It is this plan itself if a
        batch has all samples, or if they are sparse or in shards."""
        if self.n_batches == 1 or any(self.places) or self.shards:
            return self
        rows = min(FED_ROWS, FED_BYTES // (self.n_features * np.dtype(self.dtype).itemsize))
        return dataclasses.replace(self, fed_batches=min(max(1, rows // self.batch_size), self.n_batches))

    @property
    def fed_rows(self) -> int:
        """Number of streamed samples in one `Session.run` of training."""
        return self.fed_batches * self.batch_size

    @property
    def n_batches(self) -> int:
        """Number of batches in an epoch, a short last one included."""
        return batches_per_epoch(self.sizes.train, self.batch_size)

    @property
    def most_epochs(self) -> int:
        """Number of epochs that one `Session.run` may train at most."""
        return min(MOST_EPOCHS_PER_RUN, max(1, MOST_SAMPLES_PER_RUN // self.sizes.train))

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels that penalties apply to, in the order of their blocks."""
        every = blocks.placed(dict(self.layers), (self.n_features,))
        return tuple(name for placed in every for name in placed.trained if name.endswith("/kernel"))

    @property
    def memory(self) -> Needed:
        """The memory that training needs in addition to the data, approximately.

        It is that of the session, its copy of the data, the orders of the current epochs and those made ahead, the
        weights with what is stored for each of them (in variables, in the loop, and once in numpy arrays), and a batch
        on its way through the layers: the inputs, outputs and gradient of each.
        """
        rows = list(blocks.rows(dict(self.layers), self.n_features))
        kept = 2 + len(self.optimizer.slots) + self.keeps_best
        numbers = (
            self._numbers_of_samples,
            self.sizes.train * self._orders,
            (3 * kept + 2) * sum(row.trained + row.statistics for row in rows),
            self.batch_size * (self.n_features + 3 * sum(math.prod(row.shape) for row in rows)),
        )
        threads = max(0, self.threads - 2) * THREADS_PER_CORE
        compiler = COMPILER if self.compiled else Needed(0)
        return Needed(
            SESSION.resident + compiler.resident + np.dtype(self.dtype).itemsize * sum(numbers),
            SESSION.mapped + compiler.mapped + threads * THREAD,
        )

    @property
    def _orders(self):
        """How many orders of an epoch are held at once: those fed, those made ahead, and the epoch begun by both."""
        return 3 if self.fed_batches else 2 * self.most_epochs + (self.most_epochs > 1)

    @property
    def _numbers_of_samples(self):
        """How many numbers are held at once for samples, labels included."""
        if self.fed_batches:
            read = READ_AHEAD * READ_BYTES // np.dtype(self.dtype).itemsize
            return sum(self.sizes) + read + self.fed_rows * self.n_features
        return sum(
            size * (1 + (2 * held or self.n_features)) for size, held in zip(self.sizes, self.places, strict=True)
        )

    def that_fits(self) -> "Plan":
        """This plan, or the streamed one if this does not fit in memory and that needs less."""
        if self.memory.resident <= memory.available_memory():
            return self
        return min(self, self.streamed(), key=lambda plan: plan.memory.resident)

    def check_memory(self):
        """Raises RunError if training takes more memory than there is."""
        memory.require(self.memory, "training", "make batches, layers or data smaller, or raise the limit")

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch are kept."""
        return self.rule is not None and self.sizes.validation > 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of an epoch, the columns of a history.

        train_loss, train_total (the loss with its penalties), the score of the training part and gradient_norm are
        means over the epoch's batches as they were trained on. All others are measured after its last batch. wait:
        number of epochs without improvement.
        """
        measured, score = [part for part in ("validation", "test") if getattr(self.sizes, part)], self.objective.score
        return (
            *("train_loss", "train_total", f"train_{score}", "penalty", "gradient_norm", "learning_rate"),
            *(("wait",) if self.rule else ()),
            *(f"{part}_{name}" for part in measured for name in ("loss", score)),
        )


class Hyperparameters(NamedTuple):
    """What is fed to a program.

    seed: of initial weights, dropout masks and orders. l1, l2: [kernels], for each kernel of the plan. alpha: added to
    l2 after division by the weight of a batch. dropout: the rate where the plan has fed_dropout. tolerance, patience:
    of the rule. power_t, samples: of the invscaling schedule, its exponent and the number of samples trained on before
    epoch 0.
    """

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
    """Number of batches in an epoch, a short last one included."""
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


def planned(
    config: Config, shape: DataShape, sizes, weighted=(), threads: int | None = None, device: str | None = None
) -> Plan:
    """The plan of a run on data.

    sizes: as in `Sizes`. weighted: names of the parts with weights. threads: of the session, where the settings do not
    say; by default one for each core, or a single one for a small network or in shards. device: by default as the
    settings say. Raises ConfigError if that device is not available.
    """
    training, layers, sizes = config.training, config.layers(shape), Sizes(*sizes)
    l1, l2 = penalties(layers, shape.n_features)
    device = device or (CPU if training.shards else chosen_device(config.session.device))
    batch_size = min(training.batch_size, _largest_batch(sizes.train, training.shards))
    fastest = 1 if training.shards else fastest_threads(layers, shape.n_features, batch_size)
    return Plan(
        layers=tuple((name, block.without_penalties()) for name, block in layers.items()),
        n_features=shape.n_features,
        sizes=sizes,
        batch_size=batch_size,
        optimizer=Optimizer.named(training.optimizer),
        objective=_objective(config, shape.n_classes),
        schedule=_schedule(training),
        rule=rule_of(config.stopping),
        weighted=tuple(weighted),
        clip_norm=training.clip_norm,
        l1=bool(l1.any()),
        l2=bool(l2.any()),
        compiled=is_compiled(config.session.jit, device, layers, shape.n_features),
        threads=config.session.threads or threads or fastest,
        device=device,
        shards=training.shards,
    )


def _largest_batch(size, shards):
    """Number of samples in the largest batch: the whole training part; in shards, the longest shard's number for each
    of them."""
    return size if shards is None else -(-size // shards) * shards


def _objective(config, n_outputs):
    training = config.training
    if not config.is_regression:
        return Classification(training.label_smoothing)
    return Regression(training.loss, training.delta if training.loss == "huber" else 1.0, n_outputs)


def fastest_threads(layers, n_features: int, batch_size: int) -> int:
    """Number of threads that train a network fastest: one for each core, unless it has no convolutions and is so small
    that more threads only wait for each other."""
    small = _all_compile(layers, n_features) and batch_size * kernel_weights(layers, n_features) < LEAST_FOR_THREADS
    return 1 if small else cores()


def kernel_weights(layers, n_features: int) -> int:
    """Number of weights in the kernels of a network; if its layers are dense, each sample is multiplied once by
    each."""
    placed = blocks.placed(dict(layers), (n_features,))
    return sum(math.prod(shape) for each in placed for name, shape in each.trained.items() if name.endswith("/kernel"))


def cores() -> int:
    """Number of cores that this process may use: its affinity, the limits of its control group, and LOKY_MAX_CPU_COUNT
    in the environment count."""
    return joblib.cpu_count()


def hyperparameters(config: Config, shape: DataShape) -> Hyperparameters:
    """What is fed to the program of a run on data of a certain shape."""
    training, stopping = config.training, config.stopping
    l1, l2 = penalties(config.layers(shape), shape.n_features)
    watched = {"tolerance": stopping.tolerance, "patience": stopping.patience} if stopping else {}
    return Hyperparameters(training.seed, training.learning_rate, l1, l2, power_t=training.power_t, **watched)


def _schedule(training):
    """The schedule with only the parameters that it uses: others would needlessly compile another program."""
    steps = training.decay_steps if training.schedule in STEPPED else 1
    factor = training.decay_rate if training.schedule in FACTORED else 1.0
    return Schedule(training.schedule, steps, factor)


def is_compiled(jit: str, device: str, layers: dict[str, Block], n_features: int) -> bool:
    """Whether XLA compiles the loop; with "auto" on a GPU, and on the CPU unless a block is faster without."""
    if jit == "auto":
        return device == GPU or _all_compile(layers, n_features)
    return jit == "on"


def _all_compile(layers, n_features):
    """Whether no block is faster on the CPU without XLA, as convolutions are."""
    return all(placed.block.compiles for placed in blocks.placed(dict(layers), (n_features,)))
