"""Programs: networks that learn, each in a session, for every training of one plan.

A program is borrowed. Each use begins by assigning all its variables and ends by reading them, as numpy arrays or into
a checkpoint. So what was built and compiled once serves every later training of that plan in the process, while two
threads borrow different programs.
"""

import contextlib
import functools
import threading
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fcclf.data.dataset import Part, aligned
from fcclf.data.order import EpochOrders, Order
from fcclf.data.sparse import SparseRows, first_rows
from fcclf.learning import fed
from fcclf.learning.loop import Loop, Results
from fcclf.learning.plan import Hyperparameters, Plan
from fcclf.learning.predictor import Predictor
from fcclf.learning.state import Storage

tf1 = tf.compat.v1

MOST_IDLE = 32  # largest number of idle programs that are kept
SAMPLES_SEEN = 1000  # samples whose activations are recorded
TYPES = {"seed": tf.int32, "patience": tf.int64, "samples": tf.int64}  # of hyperparameters; the others have the plan's
UNSAVED = ("state/epoch_start/", "state/sums")  # prefixes of variables that matter only inside an epoch


class Stretch(NamedTuple):
    """What one `Session.run` trained.

    first_epoch: number of epochs finished before it. metrics: {name: [epochs finished in it]}, as `Plan.metrics` names
    them. finite: every weight, slot and statistic is finite. stopped: the rule ended training.
    """

    first_epoch: int
    metrics: dict[str, np.ndarray]
    finite: bool
    stopped: bool

    @property
    def epochs(self) -> int:
        """Number of epochs finished in this stretch."""
        return len(self.metrics["train_loss"])


