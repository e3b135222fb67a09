"""When an epoch is the best so far, and when there has been no better one for too long.

The comparison is written once, with operators alone, so that it serves both the loop, on tensors, and a reader of a
history, on the same numbers.
"""

from typing import NamedTuple

import numpy as np

from fcclf.settings.run_config import Stopping

SLOWEST_RATE = 1e-6  # at or below it the adaptive schedule ends training instead of lowering the rate


class Rule(NamedTuple):
    """A rule of early stopping.

    metric, rising, lenient: as in `fcclf.settings.run_config.Stopping`.
    """

    metric: str
    rising: bool = False
    lenient: bool = False

    @property
    def worst(self) -> float:
        """The worst value of the metric, from which the best one starts."""
        most = float(np.finfo(np.float32).max)
        return -most if self.rising else most

    def compare(self, value, best, tolerance):
        """(whether a value is the best so far, whether patience begins again), for tensors or numbers."""
        quality, best = (value, best) if self.rising else (-value, -best)
        if self.lenient:
            return quality > best, quality >= best + tolerance
        return quality > best + tolerance, quality > best + tolerance

    def standing(self, values, tolerance: float, patience: int, slower=None) -> "Standing":
        """The `Standing` after epochs with these values of the metric, an array of the loop's type.

        slower: bool for each epoch, whether exhausted patience lowers the learning rate instead of ending training.
        """
        best, tolerance = values.dtype.type(self.worst), values.dtype.type(tolerance)
        epoch, wait, stopped = None, 0, False
        for number, value in enumerate(values, start=1):
            improved, renewed = self.compare(value, best, tolerance)
            if improved:
                best, epoch = value, number
            wait = 0 if renewed else wait + 1
            stopped = wait >= patience
            if stopped and slower is not None and slower[number - 1]:
                wait, stopped = 0, False
        return Standing(epoch, stopped)


class Standing(NamedTuple):
    """How far training has come under a rule. best_epoch: None before there is one. stopped: training is over."""

    best_epoch: int | None
    stopped: bool


def rule_of(stopping: Stopping | None) -> Rule | None:
    """The rule that a config asks for; None without one."""
    return Rule(stopping.metric, stopping.rising, stopping.lenient) if stopping else None


def standing(columns: dict[str, np.ndarray], stopping: Stopping | None, dtype: str) -> Standing:
    """The `Standing` after the epochs of a history, the same as the loop's. columns: {metric: values of the epochs};
    dtype: of the numbers in the loop."""
    values = np.asarray(columns.get(stopping.metric, ()) if stopping else (), dtype)
    if not len(values):
        return Standing(None, False)
    slower = columns["learning_rate"] > SLOWEST_RATE if stopping.slows else None
    found = rule_of(stopping).standing(values, stopping.tolerance, stopping.patience, slower)
    return found if stopping.keeps_best else found._replace(best_epoch=None)
