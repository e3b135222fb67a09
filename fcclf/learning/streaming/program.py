"""A program that is fed its samples bit by bit: more of them than there is memory for.

It takes the place of a `Program` wherever one is trained, and comes to the same bits. A stretch is a piece of work that
is over soon: some batches, some samples of an evaluation, or the end of an epoch. So a signal is answered in the middle
of a long evaluation too; what was measured of it until then is measured again when training goes on.
"""

import functools
import time

import numpy as np
import tensorflow as tf

from fcclf.data.dataset import Part
from fcclf.data.order import Order
from fcclf.data.rows import gathered
from fcclf.learning.loop import Results
from fcclf.learning.plan import Plan
from fcclf.learning.program import Program, Stretch
from fcclf.learning.streaming.loop import StreamedLoop
from fcclf.learning.streaming.rows import Ahead, Batches, in_pieces
from fcclf.learning.stretches import within_seconds

tf1 = tf.compat.v1


def program_of(plan: Plan) -> type[Program]:
    """The class of the programs of a plan."""
    return StreamedProgram if plan.fed_batches else Program


class StreamedProgram(Program):
    """A network that learns from samples that are streamed. Its plan is `Plan.streamed`."""

    def build_loop(self):
        """Makes the pieces of the loop with their placeholders."""
        sizes = self.plan.sizes._asdict()
        self.batches = {name: Batches.of(self.plan, name) for name, size in sizes.items() if size}
        self.as_they_stand = np.arange(self.plan.fed_rows, dtype=np.int32)
        with tf1.name_scope("epoch-loop"):
            self.bounds = [tf1.placeholder(tf.int32, (), name) for name in ("origin", "first", "last")]
            self.fed_parts = {
                name: self.part_placeholders(name, each.fed * each.size) for name, each in self.batches.items()
            }
            self.order = tf1.placeholder(tf.int32, (self.plan.fed_rows,), "order")  # or the compiler would do otherwise
            self.sums = {name: tf1.placeholder(self.dtype, (3,), f"sums_{name}") for name in in_pieces(self.batches)}
            self._build_spreads()
            self._build_pieces(StreamedLoop(self.plan, self.network, self.storage, self.fed))

    def _build_spreads(self):
        """Makes what the scores of each part are relative to, None where that is nothing, and what it is fed by."""
        spread = self._compiled(self.plan.objective.spread)
        self.labels = {name: self.part_placeholders(name, each.total)[1:] for name, each in self.batches.items()}
        self.spreads = {name: spread(*labels) for name, labels in self.labels.items()}
        self.fed_spreads = self.spread_placeholders(self.spreads)

    def _build_pieces(self, body):
        """Makes the calls: of some batches of each part that has several, and of the end of an epoch."""
        fed, spreads, small = self.fed_parts, self.fed_spreads, self._small_parts()
        advance = self._compiled(body.advance)
        self.pieces = {"train": advance(fed["train"], self.order, spreads["train"], *self.bounds)}
        for name, sums in self.sums.items():
            measure = self._compiled(functools.partial(body.measured, name))
            self.pieces[name] = measure(fed[name], spreads[name], sums, *self.bounds)
        self.ended = self._compiled(body.ended)({name: fed[name] for name in small} | self.sums, spreads)

    def _small_parts(self):
        """Names of the parts that are measured in one batch."""
        return [name for name in self.batches if name != "train" and name not in self.sums]

    def _compiled(self, function):
        """A function of tensors, compiled if the plan says so."""
        return tf.function(function, jit_compile=True, autograph=False) if self.plan.compiled else function

    # ---- a training

    def begin(self, given, values=None, epoch: int = 0):
        """As of a `Program`."""
        super().begin(given, values, epoch)
        self.held = None
        self._begin_measuring()

    def _begin_measuring(self):
        """Nothing is measured of the epoch at hand. left: (part, first batch) of what is to be measured."""
        self.measured = {name: np.zeros(3, self.dtype) for name in self.sums}
        self.left, self.at_once = [(name, 0) for name in self.sums], 1

    def ahead(self, parts: dict[str, Part], order: Order):
        """As of a `Program`."""
        return Ahead(self.plan, parts, order)

    def compile(self, parts: dict[str, Part]):
        """Compiles what takes long without training anything."""
        for name in self.pieces:
            zeros = [np.zeros(each.shape, each.dtype.as_numpy_dtype) for each in self._placeholders(name)]
            self._call_piece(name, parts, zeros, 0, 1, 1)  # no batch, which is not the first of an epoch

    def advance(self, parts: dict[str, Part], ahead: Ahead, stop: int) -> Stretch:
        """One piece of work, up to before step `stop` at most, as of a `Program`."""
        epoch = self.epoch
        if not self.unfinished:
            return self.stretch(epoch, *self._train(epoch, parts, ahead, stop))
        if self.left:
            self._measure(epoch, parts, ahead)
        if self.left:
            return Stretch(epoch, {name: np.zeros(0, self.dtype) for name in self.plan.metrics}, True, False)
        return self.stretch(epoch, self._end(parts), self.step)

    def _train(self, epoch, parts, ahead, stop) -> tuple[Results, int]:
        """(results, the step that they end before) of batches of the piece at hand."""
        number, first = divmod(self.batch, self.plan.fed_batches)
        origin = self.batch - first
        last = min(first + stop - self.step, self.plan.fed_batches, self.plan.n_batches - origin)
        samples = [*ahead.samples(epoch, "train", number), self.as_they_stand]
        results = self._call_piece("train", parts, samples, origin, first, last)
        self.unfinished = origin + last == self.plan.n_batches
        return results, self.step + last - first

    def _measure(self, epoch, parts, ahead):
        """Measures some of a part, as much as takes a moment."""
        (name, begin), started = self.left.pop(0), time.perf_counter()
        batches = self.batches[name]
        number, first = divmod(begin, batches.fed)
        origin = begin - first
        last = min(first + self.at_once, batches.fed, batches.count - origin)
        samples = ahead.samples(epoch, name, number)
        self.measured[name] = self._call_piece(name, parts, samples, origin, first, last)
        self.left[:0] = [(name, origin + last)] if origin + last < batches.count else []
        self.at_once = within_seconds(last - first, time.perf_counter() - started)

    def _end(self, parts) -> Results:
        """Ends an epoch that is measured."""
        spreads, small = self._held(parts)
        feed = self.feed_hyperparameters() | spreads | small
        feed |= {self.sums[name]: sums for name, sums in self.measured.items()}
        results, self.unfinished = self.run(self.ended, feed), False
        self._begin_measuring()
        return results

    def _call_piece(self, name, parts, samples, *bounds):
        """One `Session.run` of some batches of a part. samples: for `_placeholders`."""
        spreads, _ = self._held(parts)
        feed = self.feed_hyperparameters() | dict(zip(self.bounds, bounds, strict=True)) | spreads
        feed |= dict(zip(self._placeholders(name), samples, strict=True))
        feed |= {self.sums[name]: self.measured[name]} if name in self.sums else {}
        return self.run(self.pieces[name], feed)

    def _placeholders(self, name):
        """Those of the samples of a piece; to train on, of their order too."""
        return [*self.fed_parts[name].arrays, *([self.order] if name == "train" else [])]

    def _held(self, parts) -> tuple[dict, dict]:
        """The feeds that are the same in a whole training: of the spreads, and of the parts of one batch."""
        if self.held is None:
            spreads, small = {}, {}
            for name, labels in self.labels.items():
                if self.spreads[name] is not None:
                    given = zip(labels, parts[name][1:], strict=True)
                    feed = {each: array for each, array in given if each is not None}
                    spreads[self.fed_spreads[name]] = self.run(self.spreads[name], feed)
            for name in self._small_parts():
                rows = np.arange(self.batches[name].total)
                arrays = (gathered(each, rows) for each in parts[name].arrays)
                small |= dict(zip(self.fed_parts[name].arrays, arrays, strict=True))
            self.held = spreads, small
        return self.held
