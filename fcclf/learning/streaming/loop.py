"""The body of the training loop in pieces, for samples that are fed piece by piece.

Each piece is one call: some batches of an epoch, some of the samples that a part is measured by, or the end of an
epoch. Together they compute what `fcclf.learning.loop.Loop` computes in one call, batch by batch in the same shapes and
order. Here, the state carried from batch to batch goes through variables, and the sums of an evaluation are fed back.
"""

import tensorflow as tf

from fcclf.data.dataset import Part
from fcclf.learning.loop import Loop, Results, evaluated_at_once, means, product, some_rows, window


class StreamedLoop(Loop):
    """The body of the loop. Its public pieces are called one after the other: advance -> measured -> ended."""

    def advance(self, fed: Part, order, spread, origin, first, last) -> Results:
        """Trains on some batches of an epoch.

        fed: samples. order: int32, their numbers, batch after batch. spread: what scores are relative to, as an
        objective's `spread` gives it. origin, first, last: int32 scalars; trains on batches `first` to before `last` of
        those that are fed, which begin with batch `origin` of the epoch.
        """
        self.penalty, self.spreads, self.origin = self.fed_penalty(), {"train": spread}, origin
        begun = self.storage.read()
        state = self.train(self.begin(begun, origin + first), fed, order, first, last)
        metrics, stopped = tf.zeros((0, len(self.plan.metrics)), self.plan.dtype), tf.constant(False)
        return self.results(begun, state, metrics, tf.constant(0), stopped)

    def window_of(self, number):
        """(where batch `number` of those fed begins, the weights of its samples), as in `Loop`.

        Where to slice must not depend on `origin`: the compiler would treat it as a constant and recompile for every
        value.
        """
        plan = self.plan
        _, counted = window(self.origin + number, plan.batch_size, plan.sizes.train, plan.dtype)
        return number * plan.batch_size, counted

    def measured(self, name: str, fed: Part, spread, sums, origin, first, last):
        """Adds the sums of some batches of part `name`, as `measuring` gives them, to `sums`, [3].

        fed: samples, batch after batch. The other arguments are as in `advance`.
        """
        total = getattr(self.plan.sizes, name)
        size = evaluated_at_once(total, self.plan.n_features)
        trained, statistics = self.values(self.storage.read().learner)
        measure = self.measuring({**trained, **statistics}, spread)

        def add(number, sums):
            _, counted = window(origin + number, size, total, self.plan.dtype)
            X, y, given = self.taken(fed, lambda each: some_rows(each, number * size, size))
            return number + 1, sums + measure(X, y, product(given, counted))

        return tf.while_loop(lambda number, _: number < last, add, (first, sums))[1]

    def ended(self, parts: dict[str, Part | tf.Tensor], spreads) -> Results:
        """Ends an epoch. parts: {name: sums of what was measured, [3], or the `Part` if it is one batch}; spreads:
        {name: spread, as in `advance`}."""
        self.penalty, self.spreads, begun = self.fed_penalty(), spreads, self.storage.read()
        metrics = tf.zeros((1, len(self.plan.metrics)), self.plan.dtype)
        stopped, state, metrics = self.finish(begun, metrics, 0, parts)
        return self.results(begun, state, metrics, tf.constant(1), stopped)

    def evaluate(self, name, part, values):
        """Mean loss and score of a part of the data."""
        return super().evaluate(name, part, values) if isinstance(part, Part) else means(part)
