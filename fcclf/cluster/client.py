"""The client's view of its workers: whether they are there, alike, and alive.

If a worker has died, the step fails; if it hangs, the step does not. So the client asks each worker for a sign of life
while a step takes long. Whatever could wait for a lost worker runs in a thread that can be abandoned.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
import uuid
from concurrent import futures

import tensorflow as tf

from fcclf.cluster.addresses import Cluster
from fcclf.cluster.mail import Line
from fcclf.cluster.server import device
from fcclf.data.facts import Facts
from fcclf.errors import RunError, WorkerLostError
from fcclf.learning.plan import Plan
from fcclf.learning.predictor import session_config, without_own_threads
from fcclf.runs import run_directory
from fcclf.settings.config import Config
from fcclf.settings.run_config import CPU
from fcclf.sharded.program import ShardedProgram

tf1 = tf.compat.v1

SIGN_SECONDS = 15  # that a worker may take to give a sign of life
STEP_SECONDS = 3  # of a step, before the client asks for signs of life
RETRY_SECONDS = 0.3
START_SECONDS = 60  # that workers may take to start, by default
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.FailedPreconditionError, tf.errors.CancelledError)

_attempts = itertools.count()  # each has its own variables, into which an abandoned step must not write
_left_behind = []  # sessions: closing one would wait for its worker


class Workers:
    """The workers of a cluster whose client this process is.

    target: of its server; threads: of that server. patience: seconds to wait for workers, when they start and after one
    was lost; None: only when they start. gathered: whether they have been prepared for a run.
    """

    def __init__(self, cluster: Cluster, target: str, threads: int, patience: float | None, say):
        self.cluster, self.target, self.threads, self.patience, self.say = cluster, target, threads, patience, say
        self.lines, self.gathered = {}, False

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of all tasks, the client's first."""
        return tuple(device(task) for task in range(len(self.cluster.addresses)))

    def program(self, plan: Plan) -> ShardedProgram:
        """A program of the plan whose shards the workers compute too."""
        return ClusterProgram(plan, self)

    # ---- before the first step

    def gather(self, config: Config, planned: Plan, facts: Facts):
        """Waits until all workers are there and have their shards of the data. Raises RunError if one does not come,
        cannot take part or differs from this process, WorkerLostError if one is lost meanwhile."""
        if planned.threads != self.threads:
            raise RunError(f"this run began with --threads {planned.threads}: give that to every task.")
        self.wait(START_SECONDS if self.patience is None else self.patience)
        own = {
            "versions": run_directory.versions(planned.threads, CPU),
            "data": json.loads(json.dumps(facts.to_dict())),
        }
        order = {"tasks": len(self.cluster.addresses), "config": config.to_dict(), "data": own["data"]}
        for task, answer in self._answers({"token": uuid.uuid4().hex, **order}).items():
            problem = answer.get("problem") or _difference(own, answer)
            if problem:
                raise RunError(f"{self.cluster.name(task)} cannot take part: {problem}.")
        self.gathered = True

    def wait(self, seconds: float):
        """Waits until every worker gives a sign of life. Raises RunError if one does not within `seconds`."""
        deadline, told = time.monotonic() + seconds, set()
        for task in self.cluster.workers:
            while not self._is_there(task):
                if time.monotonic() > deadline:
                    late = f"{self.cluster.name(task)} did not come within {seconds:g} s"
                    raise RunError(f"{late}: start it, and run the command again.")
                if task not in told:
                    told.add(task)
                    self.say(f"waiting for {self.cluster.name(task)}")
                time.sleep(RETRY_SECONDS)

    def over(self):
        """Tells all workers that can be reached that the training is over."""
        for task in self.cluster.workers:
            with contextlib.suppress(tf.errors.OpError, futures.TimeoutError):
                self._asked(task, lambda line: line.send({"token": "", "over": True}))

    def _answers(self, order):
        """{task: its answer to an order}."""
        found = {}
        while len(found) < len(self.cluster.workers):
            for task in set(self.cluster.workers) - found.keys():
                answer = self._answer(task, order)
                if answer.get("token") == order["token"]:
                    found[task] = answer
            time.sleep(RETRY_SECONDS / 3)
        return found

    def _answer(self, task, order):
        def ask(line):
            line.send(order)
            return line.answered()

        try:
            return self._asked(task, ask)
        except tf.errors.FailedPreconditionError:  # it has just started
            return {}
        except (tf.errors.OpError, futures.TimeoutError) as error:
            raise self._lost(task) from error

    # ---- signs of life

    def _is_there(self, task):
        try:
            with socket.create_connection(self.cluster.host_and_port(task), timeout=SIGN_SECONDS):
                pass
            self._asked(task, Line.answered)
        except tf.errors.FailedPreconditionError:  # it has just started
            return False
        except (tf.errors.OpError, futures.TimeoutError, OSError):
            return False
        return True

    def _asked(self, task, ask):
        """The result of ask(its `Line`). Raises TimeoutError or `tf.errors.OpError`."""
        if task not in self.lines:
            self.lines[task] = Line(self.target, task)
        try:
            return within(SIGN_SECONDS, lambda: ask(self.lines[task]))
        except (tf.errors.OpError, futures.TimeoutError):
            _left_behind.append(self.lines.pop(task))
            raise

    def watched(self, work):
        """Runs work(), which waits for the workers, and returns its result. Raises WorkerLostError if one is lost
        meanwhile."""
        running = _started(work)
        while True:
            try:
                return running.result(STEP_SECONDS)
            except futures.TimeoutError:
                self._check(self._silent())
            except tf.errors.OpError as error:
                self._check(self._silent(), error)
                if isinstance(error, LOST):
                    raise WorkerLostError("the connection to a worker was lost") from error
                raise

    def _silent(self):
        """The workers that give no sign of life. They are asked at the same time."""
        signs = {task: _started(lambda task=task: self._asked(task, Line.answered)) for task in self.cluster.workers}
        return [task for task, sign in signs.items() if sign.exception() is not None]

    def _check(self, silent, error=None):
        if silent:
            raise self._lost(*silent) from error

    def _lost(self, *tasks):
        names = " and ".join(self.cluster.name(task) for task in tasks)
        return WorkerLostError(f"{names} {'does' if len(tasks) == 1 else 'do'} not answer any more")


