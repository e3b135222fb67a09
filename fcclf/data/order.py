"""The order in which the samples of an epoch are trained on.

The order of epoch e depends on (seed, e) alone, so there is no generator whose state a checkpoint would have to hold,
and an epoch can be entered again at any batch.

With a window the samples are shuffled on two levels, because files are read faster in blocks than in single rows:
blocks of rows come in an order by (seed, e), and the rows of several blocks together, a window, in one by (seed, e,
number of the window). A window of such an order is made without the others.
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
    how many samples are shuffled, or drawn from, together, in whole blocks of BLOCK; None: all. shard: the samples are
    those of one shard of the training part, which has an order of its own.
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
    """(first place, sample numbers, int32) of the window of an epoch's order that holds a place of it.

    The other arguments are those of `epoch_order`, of which it is a part.
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
    return np.random.Generator(np.random.PCG64(seeds))  # named, so that numpy's default may change


class Order(NamedTuple):
    """The order of every epoch of a training on so many samples. The members are the arguments of `epoch_order`."""

    seed: int
    size: int
    sampling: str = "shuffle"
    window: int | None = None
    shard: int | None = None

    def of_epoch(self, epoch: int) -> np.ndarray:
        """The whole order of an epoch: int32 [size]."""
        return epoch_order(self.seed, epoch, *self[1:])

    def at(self, epoch: int, place: int) -> tuple[int, np.ndarray]:
        """(first place, sample numbers) of the window of an epoch's order that holds a place of it."""
        return order_at(place, self.seed, epoch, *self[1:])


class EpochOrders:
    """The orders of the epochs of a training, made ahead in a thread while the session computes.

    n_rows: the most epochs asked for at once.
    """

    def __init__(self, order: Order, n_rows: int):
        self.order, self.shape = order, (n_rows, order.size)
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.ahead, self.epochs, self.filled = self.pool.submit(dict), (), None

    def rows(self, first_epoch: int, last_epoch: int) -> np.ndarray:
        """int32 [n_rows, size]: a row for each epoch from first to last; the rows after them are zero. Not to be kept:
        the next call may change the array."""
        if (first_epoch, last_epoch) != self.epochs:  # a stretch of a long epoch has the rows of the one before
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
        furthest = max(last_epoch + len(epochs), *made)
        following = range(last_epoch, furthest + 1)  # the last one may not be finished yet
        self.ahead = self.pool.submit(self._made, following, made)

    def of_epoch(self, epoch: int) -> np.ndarray:
        """The row of an epoch."""
        return self.order.of_epoch(epoch)

    def close(self):
        """Ends the thread."""
        self.pool.shutdown(cancel_futures=True)

    def _made(self, epochs, made):
        """{epoch: order}. made: those of some epochs."""
        return {epoch: made[epoch] if epoch in made else self.of_epoch(epoch) for epoch in epochs}
