"""Training in shards: a batch is cut into a fixed number of pieces, and their results are summed in a fixed order.

The number of shards S is a setting of a run; the number of machines is not. Every machine computes whole shards, so one
process and 2, 4 or 64 of them end with the same bits. What is defined in terms of shards:

- The training part is cut into S shards of consecutive samples, whose lengths differ by one at most. A batch has
  batch_size / S samples of each, in an order by (seed, epoch, shard). Where a shard has fewer left, in the last batch
  of an epoch, rows of weight 0 take their place.
- The loss of a batch is the weighted mean over its real samples, as without shards. Each shard gives sums: of its
  weighted losses, their gradients, its scores, its weights. They are added in a binary tree, neighbours first, and
  divided by the total weight of the whole batch.
- Batch normalisation uses the moments of the shard's own samples. Its running statistics follow the mean over the
  shards of a batch, each with the weight of its samples.
- Dropout draws by (seed, shard, step).
- Penalties, the gradient norm, the clipping and the step of the optimizer are computed once, on the sums.
- Validation and test parts are cut likewise and measured shard by shard; early stopping decides on the sums.

shards    which samples a shard has, and in which order
loop      the loop over epochs and batches, whose steps are taken in shards
program   a network that learns in shards, on one machine or several
"""
