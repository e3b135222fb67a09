"""The folder of versions: the newest that can be loaded answers; new ones are loaded, old ones closed.

DIR/1/, DIR/2/, ...: a folder whose name is a whole number is a version. It is loaded and warmed up beside the one that
answers, and takes its place between two requests; the old one is closed when its last request is answered. A version
that cannot be loaded is refused, with a sentence, until its files change. If the newest is removed, the next one
answers. DIR may be a single version itself; then no others are loaded.
"""

import contextlib
import os
import threading
from collections import deque
from pathlib import Path

from fcclf.errors import RunError
from fcclf.serving.server.model import SAVED_MODEL, TEXT_MODEL, Model
from fcclf.serving.server.statuses import NOT_FOUND, UNAVAILABLE, RequestError
from fcclf.serving.versions import is_number

INTERVAL = 0.5  # seconds between checks of the folder
REMEMBERED = 20  # closed versions that the status still lists


class Versions:
    """The versions in `directory`. name: of the model; say: called with sentences; heard: called with whether a version
    was loaded or refused, for metrics."""

    def __init__(self, directory: Path, threads: int = 0, name=None, say=lambda _: None, heard=lambda _: None):
        self.directory, self.threads, self.say, self.heard = Path(directory), threads, say, heard
        self.is_version = any((self.directory / each).exists() for each in (SAVED_MODEL, TEXT_MODEL))
        self.name = name or model_name(self.directory, self.is_version)
        self.current: Model | None = None
        self.refused: dict[int, tuple[tuple, str]] = {}  # version: (its files, why)
        self._loading, self._retired, self._ended = None, [], deque(maxlen=REMEMBERED)
        self._seen: dict[int, tuple] = {}
        self._lock, self._wake, self._stopped = threading.Lock(), threading.Event(), False

    # ---- loading and closing, by one thread ----

    def look(self):
        """Loads the newest version that can be loaded, unless it answers already, and closes those that nobody uses any
        more."""
        found = self._found()
        for number in sorted(found, reverse=True):
            if self.current and self.current.number == number:
                break
            if self._is_whole(number, found[number]) and self._take_up(number, found[number]):
                break
        self.refused = {number: each for number, each in self.refused.items() if number in found}
        self._seen = {number: each for number, each in self._seen.items() if number in found}
        self._let_go()

    def _found(self):
        """The versions on disk: {number: folder}."""
        if self.is_version:
            name = self.directory.resolve().name
            return {int(name) if is_number(name) else 1: self.directory}
        with contextlib.suppress(OSError):
            folders = [each for each in self.directory.iterdir() if is_number(each.name) and each.is_dir()]
            return {int(folder.name): folder for folder in folders}
        return {}

    def _is_whole(self, number, path):
        """Whether a version is complete, and not refused with the same files: nobody seems to be copying it, because
        its files were the same at the last look. As long as no version answers, a version is not made to wait."""
        files, before = _files(path), self._seen.get(number)
        self._seen[number] = files
        if number in self.refused:
            return self.refused[number][0] != files == before
        return self.current is None or files == before

    def _take_up(self, number, path):
        self._loading = number
        try:
            model = Model(path, number, self.threads)
        except RunError as error:
            self.refused[number] = self._seen[number], str(error)
            self.heard(False)
            stays = f"; version {self.current.number} stays" if self.current else ""
            self.say(f"version {number} is refused: {str(error).rstrip('.')}{stays}.")
            return False
        finally:
            self._loading = None
        self._swap(model)
        return True

    def _swap(self, model):
        with self._lock:
            old, self.current = self.current, model
            if old:
                self._retired.append(old)
        self.refused.pop(model.number, None)
        self.heard(True)
        if old:
            self.say(f"version {model.number} answers now")

    def _let_go(self):
        for model in [each for each in self._retired if not each.users]:
            with self._lock:
                self._retired.remove(model)
                self._ended.append(model.number)
            model.close()
            self.say(f"version {model.number} is let go")

    def watch(self) -> threading.Thread:
        """Starts a thread that calls `look` repeatedly until `stop`; returns it."""
        thread = threading.Thread(target=self._watch, name="versions", daemon=True)
        thread.start()
        return thread

    def _watch(self):
        while not self._stopped:
            self._wake.wait(INTERVAL)
            self._wake.clear()
            try:
                self.look()
            except Exception as error:  # what is loaded must continue to answer
                self.say(f"cannot look for versions in {self.directory}: {error}")

    def stop(self):
        """Ends the thread of `watch`."""
        self._stopped = True
        self._wake.set()

    # ---- for requests, from any thread ----

    @contextlib.contextmanager
    def lease(self, number: int | None = None):
        """The `Model` that answers, held open inside the block. Raises RequestError if it is not version `number`."""
        with contextlib.ExitStack() as stack:
            with self._lock:
                model = self.current
                if model is None:
                    raise RequestError(f"no version of {self.name} is loaded yet: try again.", UNAVAILABLE)
                if number not in (None, model.number):
                    raise RequestError(
                        f"version {number} of {self.name} is not here: {model.number} answers.", NOT_FOUND
                    )
                stack.enter_context(model.held())
            yield model

    def states(self) -> dict[int, tuple[str, str]]:
        """{version: (TensorFlow Serving's name for its state, what went wrong or "")}, the newest first."""
        with self._lock:
            known = dict.fromkeys(self._ended, ("END", ""))
            known |= {number: ("END", sentence) for number, (_, sentence) in [*self.refused.items()]}
            known |= {model.number: ("UNLOADING", "") for model in self._retired}
            known |= {self._loading: ("LOADING", "")} if self._loading is not None else {}
            known |= {self.current.number: ("AVAILABLE", "")} if self.current else {}
        return dict(sorted(known.items(), reverse=True))


def model_name(directory: Path, is_version: bool) -> str:
    """The name of the model in a directory: that of the directory or, if it is a version, of its parent."""
    path = directory.resolve()
    return path.parent.name if is_version and is_number(path.name) else path.name


def _files(path):
    """What shows whether files have changed: their names, sizes and times."""
    found = []
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(folder, name))
                found.append((folder, name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))