class ClusterProgram(ShardedProgram):
    """A program whose shards are on several tasks; everything else is on this one."""

    def __init__(self, plan: Plan, workers: Workers):
        self.workers, self.attempt = workers, f"attempt-{next(_attempts)}"
        super().__init__(plan, workers.devices)

    def build(self):
        """Builds the program, with its variables in a separate container."""
        with tf1.get_default_graph().container(self.attempt):
            super().build()

    def open_session(self, graph: tf.Graph) -> tf1.Session:
        """A session of this process's server."""
        return tf1.Session(self.workers.target, graph=graph, config=without_own_threads(session_config(self.threads)))

    def run(self, fetches, feed=None):
        """Runs as `Program.run` does. Raises WorkerLostError if a worker is lost meanwhile."""
        return self.workers.watched(lambda: super(ClusterProgram, self).run(fetches, feed))

    def close(self):
        """Abandons the session, because closing it would wait for its workers."""
        _left_behind.append(self.session)


def within(seconds: float, work):
    """Runs work() and returns its result. Raises TimeoutError if it takes longer than `seconds`, and abandons it."""
    return _started(work).result(seconds)


def _started(work):
    """The `Future` of work(), in a separate thread that does not keep the process alive."""
    found = futures.Future()

    def run():
        try:
            found.set_result(work())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return found


def _difference(own, answer):
    """What is different at a worker, a sentence; empty if nothing is."""
    changes = [
        f"{name}: {str(own[kind][name])[:64]} at the client, {str(answer[kind].get(name))[:64]} there"
        for kind in own
        for name in own[kind]
        if own[kind][name] != answer[kind].get(name)
    ]
    return f"it has other versions or data ({'; '.join(changes)})" if changes else ""
