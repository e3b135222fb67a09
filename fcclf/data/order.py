"""The order in which the samples of an epoch are trained on.

The order of epoch e depends on (seed, e) alone, so a checkpoint need not hold the state of a generator, and an epoch
can be resumed at any batch.

With a window the samples are shuffled on two levels, because files are read faster in blocks than in single rows: the
order of the blocks of rows depends on (seed, e), and the order of the rows in a window, which is several blocks
together, on (seed, e, number of the window). Each window can be computed without the others.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fcclf.data.dataset import aligned

BLOCK = 4096  # rows that stay together when the order of blocks is drawn


def epoch_order(
    seed: int, epoch: int, size: int, sampling: str, window: int | None = None, shard: int | None = None
) -> np.ndarray:
    """The sample numbers of epoch `epoch` (from 0) in the order they are trained on: int32 [size].

    `sampling` is "shuffle" (each sample once), "bootstrap" (drawn with replacement) or "none" (as they stand). window:
    how many samples are shuffled, or drawn from, together, in whole blocks of BLOCK; None: all. shard: number of the
    shard of the training part that the samples belong to, which has an order of its own; None: no shards.
    """
    pieces, place = [], 0
    while place < size:
        _, piece = order_at(place, seed, epoch, size, sampling, window, shard)
        pieces.append(piece)
        place += len(piece)
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def order_at(
    place: int, seed: int, epoch: int, size: int, sampling: str, window: int | None = None, shard: int | None = None
):
    """The window that holds position `place` of an epoch's order: (its first position, sample numbers, int32).

    The other arguments are those of `epoch_order`, of whose result it is a part.
    """
    if sampling == "none":
        return 0, np.arange(size, dtype=np.int32)
    drawn_by = [seed, epoch] if shard is None else [seed, epoch, shard]
    if window is None:
        return 0, _drawn(drawn_by, size, sampling)
    blocks, count = _generator(drawn_by).permutation(-(-size // BLOCK)), max(1, window // BLOCK)
    lengths = np.minimum(BLOCK, size - BLOCK * blocks)  # the last block may be shorter, wherever it comes
    ends = np.cumsum(np.add.reduceat(lengths, np.arange(0, len(blocks), count)))
    number = int(np.searchsorted(ends, place, side="right"))
    rows = (BLOCK * blocks[number * count :][:count, None] + np.arange(BLOCK)).ravel()
    rows = rows[rows < size].astype(np.int32)
    return int(ends[number]) - len(rows), rows[_drawn([*drawn_by, number], len(rows), sampling)]


def _drawn(seeds, size, sampling):
    """The numbers below `size` in a random order, or drawn with replacement: int32 [size]."""
    if sampling == "bootstrap":
        return _generator(seeds).integers(size, size=size, dtype=np.int32)
    order = np.arange(size, dtype=np.int32)
    _generator(seeds).shuffle(order)  # the permutation that `permutation` gives, in a third of the memory
    return order


def _generator(seeds):
    return np.random.Generator(np.random.PCG64(seeds))  # named: numpy's default may change


class Order(NamedTuple):
    """The order of every epoch of a training. The fields are arguments of `epoch_order`."""

    seed: int
    size: int
    sampling: str = "shuffle"
    window: int | None = None
    shard: int | None = None

    def of_epoch(self, epoch: int) -> np.ndarray:
        """The whole order of an epoch: int32 [size]."""
        return epoch_order(self.seed, epoch, *self[1:])

    def at(self, epoch: int, place: int) -> tuple[int, np.ndarray]:
        """The window that holds position `place` of an epoch's order: (its first position, sample numbers)."""
        return order_at(place, self.seed, epoch, *self[1:])


class EpochOrders:
    """The orders of the epochs of a training, prepared ahead in a thread while the session computes.

    n_rows: the largest number of epochs requested at once.
    """

    def __init__(self, order: Order, n_rows: int):
        self.order, self.shape = order, (n_rows, order.size)
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.ahead, self.epochs, self.filled, self.longest = self.pool.submit(dict), (), None, 0

    def rows(self, first_epoch: int, last_epoch: int) -> np.ndarray:
        """The orders of the epochs from first to last: int32 [n_rows, size], a row for each, then rows of zeros. The
        next call may overwrite the array."""
        if (first_epoch, last_epoch) != self.epochs:  # the stretches of a long epoch have the same rows
            self.filled = aligned(self.shape, np.int32) if self.filled is None else self.filled
            self._fill(first_epoch, last_epoch)
        return self.filled

    def _fill(self, first_epoch, last_epoch):
        epochs, self.epochs = range(first_epoch, last_epoch + 1), (first_epoch, last_epoch)
        made = self.ahead.result()
        made |= self._made(epochs, made)
        for row, epoch in enumerate(epochs):
            self.filled[row] = made[epoch]
        self.filled[len(epochs) :] = 0
        self.longest = max(self.longest, len(epochs))  # of all stretches: a short one may come before a long one
        furthest = last_epoch + self.longest
        begun = last_epoch if self.shape[0] > 1 else last_epoch + 1  # rows of one epoch only: it never comes again
        following = range(begun, furthest + 1)  # the last epoch may not be finished yet, and come again with others
        self.ahead = self.pool.submit(self._made, following, {each: made[each] for each in following if each in made})

    def of_epoch(self, epoch: int) -> np.ndarray:
        """The order of an epoch: int32 [size]."""
        return self.order.of_epoch(epoch)

    def close(self):
        """Ends the thread that computes orders ahead."""
        self.pool.shutdown(cancel_futures=True)

    def _made(self, epochs, made):
        """{epoch: order} of `epochs`. made: {epoch: order} of those that are computed already."""
        return {epoch: made[epoch] if epoch in made else self.of_epoch(epoch) for epoch in epochs}
