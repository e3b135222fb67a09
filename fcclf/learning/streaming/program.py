"""A program whose samples are fed piece by piece, so that there may be more of them than fit in memory.

It replaces a `Program` wherever one is trained, with bit-identical results. A stretch is a short piece of work: some
batches, some samples of an evaluation, or the end of an epoch. So a signal is answered in the middle of a long
evaluation too; that evaluation starts over when training resumes.
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
    """The class of program that a plan needs."""
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
            self.order = tf1.placeholder(tf.int32, (self.plan.fed_rows,), "order")  # XLA treats constants differently
            self.sums = {name: tf1.placeholder(self.dtype, (3,), f"sums_{name}") for name in in_pieces(self.batches)}
            self._build_spreads()
            self._build_pieces(StreamedLoop(self.plan, self.network, self.storage, self.fed))

    def _build_spreads(self):
        """Makes what the scores of each part are relative to, or None if they are not, and its placeholders."""
        spread = self._compiled(self.plan.objective.spread)
        self.labels = {name: self.part_placeholders(name, each.total)[1:] for name, each in self.batches.items()}
        self.spreads = {name: spread(*labels) for name, labels in self.labels.items()}
        self.fed_spreads = self.spread_placeholders(self.spreads)

    def _build_pieces(self, body):
        """Makes the outputs of each piece: some batches of each part that has several, and the end of an epoch."""
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
        """Starts a training, as in `Program`."""
        super().begin(given, values, epoch)
        self.held = None
        self._begin_measuring()

    def _begin_measuring(self):
        """Marks the current epoch as not measured. left: (part, first batch) of what must still be measured."""
        self.measured = {name: np.zeros(3, self.dtype) for name in self.sums}
        self.left, self.at_once = [(name, 0) for name in self.sums], 1

    def ahead(self, parts: dict[str, Part], order: Order):
        """What `advance` needs of the coming epochs, as in `Program`: the reader of their samples."""
        return Ahead(self.plan, parts, order)

    def compile(self, parts: dict[str, Part]):
        """Compiles the pieces that take long, without training anything."""
        for name in self.pieces:
            zeros = [np.zeros(each.shape, each.dtype.as_numpy_dtype) for each in self._placeholders(name)]
            self._call_piece(name, parts, zeros, 0, 1, 1)  # no batches, and not the beginning of an epoch

    def advance(self, parts: dict[str, Part], ahead: Ahead, stop: int) -> Stretch:
        """Does one piece of work, training up to before step `stop` at most. Otherwise as in `Program`."""
        epoch = self.epoch
        if not self.unfinished:
            return self.stretch(epoch, *self._train(epoch, parts, ahead, stop))
        if self.left:
            self._measure(epoch, parts, ahead)
        if self.left:
            return Stretch(epoch, {name: np.zeros(0, self.dtype) for name in self.plan.metrics}, True, False)
        return self.stretch(epoch, self._end(parts), self.step)

    def _train(self, epoch, parts, ahead, stop) -> tuple[Results, int]:
        """Trains on batches of the current piece: (results, the step before which they end)."""
        number, first = divmod(self.batch, self.plan.fed_batches)
        origin = self.batch - first
        last = min(first + stop - self.step, self.plan.fed_batches, self.plan.n_batches - origin)
        samples = [*ahead.samples(epoch, "train", number), self.as_they_stand]
        results = self._call_piece("train", parts, samples, origin, first, last)
        self.unfinished = origin + last == self.plan.n_batches
        return results, self.step + last - first

    def _measure(self, epoch, parts, ahead):
        """Measures some batches of a part, as many as take about as long as a stretch."""
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
        """Ends an epoch that has been measured."""
        spreads, small = self._held(parts)
        feed = self.feed_hyperparameters() | spreads | small
        feed |= {self.sums[name]: sums for name, sums in self.measured.items()}
        results, self.unfinished = self.run(self.ended, feed), False
        self._begin_measuring()
        return results

    def _call_piece(self, name, parts, samples, *bounds):
        """Runs some batches of a part in one `Session.run`. samples: arrays for `_placeholders`."""
        spreads, _ = self._held(parts)
        feed = self.feed_hyperparameters() | dict(zip(self.bounds, bounds, strict=True)) | spreads
        feed |= dict(zip(self._placeholders(name), samples, strict=True))
        feed |= {self.sums[name]: self.measured[name]} if name in self.sums else {}
        return self.run(self.pieces[name], feed)

    def _placeholders(self, name):
        """The placeholders of the samples of a piece and, in training, of their order."""
        return [*self.fed_parts[name].arrays, *([self.order] if name == "train" else [])]

    def _held(self, parts) -> tuple[dict, dict]:
        """The feeds that stay the same for a whole training: of the spreads, and of the parts that are one batch."""
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
