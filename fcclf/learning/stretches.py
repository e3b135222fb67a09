"""The one training loop in Python. Each turn is a stretch: one `Session.run` of the loop in the graph.

Where a stretch ends depends on the clock and on the intervals of checkpoints and pictures, and changes no bit of the
result.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from fcclf.data.dataset import Part
from fcclf.learning.program import Program, Stretch

SECONDS = 0.4  # what a stretch aims at; an interrupt is answered after one stretch and one save
FIRST_STRETCH = 16  # steps, before the speed is known
MOST_GROWTH = 16  # of the next stretch over the last


def stretches(
    program: Program,
    parts: dict[str, Part],
    n_epochs: int,
    *,
    sampling: str = "shuffle",
    next_stop: Callable[[], int] | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    longest: int | None = None,
) -> Iterator[Stretch]:
    """Trains a program that has begun up to epoch `n_epochs`, or until its rule or `asked_to_stop` ends it.

    Yields each `Stretch` as soon as it is trained. parts: {name: `Part` of arrays}. sampling: as in
    `fcclf.data.order.epoch_order`. next_stop: the step that the next stretch ends before at the latest. longest: steps
    in a stretch at most, whatever the clock says.
    """
    end, budget = n_epochs * program.plan.n_batches, longest or FIRST_STRETCH
    with contextlib.closing(program.orders(sampling)) as orders:
        while program.step < end and not program.stopped and not asked_to_stop():
            started, before = time.perf_counter(), program.step
            stop = min(end, before + budget, program.furthest_stop, *([next_stop()] if next_stop else []))
            yield program.advance(parts, orders, stop)
            budget = longest or _budget(program.step - before, time.perf_counter() - started)


def _budget(steps, seconds):
    """Number of steps of the next stretch, after one of `steps` that took `seconds`, what followed it included."""
    return max(1, min(MOST_GROWTH * steps, int(steps * SECONDS / seconds)))
