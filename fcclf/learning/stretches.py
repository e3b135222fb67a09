"""The one training loop in Python. Each iteration is a stretch: one `Session.run` of the loop in the graph.

Where a stretch ends depends on the clock and on the intervals of checkpoints and pictures, and changes no bit of the
result.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from fcclf.data.dataset import Part
from fcclf.data.order import Order
from fcclf.learning.program import Program, Stretch

SECONDS = 0.4  # target duration of a stretch; an interrupt is answered after one stretch and at most two saves
FIRST_STRETCH = 16  # steps of the first stretch, when the speed is not known yet
MOST_GROWTH = 16  # factor by which a stretch may exceed the one before it
MOST_IN_EPOCH = 1000  # stretches; in very long epochs, the fixed cost of shorter ones could dominate


def stretches(
    program: Program,
    parts: dict[str, Part],
    n_epochs: int,
    *,
    sampling: str = "shuffle",
    shuffle_window: int | None = None,
    next_stop: Callable[[], int] | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    longest: int | None = None,
) -> Iterator[Stretch]:
    """Trains a program that has begun, up to epoch `n_epochs` or until its rule or `asked_to_stop` ends training.

    Yields each `Stretch` as soon as it is trained. parts: {name: `Part` of arrays}. sampling, shuffle_window: as in
    `fcclf.data.order.epoch_order`. next_stop: returns the step before which the next stretch must end. longest: the
    largest number of steps in a stretch, used in place of the clock.
    """
    end, budget = n_epochs * program.plan.n_batches, longest or FIRST_STRETCH
    order = Order(program.given.seed, program.plan.sizes.train, sampling, shuffle_window)
    with contextlib.closing(program.ahead(parts, order)) as ahead:
        while program.epoch < n_epochs and not program.stopped and not asked_to_stop():
            started, before = time.perf_counter(), program.step
            stop = min(end, before + budget, program.furthest_stop, *([next_stop()] if next_stop else []))
            yield program.advance(parts, ahead, stop)
            if not longest and program.step > before:
                timed = within_seconds(program.step - before, time.perf_counter() - started)
                budget = max(timed, program.plan.n_batches // MOST_IN_EPOCH)


def within_seconds(steps, seconds):
    """Number of steps for the next stretch, after one of `steps` that took `seconds`, including the work that followed
    it."""
    return max(1, min(MOST_GROWTH * steps, int(steps * SECONDS / seconds)))
