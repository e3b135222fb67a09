"""The samples that one `Session.run` needs, gathered in a thread while the session computes on those before them.

Rows are read in the order in which they stand, for a disk reads on faster than it turns back. Those to train on are fed
so, with the order in which batches take them; those that a part is measured by are fed batch after batch.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fcclf.data.dataset import Part
from fcclf.data.order import Order
from fcclf.data.rows import gathered
from fcclf.learning.loop import evaluated_at_once
from fcclf.learning.plan import Plan, batches_per_epoch

MEASURED = ("validation", "test")  # parts, after every epoch


class Piece(NamedTuple):
    """Some of the batches of a part: `number` counts pieces of an epoch, or of an evaluation."""

    epoch: int
    part: str
    number: int


class Batches(NamedTuple):
    """How a part is cut. size: samples in a batch; total: in the part; fed: batches in a piece."""

    size: int
    total: int
    fed: int

    @classmethod
    def of(cls, plan: Plan, part: str) -> "Batches":
        """Those that a plan trains on, or measures a part by."""
        total = getattr(plan.sizes, part)
        if part == "train":
            return cls(plan.batch_size, total, plan.fed_batches)
        size = evaluated_at_once(total, plan.n_features)
        return cls(size, total, min(max(1, plan.fed_rows // size), batches_per_epoch(total, size)))

    @property
    def count(self) -> int:
        """Number of batches."""
        return batches_per_epoch(self.total, self.size)

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return -(-self.count // self.fed)

    def places(self, number: int) -> np.ndarray:
        """The places of the samples of a piece, batch after batch. A last short batch begins earlier, as in
        `fcclf.learning.loop.window`; after it, places are repeated."""
        batches = np.minimum(np.arange(number * self.fed, (number + 1) * self.fed), self.count - 1)
        first = np.minimum(batches * self.size, self.total - self.size)
        return (first[:, None] + np.arange(self.size)).ravel()


class Ahead:
    """The pieces of parts, {name: `Part` of arrays}, each made while the one before it is at work. order: of the
    training part."""

    def __init__(self, plan: Plan, parts: dict[str, Part], order: Order):
        self.parts, self.order = parts, order
        self.batches = {name: Batches.of(plan, name) for name in parts}
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.window, self.now, self.next = (None, 0, ()), (None, None), (None, None)

    def close(self):
        """Ends the thread."""
        self.pool.shutdown(cancel_futures=True)

    def piece(self, wanted: Piece) -> list[np.ndarray]:
        """The arrays of the samples of a piece, as of a `Part`; to train on, the order of its batches after them."""
        if wanted != self.now[0]:
            begun, made = self.next
            self.now, self.next = (None, None), (None, None)  # what is not needed any more makes room
            if begun != wanted:
                made = self.pool.submit(self._made, wanted)
            self.now = wanted, made.result()
            following = self._after(wanted)
            self.next = following, self.pool.submit(self._made, following)
        return self.now[1]

    def _after(self, piece):
        """The piece that is needed next, where nothing comes between."""
        names = ["train", *in_pieces(self.batches)]
        if piece.number + 1 < self.batches[piece.part].pieces:
            return piece._replace(number=piece.number + 1)
        place = names.index(piece.part) + 1
        return Piece(piece.epoch, names[place], 0) if place < len(names) else Piece(piece.epoch + 1, "train", 0)

    def _made(self, piece):
        rows, order = self.batches[piece.part].places(piece.number), []
        if piece.part == "train":
            found, order = np.unique(self._ordered(piece.epoch, rows), return_inverse=True)
            rows, order = np.pad(found, (0, len(rows) - len(found)), "edge"), [order.astype(np.int32)]
        return [gathered(each, rows) for each in self.parts[piece.part].arrays] + order

    def _ordered(self, epoch, places):
        """The samples at places of an epoch's order."""
        found = np.empty(len(places), np.int32)
        for first, rows in self._windows(epoch, places.min(), places.max()):
            inside = (places >= first) & (places < first + len(rows))
            found[inside] = rows[places[inside] - first]
        return found

    def _windows(self, epoch, first, last) -> Iterator[tuple[int, np.ndarray]]:
        """The windows of an epoch's order that hold its places from first to last. The last one is kept."""
        place = first
        while place <= last:
            known, begin, rows = self.window
            if known != epoch or not begin <= place < begin + len(rows):
                begin, rows = self.order.at(epoch, place)
                self.window = epoch, begin, rows
            yield begin, rows
            place = begin + len(rows)


def in_pieces(batches: dict[str, Batches]) -> list[str]:
    """Names of the parts that are measured after every epoch, in order, and have more than one batch. Those of one
    batch are small enough to be held."""
    return [name for name in MEASURED if name in batches and batches[name].count > 1]
