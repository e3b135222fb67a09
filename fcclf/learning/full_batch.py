"""Training by an optimizer outside the graph, which asks for the loss of all samples and its gradient.

scipy's L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995) sees one float64 vector of all weights; the graph computes in the
plan's type.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.optimize import OptimizeResult, minimize

from fcclf.data.dataset import Part
from fcclf.learning.loop import Loop
from fcclf.learning.program import Program

tf1 = tf.compat.v1


class Minimum(NamedTuple):
    """Where an optimizer ended. result: scipy's. losses: the loss with penalties of each iteration."""

    result: OptimizeResult
    losses: list[float]


class FullBatch(Program):
    """A network trained by the loss and gradient of its whole training part. Call `begin` first."""

    def build_loop(self):
        """Makes the full-batch loss and gradient, and their placeholders, in place of the loop."""
        with tf1.name_scope("full-batch"):
            self.parts = {"train": self.part_placeholders("train", self.plan.sizes.train)}
            self.packed = self.storage.trained.pack(self.network.trained)
            self.vectors = [tf1.placeholder(each.dtype, each.shape, "weights") for each in self.packed]
            self.assigns = [
                self.network.trained[name].assign(value)
                for name, value in self.storage.trained.unpack(self.vectors).items()
            ]
            body = Loop(self.plan, self.network, self.storage, self.fed)
            run = tf.function(body.full_descent, jit_compile=self.plan.compiled, autograph=False)
            self.results = run(self.vectors, self.parts["train"])

    def minimize(self, parts: dict[str, Part], max_iter: int, max_fun: int, tolerance: float, note) -> Minimum:
        """Minimises the loss from the current weights and assigns the best ones found.

        parts: {"train": `Part`}. max_iter, max_fun: the largest numbers of iterations and of evaluations of the loss.
        tolerance: on the largest component of the gradient. note(number, loss): called after each iteration.
        """
        feed = self.feed_hyperparameters() | self.feed_parts(parts)
        seen, losses = [], []  # seen: (minimised value, loss) of each evaluation in the current iteration

        def evaluated(vector):
            total, minimized, gradient = self.run(self.results, feed | self._vectors(vector))
            seen.append((float(minimized), float(total)))
            return seen[-1][0], _joined(gradient)

        def iterated(intermediate_result):
            chosen = [total for minimized, total in seen if minimized == intermediate_result.fun]
            losses.append((chosen or [seen[-1][1]])[-1])
            seen.clear()
            note(len(losses), losses[-1])

        options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tolerance}
        start = _joined(self.run(self.packed))
        result = minimize(evaluated, start, method="L-BFGS-B", jac=True, callback=iterated, options=options)
        self.run(self.assigns, self._vectors(result.x))
        return Minimum(result, losses or [seen[-1][1]])

    def _vectors(self, vector):
        """The feed of the weights, given as one vector."""
        sizes = [each.shape.num_elements() for each in self.vectors]
        pieces = np.split(vector.astype(self.dtype), np.cumsum(sizes)[:-1])
        return {each: piece.reshape(each.shape) for each, piece in zip(self.vectors, pieces, strict=True)}


def _joined(packed):
    """The packed arrays as one float64 vector."""
    return np.concatenate([np.ravel(each) for each in packed]).astype(np.float64)
