"""The training loop in the graph: one `Session.run` does the work of thousands of fed steps.

It trains whole epochs or parts of them and returns the metrics of each epoch that it finishes. It may begin and end at
any batch; where it is cut changes no bit of the result. It carries its state as tensors: it reads the graph's variables
at the beginning and assigns them at the end.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from fcclf.data.dataset import Part
from fcclf.learning import optimizers
from fcclf.learning.objective import Penalty, divided, weighted_mean
from fcclf.learning.optimizers import Given
from fcclf.learning.plan import Hyperparameters, Plan, batches_per_epoch
from fcclf.learning.state import SUMS, Learner, State, Storage
from fcclf.network.layers import Context, Phase
from fcclf.network.network import Network, inference
from fcclf.network.sums import total, totals

tf1 = tf.compat.v1

EVALUATION_BATCH, EVALUATION_NUMBERS = 4096, 1 << 24  # most samples, and most numbers in them, evaluated at once


class Results(NamedTuple):
    """The results of a stretch. metrics: [most epochs, metrics], zero in the rows of unfinished epochs. epochs: int32,
    how many were finished. finite: bool, whether all weights, slots and statistics are. stopped: bool, whether the rule
    ended training."""

    metrics: tf.Tensor
    epochs: tf.Tensor
    finite: tf.Tensor
    stopped: tf.Tensor


class Measured(NamedTuple):
    """Measurements of a batch as it is trained on, scalars. loss, score: weighted sums over its samples; weight: their
    total weight; size: number of samples that count."""

    loss: tf.Tensor
    score: tf.Tensor
    weight: tf.Tensor | float
    size: tf.Tensor | float


class Loop:
    """The body of the loop. Its methods are its levels: run -> train -> batch, and finish at the end of an epoch."""

    def __init__(self, plan: Plan, network: Network, storage: Storage, fed: Hyperparameters):
        """fed: the placeholders of the hyperparameters."""
        self.plan, self.network, self.storage, self.fed = plan, network, storage, fed
        self.penalty, self.spreads = None, {}

    def run(self, parts: dict[str, Part], order, n_epochs, first, last) -> Results:
        """Trains on `n_epochs` rows of `order`, int32 [most epochs, train samples], from batch `first` of the first row
        to before batch `last` of the last row, or until the rule ends training."""
        self.penalty = self.fed_penalty()
        self.spreads = {name: self.spread(part) for name, part in parts.items()}
        state = begun = self.storage.read()
        stopped = state.best.stopped if state.best else tf.constant(False)

        def epoch(row, finished, stopped, state, metrics):
            start = tf.where(tf.equal(row, 0), first, 0)
            stop = tf.where(tf.equal(row, n_epochs - 1), last, self.plan.n_batches)
            state = self.train(self.begin(state, start), parts["train"], order[row], start, stop)
            if self.plan.n_batches == 1:  # every stretch consists of whole epochs
                return row + 1, finished + 1, *self.finish(state, metrics, row, parts)
            whole = tf.equal(stop, self.plan.n_batches)
            ended = tf.cond(
                whole,
                lambda: _changed_by_finish(*self.finish(state, metrics, row, parts)),
                lambda: _changed_by_finish(stopped, state, metrics),
            )
            return row + 1, finished + tf.cast(whole, tf.int32), *_with_changes(state, *ended)

        metrics = tf.zeros((order.shape[0], len(self.plan.metrics)), self.plan.dtype)
        _, finished, stopped, state, metrics = tf.while_loop(
            lambda row, finished, stopped, *_: tf.logical_and(row < n_epochs, tf.logical_not(stopped)),
            epoch,
            (0, 0, stopped, state, metrics),
        )
        return self.results(begun, state, metrics, finished, stopped)

    def results(self, begun: State, state: State, metrics, finished, stopped) -> Results:
        """Assigns a state to the variables and returns the `Results`. begun: the state that was read from the
        variables."""
        with tf.control_dependencies(tf.nest.flatten(begun)):  # which a constant would not wait for otherwise
            assigned = self.storage.assign(state)
        with tf.control_dependencies(assigned):
            finite = all_finite(state.learner)
            return Results(tf.identity(metrics), tf.identity(finished), finite, tf.identity(stopped))

    def fed_penalty(self) -> Penalty:
        """The `Penalty` that the fed hyperparameters describe."""
        plan, fed, kernels = self.plan, self.fed, self.plan.kernels
        l1, l2 = (
            dict(zip(kernels, tf.unstack(each), strict=True)) if on else None
            for each, on in ((fed.l1, plan.l1), (fed.l2, plan.l2))
        )
        alpha = dict.fromkeys(kernels, fed.alpha) if plan.alpha else None
        return Penalty(self.storage.trained, plan.dtype, plan.compiled, l1, l2, alpha)

    def spread(self, part: Part):
        """What the scores of a part are relative to."""
        return self.plan.objective.spread(part.y, part.weights)

    def begin(self, state: State, start) -> State:
        """Remembers the weights that an epoch begins with. start: int32, the number of the next batch; 0 begins an
        epoch."""
        pairs = zip(state.learner.weights, state.epoch_start, strict=True)
        return state._replace(epoch_start=tuple(tf.where(tf.equal(start, 0), new, old) for new, old in pairs))

    def train(self, state: State, part: Part, order, start, stop) -> State:
        """Trains on batches `start` to before `stop` of an epoch. order: int32 [samples]; start, stop: int32
        scalars."""

        def batch(number, learner):
            return number + 1, self.numbered_batch(number, learner, state.learning_rate, part, order)

        if self.plan.n_batches == 1:  # starting and ending a loop takes a tenth of a small step's time
            return state._replace(learner=batch(0, state.learner)[1])
        _, learner = tf.while_loop(lambda number, _: number < stop, batch, (start, state.learner))
        return state._replace(learner=learner)

    def numbered_batch(self, number, learner: Learner, kept_rate, part: Part, order) -> Learner:
        """One step, on batch `number` of an epoch."""
        first, counted = self.window_of(number)
        samples = tf.slice(order, [first], [self.plan.batch_size])
        X, y, given = self.taken(part, lambda each: tf.gather(each, samples))
        return self.batch(learner, kept_rate, X, y, given, counted)

    def window_of(self, number):
        """(where batch `number` begins in the order, the weights of its samples), as `window` gives them."""
        return window(number, self.plan.batch_size, self.plan.sizes.train, self.plan.dtype)

    def taken(self, part: Part, take):
        """(X, y, weights) of some samples of a part, X dense. take(array): the rows of these samples in an array of the
        part."""
        X = dense(*map(take, part.X), self.plan.n_features) if part.is_sparse else take(part.X)
        return X, take(part.y), None if part.weights is None else take(part.weights)

    def batch(self, learner: Learner, kept_rate, X, y, given, counted) -> Learner:
        """One step. given: [batch], weights of the samples, or None. counted: weights from `window`."""
        weights = product(given, counted)
        size = float(self.plan.batch_size) if counted is None else tf.reduce_sum(counted)
        weight = size if weights is None else tf.reduce_sum(weights)
        phase = Phase(learner.global_step, weights, updates={})
        statistics = self.storage.statistics.unpack(learner.statistics)
        logits, losses, slopes = self.descent(learner.weights, statistics, X, y, weights, phase)
        scores = self.plan.objective.scores(logits, y, self.spreads["train"])
        loss, score = self.weighted_sums(weights, losses, scores)
        if phase.updates:
            learner = learner._replace(statistics=self.storage.statistics.pack({**statistics, **phase.updates}))
        return self.moved(learner, kept_rate, slopes, Measured(loss, score, weight, size))

    def moved(self, learner: Learner, kept_rate, slopes, measured: Measured) -> Learner:
        """The learner after one step, with the batch's measurements added to its sums. slopes: packed gradient of the
        batch's mean loss, without penalties."""
        penalty, gradients = self.penalized(learner.weights, slopes, measured.weight)
        norm = tf.sqrt(tf.add_n([total(part * part, self.plan.compiled) for part in gradients]))
        rate = self.rate_after(kept_rate, norm, penalty, measured.loss, measured.score)
        learner = self.step(learner, gradients, norm, rate)
        added = {
            "loss": measured.loss,
            "total": (divided(measured.loss, measured.weight) + penalty) * measured.size,
            "score": measured.score,
            "weight": measured.weight,
            "gradient_norm": norm,
        }
        return learner._replace(sums=learner.sums + tf.stack([added[name] for name in SUMS]))

    def rate_after(self, kept_rate, norm, *others):
        """The learning rate, which in a compiled loop waits for scalars that were computed from the weights: the norm
        of the gradient, and others.

        The weights are then updated after their last use. XLA would copy them first if it did not know that. The rate
        stays what it is, whatever a loss or a score is, unless the gradient itself is not a number.
        """
        if not self.plan.compiled:
            return kept_rate
        waited_for = tf.add_n([norm, *others])
        return tf.where(tf.math.is_nan(waited_for), tf.where(tf.math.is_nan(norm), norm, kept_rate), kept_rate)

    def descent(self, packed, statistics, X, y, weights, phase):
        """(logits, loss of each sample, packed gradient of their weighted mean) of a batch in training. packed: the
        trained weights of the network. weights: of the samples, [batch], or None."""
        trained = self.storage.trained.unpack(packed)
        logits = self.logits(X, {**trained, **statistics}, phase)
        losses = self.plan.objective.losses(logits, y, training=True)
        gradients = tf.gradients(weighted_mean(losses, weights), list(trained.values()))
        return logits, losses, self.storage.trained.pack(dict(zip(trained, gradients, strict=True)))

    def penalized(self, packed, gradients, weight):
        """(penalty, packed gradients with the penalty's added). weight: total weight of the samples that `gradients`
        are of."""
        penalty, slopes = self.penalty.value_and_gradient(packed, weight)
        return penalty, [part if slope is None else part + slope for part, slope in zip(gradients, slopes, strict=True)]

    def full_descent(self, packed, part: Part):
        """(loss with penalties, minimised value, packed gradient of that value) of a whole part. packed: the trained
        weights of the network.

        What is minimised is the sum over outputs, while the loss is their mean.
        """

        def batch(X, y, weights):
            weight = float(X.shape[0]) if weights is None else tf.reduce_sum(weights)
            _, losses, gradients = self.descent(packed, {}, X, y, weights, None)
            loss = tf.reduce_sum(product(losses, weights))
            return loss, [each * weight for each in gradients], tf.cast(weight, loss.dtype)

        self.penalty = self.fed_penalty()
        zero, zeros = tf.zeros((), self.plan.dtype), [tf.zeros_like(each) for each in packed]
        loss, gradients, weight = self._summed(part, self.plan.sizes.train, batch, (zero, zeros, zero))
        loss, gradients = divided(loss, weight), [divided(each, weight) for each in gradients]
        penalty, gradients = self.penalized(packed, gradients, weight)
        return loss + penalty, loss * self.plan.objective.averaged + penalty, gradients

    def _summed(self, part, total, batch, zeros):
        """The sums of what batch(X, y, weights) returns over all samples of a part, which it takes a limited number at
        a time to save memory. zeros: the initial sums, in the structure that `batch` returns."""
        size = evaluated_at_once(total, self.plan.n_features)

        def add(number, sums):
            first, counted = window(number, size, total, self.plan.dtype)
            X, y, given = self.taken(part, lambda each: some_rows(each, first, size))
            return number + 1, tf.nest.map_structure(tf.add, sums, batch(X, y, product(given, counted)))

        n_batches = batches_per_epoch(total, size)
        if n_batches == 1:
            return add(0, zeros)[1]
        return tf.while_loop(lambda number, _: number < n_batches, add, (0, zeros))[1]

    def values(self, learner: Learner):
        """({variable name: tensor} of the trained variables, the same of the statistics)."""
        return self.storage.trained.unpack(learner.weights), self.storage.statistics.unpack(learner.statistics)

    def logits(self, X, values, phase=None):
        """Logits, [batch, outputs]. values: {variable name: tensor}. phase: None to predict."""
        dropout = self.fed.dropout if self.plan.fed_dropout else None
        context = Context(values, self.fed.seed, self.plan.compiled, phase, dropout)
        return inference(X, self.network, context)["output"]

    def step(self, learner: Learner, gradients, norm, kept_rate) -> Learner:
        """The learner after one step of the optimizer. gradients: packed; norm: their global norm."""
        plan, optimizer = self.plan, self.plan.optimizer
        if plan.clip_norm is not None:
            gradients = optimizers.clipped(gradients, norm, plan.clip_norm)
        rate = plan.schedule.rate(kept_rate, learner.global_step)
        weights, slots = [], []
        for number, (weight, gradient) in enumerate(zip(learner.weights, gradients, strict=True)):
            own = tuple(slot[number] for slot in learner.slots)
            moved, own = optimizer.step(weight, gradient, own, rate, learner.powers)
            weights.append(moved)
            slots.append(own)
        return learner._replace(
            weights=tuple(weights),
            slots=tuple(zip(*slots, strict=True)),
            powers={name: power * optimizer.powers[name] for name, power in learner.powers.items()},
            global_step=learner.global_step + 1,
        )

    def finish(self, state: State, metrics, row, parts):
        """Ends an epoch: (whether to stop, the state, metrics with the epoch's in `row`)."""
        state = state._replace(epoch=state.epoch + 1)
        measured = self.measure(state, parts)
        stopped, state = self.judge(state, measured)
        measured["wait"] = tf.cast(state.best.wait, self.plan.dtype) if state.best else None
        values = tf.stack([measured[name] for name in self.plan.metrics])
        learner = state.learner._replace(sums=tf.zeros_like(state.learner.sums))
        return stopped, state._replace(learner=learner), tf.tensor_scatter_nd_update(metrics, [[row]], [values])

    def measure(self, state: State, parts):
        """{metric: scalar} of the epoch that has ended, except the rule's wait."""
        plan, learner = self.plan, state.learner
        sums = dict(zip(SUMS, tf.unstack(learner.sums), strict=True))
        found = {
            "train_loss": divided(sums["loss"], sums["weight"]),
            "train_total": sums["total"] / plan.sizes.train,
            f"train_{plan.objective.score}": divided(sums["score"], sums["weight"]),
            "penalty": self.penalty.value_and_gradient(learner.weights, float(plan.batch_size))[0],
            "gradient_norm": sums["gradient_norm"] / plan.n_batches,
            "learning_rate": plan.schedule.rate(state.learning_rate, learner.global_step),
        }
        trained, statistics = self.values(learner)
        for name in ("validation", "test"):
            if name in parts:
                measured = self.evaluate(name, parts[name], {**trained, **statistics})
                found[f"{name}_loss"], found[f"{name}_{plan.objective.score}"] = measured
        return found

    def judge(self, state: State, measured):
        """(whether to stop, the state), after the rule has judged the epoch and the schedule has set the learning
        rate."""
        rule, best, exhausted = self.plan.rule, state.best, tf.constant(False)
        if rule:
            value = measured[rule.metric]
            improved, renewed = rule.compare(value, best.value, self.fed.tolerance)
            wait = tf.where(renewed, tf.zeros_like(best.wait), best.wait + 1)
            best = _chosen(improved, self._as_best(state, value), best)._replace(wait=wait)
            exhausted = wait >= self.fed.patience
        samples = self.fed.samples + state.epoch * self.plan.sizes.train
        given = Given(self.fed.learning_rate, self.fed.power_t, samples)
        rated = self.plan.schedule.after_epoch(state.learning_rate, exhausted, given)
        if rule:
            wait = best.wait if rated.slowed is None else tf.where(rated.slowed, tf.zeros_like(best.wait), best.wait)
            best = best._replace(wait=wait, stopped=rated.stopped)
        return rated.stopped, state._replace(best=best, learning_rate=rated.rate)

    def _as_best(self, state, value):
        learner, kept = state.learner, self.plan.keeps_best
        weights, statistics = (learner.weights, learner.statistics) if kept else ((), ())
        return state.best._replace(value=value, epoch=state.epoch, weights=weights, statistics=statistics)

    def evaluate(self, name, part: Part, values):
        """Mean loss and score of a part of the data, scalars."""
        batch, total = self.measuring(values, self.spreads[name]), getattr(self.plan.sizes, name)
        return means(self._summed(part, total, batch, tf.zeros(3, self.plan.dtype)))

    def measuring(self, values, spread):
        """A function of (X, y, weights) that returns the weighted sums of the losses and scores of some samples, and
        their total weight, [3]. spread: what the scores of their part are relative to."""
        objective = self.plan.objective

        def batch(X, y, weights):
            logits = self.logits(X, values)
            losses, scores = objective.losses(logits, y), objective.scores(logits, y, spread)
            return tf.stack(self.weighted_sums(weights, losses, scores, tf.ones_like(losses)))

        return batch

    def weighted_sums(self, weights, *values):
        """The sum of each of `values`, [batch], over the samples. weights: of the samples, [batch], or None."""
        return [totals(product(each, weights), self.plan.compiled) for each in values]