class Program(Predictor):
    """A network that learns. Call `begin` first, then perhaps `resume`.

    plan: what it is made for. given: the hyperparameters of this training. step: number of batches trained on, counted
    from epoch 0. unfinished: all batches of an epoch have been trained on, but it has not been measured. stopped: the
    rule has ended training.
    """

    def __init__(self, plan: Plan):
        """Raises RunError if there is not enough memory for the plan."""
        plan.check_memory()
        self.plan, self.given, self.step, self.unfinished, self.stopped = plan, None, 0, False, False
        super().__init__(plan.layers, plan.n_features, plan.threads, plan.dtype, plan.device)

    def build(self):
        """Makes the network, the variables of training and the loop in the current graph."""
        self.fed = self._hyperparameters()
        self.build_network(self.fed.seed)
        self.storage = Storage(self.network, self.plan, self.fed.learning_rate)
        self.build_loop()

    def _hyperparameters(self):
        vectors = {"l1", "l2"}
        with tf1.name_scope("hyperparameters"):
            return Hyperparameters(
                *(
                    tf1.placeholder(
                        TYPES.get(name, self.dtype), (len(self.plan.kernels),) if name in vectors else (), name
                    )
                    for name in Hyperparameters._fields
                )
            )

    def build_loop(self):
        """Makes the loop with its placeholders."""
        plan = self.plan
        with tf1.name_scope("epoch-loop"):
            sizes = plan.sizes._asdict().items()
            self.parts = {name: self.part_placeholders(name, size) for name, size in sizes if size}
            self.order = tf1.placeholder(tf.int32, (plan.most_epochs, plan.sizes.train), "order")
            self.bounds = [tf1.placeholder(tf.int32, (), name) for name in ("n_epochs", "first", "last")]
            body = Loop(plan, self.network, self.storage, self.fed)
            run = tf.function(body.run, jit_compile=True, autograph=False) if plan.compiled else body.run
            self.results = run(self.parts, self.order, *self.bounds)

    def part_placeholders(self, name: str, size: int) -> Part:
        """Placeholders of a part of the data with `size` samples."""
        weighted, objective = name in self.plan.weighted, self.plan.objective
        return Part(
            X=self._samples_placeholder(name, size, getattr(self.plan.places, name)),
            y=tf1.placeholder(objective.label_type(self.dtype), (size, *objective.label_shape), f"y_{name}"),
            weights=tf1.placeholder(self.dtype, (size,), f"weights_{name}") if weighted else None,
        )

    @staticmethod
    def spread_placeholders(spreads: dict) -> dict:
        """{name of a part: placeholder of what its scores are relative to, or None if they are not}. spreads: {name:
        tensor that computes it, or None}."""
        return {
            name: None if each is None else tf1.placeholder(each.dtype, each.shape, f"spread_{name}")
            for name, each in spreads.items()
        }

    def _samples_placeholder(self, name, size, places):
        if not places:
            return tf1.placeholder(self.dtype, (size, self.n_features), f"X_{name}")
        return SparseRows(
            columns=tf1.placeholder(tf.int32, (size, places), f"columns_{name}"),
            values=tf1.placeholder(self.dtype, (size, places), f"values_{name}"),
        )

    # ---- a training

    def begin(self, given: Hyperparameters, values: dict[str, np.ndarray] | None = None, epoch: int = 0):
        """Begins a training with fresh weights and state, except for the `values` of variables, by name. epoch: number
        of epochs finished before it."""
        self.given, self.step, self.unfinished, self.stopped = given, epoch * self.plan.n_batches, False, False
        self.run(self.initializer, {self.fed.seed: given.seed, self.fed.learning_rate: given.learning_rate})
        self.load({name: value for name, value in (values or {}).items() if name in self.variables})

    def resume(self):
        """Continues from the values of the variables, for example after a checkpoint was restored. Returns (epochs
        finished, batches done of the next one)."""
        epoch, step = self.run([self.storage.epoch, self.storage.global_step])
        self.step = int(step)
        batch = self.step - int(epoch) * self.plan.n_batches
        self.unfinished = batch == self.plan.n_batches
        self.stopped = bool(self.storage.best) and bool(self.run(self.storage.best.stopped))
        return int(epoch), batch

    @property
    def epoch(self) -> int:
        """Number of epochs finished."""
        return self.step // self.plan.n_batches - self.unfinished

    @property
    def batch(self) -> int:
        """Number of batches done of the current epoch, the one after the finished ones."""
        return self.step - self.epoch * self.plan.n_batches

    @property
    def furthest_stop(self) -> int:
        """The largest `stop` that one call of `advance` may be given."""
        return (self.epoch + self.plan.most_epochs) * self.plan.n_batches

    def compile(self, parts: dict[str, Part]):
        """Compiles the loop without training anything."""
        self.run_loop(parts, aligned(self.order.shape, np.int32), 0, 0, 0)

    def ahead(self, parts: dict[str, Part], order: Order):
        """What `advance` needs of the coming epochs, made ahead in a thread; the caller closes it. order: of their
        samples."""
        return EpochOrders(order, self.plan.most_epochs)

    def advance(self, parts: dict[str, Part], orders, stop: int) -> Stretch:
        """Trains up to before step `stop` in one `Session.run`, or to where the rule stops it.

        parts: {name: `Part` of arrays}, as in the plan. orders: as `ahead` gives them.
        """
        first_epoch, first = self.epoch, self.batch
        last_epoch, last = divmod(stop - 1, self.plan.n_batches)
        rows = orders.rows(first_epoch, last_epoch)
        results = self.run_loop(parts, rows, last_epoch - first_epoch + 1, first, last + 1)
        self.unfinished = False
        return self.stretch(first_epoch, results, stop)

    def stretch(self, first_epoch: int, results: Results, stop: int) -> Stretch:
        """The `Stretch` described by results; updates `step` and `stopped`. stop: the step before which it was to
        end."""
        count, self.stopped = int(results.epochs), bool(results.stopped)
        self.step = (first_epoch + count) * self.plan.n_batches if self.stopped else stop
        metrics = dict(zip(self.plan.metrics, results.metrics[:count].T, strict=True))
        return Stretch(first_epoch, metrics, bool(results.finite), self.stopped)

    def run_loop(self, parts: dict[str, Part], rows, n_epochs: int, first: int, last: int) -> Results:
        """Runs the loop in one `Session.run`, without counting its batches in `step`. The arguments are those of
        `Loop.run`."""
        bounds = dict(zip(self.bounds, (n_epochs, first, last), strict=True))
        feed = self.feed_hyperparameters() | bounds | {self.order: rows} | self.feed_parts(parts)
        return self.run(self.results, feed)

    def feed_hyperparameters(self) -> dict:
        """The feed of this training's hyperparameters."""
        return dict(zip(tf.nest.flatten(self.fed), self.given, strict=True))

    def feed_parts(self, parts: dict[str, Part]) -> dict:
        """The feed of the data, {name: `Part` of arrays}."""
        placeholders = [each for part in self.parts.values() for each in part.arrays]
        arrays = [each for name in self.parts for each in parts[name].arrays]
        return dict(zip(placeholders, arrays, strict=True))

    # ---- its variables

    @property
    def best_epoch(self) -> int | None:
        """The best epoch so far, where its weights are kept; None before there is one."""
        return int(self.run(self.storage.best.epoch)) or None if self.plan.keeps_best else None

    def kept_values(self) -> dict[str, np.ndarray]:
        """{name: values} of every variable that a later training can continue from."""
        return self.run({name: each for name, each in self.variables.items() if not name.startswith(UNSAVED)})

    @functools.cached_property
    def saver(self) -> tf1.train.Saver:
        """The saver of all variables."""
        with self.session.graph.as_default():
            return tf1.train.Saver(self.variables, max_to_keep=None)

    @functools.cached_property
    def best_saver(self) -> tf1.train.Saver:
        """The saver of the best epoch's weights, under the names of the network's variables."""
        kept = {**self.storage.best.weights, **self.storage.best.statistics}
        with self.session.graph.as_default():
            return tf1.train.Saver(kept, max_to_keep=None, name="save/best")

    @functools.cached_property
    def fed_step(self) -> fed.FedStep:
        """The tutorials' graph alongside the loop: a training step on fed samples, and their evaluation."""
        with self.session.graph.as_default(), tf1.variable_scope("", use_resource=True):
            return fed.build(self.plan, self.network, self.storage, self.fed, self.X, self.layer_outputs["output"])

    def histograms(self, X) -> bytes:
        """A serialized Summary of the weights, their updates since the epoch began, and the activations for the first
        samples of X, dense or sparse, [samples, features]."""
        return self.run(self._histograms, {self.X: first_rows(X, SAMPLES_SEEN, self.n_features)})

    @functools.cached_property
    def _histograms(self):
        histogram, trained = tf1.summary.histogram, self.network.trained
        with self.session.graph.as_default():
            with tf1.name_scope("variables"):
                values = [histogram(name, each) for name, each in trained.items()]
            with tf1.name_scope("updates"):
                starts = self.storage.epoch_start
                updates = [histogram(name, each - starts[name]) for name, each in trained.items()]
            with tf1.name_scope("outputs"):
                outputs = [histogram(f"{name}/activation", each) for name, each in self.layer_outputs.items()]
                return tf1.summary.merge([*values, *updates, *outputs])


