"""Requests that are computed together: one call of the model for the rows of several.

A call takes half a millisecond whether it has one row or a hundred. So a request waits a few milliseconds for others,
unless it is the only one that the server has; then it is computed at once. The rows joined in a call are limited, and
so are the calls made at a time; requests that wait for a call are still joined. Only rows of one shape for one
signature of one version are joined. If a joined call fails, each request is computed by itself, so that none suffers
from another's fault.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fcclf.serving.server.model import Model
from fcclf.serving.server.rest import Question

CALLS = 4  # at a time
EARLY = 1e-4  # seconds by which a timer may fire too early


class _Job(NamedTuple):
    model: Model
    asked: Question
    answered: asyncio.Future
    due: float  # seconds, of time.monotonic

    def waits(self):
        """Whether somebody still wants the answer."""
        return not self.answered.done()


class Batcher:
    """Joins requests and calls the model.

    window: seconds that a request waits for others; most_rows: of joined requests; if either is 0, none are joined.
    begun: returns how many requests the server has begun and not answered; computed: called with (requests, rows) of
    each call.
    """

    def __init__(self, window: float, most_rows: int, begun: Callable[[], int], computed=lambda requests, rows: None):
        self.window, self.most_rows, self.begun, self.computed = window, most_rows, begun, computed
        self.pool = ThreadPoolExecutor(CALLS, thread_name_prefix="model")
        self._waiting: dict[tuple, deque[_Job]] = {}
        self._free = CALLS

    async def answer(self, model: Model, asked: Question) -> dict[str, np.ndarray]:
        """{output: array} for what is asked of a model, which the caller holds. Raises RequestError."""
        loop = asyncio.get_running_loop()
        joins = self.window > 0 and self.most_rows > 0 and asked.signature.joins
        window = self.window if joins and 2 * asked.rows <= self.most_rows else 0  # else hardly another fits in
        job = _Job(model, asked, loop.create_future(), time.monotonic() + window)
        shapes = tuple(array.shape[1:] for array in asked.arrays)
        key = (model, asked.signature.name, shapes) if joins else (job.answered,)
        self._waiting.setdefault(key, deque()).append(job)
        loop.call_soon(self._start)
        if window:
            loop.call_later(window, self._start)
        return await job.answered

    def close(self):
        """Ends the threads once their calls are done."""
        self.pool.shutdown(wait=False)

    def _start(self):
        """Starts the calls that are due, while any are free."""
        for key in [*self._waiting]:
            while self._free and key in self._waiting and self._is_due(self._waiting[key]):
                jobs = self._taken(key)
                if jobs:
                    self._free -= 1
                    task = asyncio.ensure_future(self._compute(jobs))
                    task.add_done_callback(self._done)

    def _is_due(self, jobs):
        alone = sum(map(len, self._waiting.values())) >= self.begun()
        full = sum(job.asked.rows for job in jobs) >= self.most_rows
        return alone or full or time.monotonic() >= jobs[0].due - EARLY

    def _taken(self, key):
        """The first jobs that wait, as many as may be joined; at least one, if there is one."""
        jobs, taken, rows = self._waiting[key], [], 0
        while jobs and (not taken or rows + jobs[0].asked.rows <= self.most_rows):
            job = jobs.popleft()
            if job.waits():
                taken.append(job)
                rows += job.asked.rows
        if not jobs:
            del self._waiting[key]
        return taken

    def _done(self, task):
        self._free += 1
        self._start()

    async def _compute(self, jobs):
        try:
            with jobs[0].model.held():
                found = await asyncio.get_running_loop().run_in_executor(self.pool, _answers, jobs)
        except RuntimeError as error:  # the threads have ended
            found = [error] * len(jobs)
        self.computed(len(jobs), sum(job.asked.rows for job in jobs))
        for job, answer in zip(jobs, found, strict=True):
            if not job.waits():
                continue
            if isinstance(answer, Exception):
                job.answered.set_exception(answer)
            else:
                job.answered.set_result(answer)


def _answers(jobs):
    """For each job, what the model answers, or the exception that it raised."""
    if len(jobs) > 1:
        try:
            return _joined(jobs)
        except Exception:  # one job's rows are to blame; the others must be answered
            return [_answers([job])[0] for job in jobs]
    (job,) = jobs
    try:
        return [job.model.answer(job.asked.signature, job.asked.arrays)]
    except Exception as error:
        return [error]


def _joined(jobs):
    model, signature = jobs[0].model, jobs[0].asked.signature
    arrays = [np.concatenate(parts) for parts in zip(*(job.asked.arrays for job in jobs), strict=True)]
    outputs = model.answer(signature, arrays)
    ends = np.cumsum([job.asked.rows for job in jobs])
    if any(len(array) != ends[-1] for array in outputs.values()):
        raise ValueError("an output does not have a row for each row")
    parts = {name: np.split(array, ends[:-1]) for name, array in outputs.items()}
    return [{name: parts[name][number] for name in parts} for number in range(len(jobs))]
