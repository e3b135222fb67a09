"""The order in which the samples of an epoch are trained on.

The order of epoch e depends on (seed, e) alone, so there is no generator whose state a checkpoint would have to hold,
and an epoch can be entered again at any batch.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np


def epoch_order(seed: int, epoch: int, size: int, sampling: str, shard: int | None = None) -> np.ndarray:
    """The sample numbers of epoch `epoch` (from 0) in the order they are trained on: int32 [size].

    `sampling` is "shuffle" (each sample once), "bootstrap" (drawn with replacement) or "none" (as they stand). shard:
    the samples are those of one shard of the training part, which has an order of its own.
    """
    if sampling == "none":
        return np.arange(size, dtype=np.int32)
    drawn_from = [seed, epoch] if shard is None else [seed, epoch, shard]
    generator = np.random.Generator(np.random.PCG64(drawn_from))  # named, so that numpy's default may change
    if sampling == "bootstrap":
        return generator.integers(size, size=size, dtype=np.int32)
    return generator.permutation(size).astype(np.int32)


class EpochOrders:
    """The orders of the epochs of a training, made ahead in a thread while the session computes.

    size: samples in the training part; n_rows: the most epochs asked for at once.
    """

    def __init__(self, seed: int, sampling: str, size: int, n_rows: int):
        self.seed, self.sampling, self.shape = seed, sampling, (n_rows, size)
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.ahead = self.pool.submit(dict)

    def rows(self, first_epoch: int, last_epoch: int) -> np.ndarray:
        """int32 [n_rows, size]: a row for each epoch from first to last; the rows after them are zero."""
        made, orders = self.ahead.result(), np.zeros(self.shape, np.int32)
        for row, epoch in enumerate(range(first_epoch, last_epoch + 1)):
            orders[row] = made[epoch] if epoch in made else self._order(epoch)
        self.ahead = self.pool.submit(self._following, last_epoch, orders[row].copy(), row + 1)
        return orders

    def close(self):
        """Ends the thread."""
        self.pool.shutdown(cancel_futures=True)

    def _following(self, epoch, order, count):
        """{epoch: order} of an epoch, which may not be finished yet, and of `count` epochs after it."""
        return {epoch: order, **{later: self._order(later) for later in range(epoch + 1, epoch + 1 + count)}}

    def _order(self, epoch):
        return epoch_order(self.seed, epoch, self.shape[1], self.sampling)
