"""The samples that one `Session.run` needs, read in a thread while the session computes on the previous ones.

Each read covers a range of places in the order of an epoch, or in a part that is measured. Its rows are read in the
order in which they are stored, because disks read sequentially fastest, and put in their places in memory. Where
samples are shuffled in windows, and a window is not too large, such a range is a window, so that each row is read once.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fcclf.data.dataset import Part, aligned
from fcclf.data.order import Order
from fcclf.data.rows import gathered
from fcclf.learning.loop import evaluated_at_once
from fcclf.learning.plan import READ_BYTES, Plan, batches_per_epoch

MEASURED = ("validation", "test")  # parts that are measured after every epoch


class Batches(NamedTuple):
    """How a part is cut into batches and pieces. size: samples in a batch; total: samples in the part; fed: batches in
    a piece, which is fed at once."""

    size: int
    total: int
    fed: int

    @classmethod
    def of(cls, plan: Plan, part: str) -> "Batches":
        """The batches by which a plan trains on a part, or measures it."""
        total = getattr(plan.sizes, part)
        if part == "train":
            return cls(plan.batch_size, total, plan.fed_batches)
        size = evaluated_at_once(total, plan.n_features)
        return cls(size, total, min(max(1, plan.fed_rows // size), batches_per_epoch(total, size)))

    @property
    def count(self) -> int:
        """Number of batches in the part."""
        return batches_per_epoch(self.total, self.size)

    @property
    def pieces(self) -> int:
        """Number of pieces in the part."""
        return -(-self.count // self.fed)

    def places(self, number: int) -> np.ndarray:
        """The places of the samples of a piece, batch after batch. If the last batch would be short it begins earlier,
        as in `fcclf.learning.loop.window`; after it, places are repeated."""
        batches = np.minimum(np.arange(number * self.fed, (number + 1) * self.fed), self.count - 1)
        first = np.minimum(batches * self.size, self.total - self.size)
        return (first[:, None] + np.arange(self.size)).ravel()


class Range(NamedTuple):
    """Places `first` to before `last` of a part: of the order of an epoch, or of the part as it stands."""

    epoch: int
    part: str
    first: int
    last: int


class Ahead:
    """Reads the samples of parts, {name: `Part` of arrays}, one range ahead of the one in use. order: of the training
    part."""

    def __init__(self, plan: Plan, parts: dict[str, Part], order: Order):
        self.parts, self.order = parts, order
        self.batches = {name: Batches.of(plan, name) for name in parts}
        self.at_once = max(1, READ_BYTES // (plan.n_features * np.dtype(plan.dtype).itemsize))  # rows
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.window, self.now, self.next = (None, 0, ()), (None, None), (None, None)
        self.piece, self.fed = None, {}

    def close(self):
        """Shuts down the thread that reads."""
        self.pool.shutdown(cancel_futures=True)

    def samples(self, epoch: int, part: str, number: int) -> list[np.ndarray]:
        """The arrays of the samples of a piece, in the order of `Part.arrays`, batch after batch. Valid until the next
        call."""
        if (epoch, part, number) != self.piece:
            self.piece, places = None, self.batches[part].places(number)
            fed = self.fed.setdefault(part, [_like(each, len(places)) for each in self.parts[part].arrays])
            place, last = places.min(), places.max()
            while place <= last:
                read, arrays = self._range_at(epoch, part, place)
                inside = np.flatnonzero((places >= read.first) & (places < read.last))
                taken, inside = _as_slice(places[inside] - read.first), _as_slice(inside)
                for array, target in zip(arrays, fed, strict=True):
                    target[inside] = array[taken]
                place = read.last
            self.piece = epoch, part, number
        return self.fed[part]

    def _range_at(self, epoch, part, place):
        """(the `Range` that holds a place, its arrays). Starts to read the next range."""
        read, _ = self.now
        if not (read and read[:2] == (epoch, part) and read.first <= place < read.last):
            begun, made = self.next
            self.now, self.next = (None, None), (None, None)  # frees the memory of what is no longer needed
            if not (begun and begun[:3] == (epoch, part, place)):
                made = self.pool.submit(self._read, epoch, part, place)
            self.now = made.result()
            following = self._after(self.now[0])
            self.next = following, self.pool.submit(self._read, *following)
        return self.now

    def _after(self, read):
        """(epoch, part, place) of what is needed next after a range, unless training is interrupted."""
        if read.last < self.batches[read.part].total:
            return read.epoch, read.part, read.last
        names = ["train", *in_pieces(self.batches)]
        later = names[names.index(read.part) + 1 :]
        return (read.epoch, later[0], 0) if later else (read.epoch + 1, "train", 0)

    def _read(self, epoch, part, place):
        begin, rows = self._window(epoch, place) if part == "train" else (0, None)
        end = begin + len(rows) if part == "train" else self.batches[part].total
        if end - begin > self.at_once:
            begin += (place - begin) // self.at_once * self.at_once
        read = Range(epoch, part, begin, min(end, begin + self.at_once))
        rows = np.arange(*read[2:]) if rows is None else rows[read.first - self.window[1] :][: read.last - read.first]
        return read, [gathered(each, rows) for each in self.parts[part].arrays]

    def _window(self, epoch, place):
        """(first place, sample numbers) of the window of an epoch's order that holds a place. The last one is
        cached."""
        known, begin, rows = self.window
        if known != epoch or not begin <= place < begin + len(rows):
            begin, rows = self.order.at(epoch, place)
            self.window = epoch, begin, rows
        return begin, rows


def _as_slice(numbers):
    """Numbers as a slice, which copies faster, if they are consecutive; else unchanged. They may have gaps or
    repetitions, but not both."""
    first, last = int(numbers[0]), int(numbers[-1])
    return slice(first, last + 1) if last - first + 1 == len(numbers) else numbers


def _like(array, count):
    """An empty array of `count` rows, each of the same shape and type as those of `array`."""
    return aligned((count, *array.shape[1:]), array.dtype)


def in_pieces(batches: dict[str, Batches]) -> list[str]:
    """Names of the parts that are measured after every epoch, in order, and have more than one batch. Parts of one
    batch are small enough to be kept in memory."""
    return [name for name in MEASURED if name in batches and batches[name].count > 1]