def means(sums):
    """(mean loss, mean score) of a part. sums: of losses, scores and weights, [3]."""
    return divided(sums[0], sums[2]), divided(sums[1], sums[2])


def evaluated_at_once(total: int, n_features: int) -> int:
    """Number of samples that are evaluated at once, out of `total` in a part."""
    return min(EVALUATION_BATCH, max(1, EVALUATION_NUMBERS // n_features), total)


def window(number, size, total, dtype="float32"):
    """Where batch `number` of `size` out of `total` samples begins, and the weights of its samples, [size].

    XLA needs batches of one shape. If the last would run over the end it begins earlier, and samples that were already
    in the batch before it get weight 0. If all batches are full, the weights are None.
    """
    if total % size == 0:
        return number * size, None
    first = tf.minimum(number * size, total - size)
    return first, tf.cast(first + tf.range(size) >= number * size, dtype)


def dense(columns, values, n_features):
    """Sparse samples as a dense tensor, [batch, features]. columns, values: [batch, places], as in `SparseRows`."""
    batch, places = values.shape
    rows = tf.repeat(tf.range(batch), places)
    indices = tf.stack([rows, tf.reshape(columns, [-1])], axis=1)
    return tf.scatter_nd(indices, tf.reshape(values, [-1]), (batch, n_features + 1))[:, :-1]


def some_rows(array, first, count):
    """`count` rows of an array, beginning with row `first`."""
    return tf.slice(array, [first, 0][: array.shape.rank], [count, *array.shape[1:]])


def product(*factors):
    """The product of those factors that are not None; None if all are."""
    factors = [each for each in factors if each is not None]
    return functools.reduce(tf.multiply, factors) if factors else None


def _chosen(condition, one, other):
    """A structure with the values of `one` where the condition holds, else those of `other`."""
    return tf.nest.map_structure(lambda first, second: tf.where(condition, first, second), one, other)


def _changed_by_finish(stopped, state, metrics):
    """What the end of an epoch changes; the weights are left out because a conditional would copy them."""
    return stopped, state.learner.sums, state.epoch, state.learning_rate, state.best, metrics


def _with_changes(state, stopped, sums, epoch, learning_rate, best, metrics):
    learner = state.learner._replace(sums=sums)
    return stopped, state._replace(learner=learner, epoch=epoch, learning_rate=learning_rate, best=best), metrics


def all_finite(learner: Learner):
    """Whether all weights, slots and statistics are finite: a bool tensor."""
    changing = tf.nest.flatten([learner.weights, learner.slots, learner.statistics])
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(each)) for each in changing])
