"""What every peer's process does: it says that it is ready, then measures whenever it is asked to.

It writes `ready`. For each line it reads, the words of a workload, it writes a number and the most memory it had, in
bytes; or `missing NAME`, and ends.
"""

import functools
import resource
import sys
import time
from collections.abc import Callable

from beside.workloads import Workload

SECONDS, LONG, MOST = 1.0, 8.0, 4000  # a round's target; a first call this long is a round; most epochs


def answer(kinds: dict[str, Callable[[Workload], Callable[[], float]]]):
    """Answers as the kind that sys.argv names. kinds: {name: function of a workload that returns a function that
    measures}."""
    begun = functools.lru_cache(1)(kinds[sys.argv[1]])
    print("ready", flush=True)
    for words in sys.stdin:
        try:
            value = begun(Workload.from_words(words))()
        except (ImportError, FileNotFoundError) as error:
            print("missing", getattr(error, "name", None) or error.filename, flush=True)
            return
        print(value, peak_bytes(), flush=True)


def timed(train: Callable[[int], None], n_batches: int = 1, least: int = 1) -> Callable[[], float]:
    """A function that returns seconds a step of train(number of epochs), with `least` epochs or more."""
    count = functools.cache(lambda: filling(train, least))

    def measured():
        train(count())  # warms up: while the others were measured, the system may have taken memory away
        return seconds(train, count()) / count() / n_batches

    return measured


def filling(train, count):
    """A number of epochs that fills a round."""
    if seconds(train, count) > LONG:
        return count
    while (taken := seconds(train, count)) < SECONDS / 2 and count < MOST:
        count = min(MOST, count * max(2, min(16, int(SECONDS / taken))))
        train(count)  # another number of epochs may be compiled again
    return count


def seconds(use, *arguments) -> float:
    started = time.perf_counter()
    use(*arguments)
    return time.perf_counter() - started


def peak_bytes() -> int:
    """The peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