def best_weights(last: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{name: values} of a network: the best epoch's if `values`, of all variables, hold them; else `last`."""
    found = best_epoch(values)
    return {name: values.get(f"best/{name}", value) if found else value for name, value in last.items()}


def best_epoch(values: dict[str, np.ndarray]) -> int | None:
    """The best epoch of a training if its weights are kept, else None. values: {name: values} of all variables."""
    kept = any(name.startswith("best/") and name.count("/") > 1 for name in values)
    return int(values["best/epoch"]) or None if kept else None


# ---- the programs that are kept --------------------------------------------------------------------------------------

_idle: list[tuple[object, Predictor]] = []  # most recently used last
_lock = threading.Lock()


@contextlib.contextmanager
def borrowed(make, *key):
    """A program, made by make(*key) if none is idle, that no other thread uses inside the block.

    A program whose session failed, or whose use was interrupted, is closed instead of kept. After other errors, such as
    one from a callback that ends a fit, or weights that diverged, the next training can use it.
    """
    key = (make, *key)
    with _lock:
        found = next((item for item in reversed(_idle) if item[0] == key), None)
        if found:
            _idle.remove(found)
    program, sound = found[1] if found else make(*key[1:]), False
    try:
        yield program
        sound = True
    except Exception:
        sound = not program.failed
        raise
    finally:
        if sound:
            _keep(key, program)
        else:
            program.close()


def _keep(key, program):
    with _lock:
        _idle.append((key, program))
        dropped = [_idle.pop(0)[1] for _ in range(len(_idle) - MOST_IDLE)]
    for each in dropped:
        each.close()


def kept_plans() -> list[Plan]:
    """The plans of the idle training programs that this process keeps, the most recently used last."""
    with _lock:
        return [program.plan for _, program in _idle if isinstance(program, Program)]


def clear_programs():
    """Closes all idle programs, which frees their sessions and their memory."""
    with _lock:
        dropped = [_idle.pop()[1] for _ in range(len(_idle))]
    for each in dropped:
        each.close()
