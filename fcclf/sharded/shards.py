"""Which samples a shard has, and in which order they are trained on. Both depend on the numbers of samples and shards
alone, so that every machine finds its own."""

import numpy as np

from fcclf.data.dataset import Part
from fcclf.data.order import EpochOrders, Order

NO_ROW = -1  # in an order: a row of weight 0


def bounds(size: int, shards: int, shard: int) -> tuple[int, int]:
    """(first, end) of the samples of a shard of a part of `size` samples."""
    return shard * size // shards, (shard + 1) * size // shards


def length(size: int, shards: int) -> int:
    """Number of samples in the longest shard, at least 1."""
    return max(1, -(-size // shards))


def is_even(size: int, shards: int) -> bool:
    """Whether all shards have the same number of samples."""
    return size % shards == 0


def cut(part: Part, shards: int, shard: int) -> Part:
    """One shard of a part, dense, with zeros at its end up to the length of the longest.

    It has weights if the part has them or the shards are uneven; the rows at the end have weight 0.
    """
    first, end = bounds(len(part.y), shards, shard)
    rows = length(len(part.y), shards)
    weights = part.weights
    if weights is None and not is_even(len(part.y), shards):
        weights = np.ones(len(part.y), part.X.dtype)
    return Part(*(None if each is None else _padded(each[first:end], rows) for each in (part.X, part.y, weights)))


def _padded(array, rows):
    if len(array) == rows:
        return array
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


class ShardedOrders(EpochOrders):
    """The orders of the epochs in every shard: int32 [n_rows, shards, rows], `NO_ROW` after a shard's last sample.

    order: of the training part; rows: of a shard in all batches of an epoch.
    """

    def __init__(self, order: Order, n_rows: int, shards: int, rows: int):
        super().__init__(order, n_rows)
        self.shape, self.orders = (n_rows, shards, rows), []
        for shard in range(shards):
            first, end = bounds(order.size, shards, shard)
            self.orders.append(order._replace(size=end - first, shard=shard))

    def of_epoch(self, epoch: int) -> np.ndarray:
        """The rows of all shards in an epoch."""
        made = np.full(self.shape[1:], NO_ROW, np.int32)
        for shard, order in enumerate(self.orders):
            made[shard, : order.size] = order.of_epoch(epoch)
        return made
