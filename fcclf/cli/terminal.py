"""What the commands write, and where: results to stdout; progress, warnings and errors to stderr."""

import contextlib
import gc
import os
import sys

from fcclf.errors import RunError
from fcclf.system import memory, muted

TENSORFLOW = memory.Needed(900_000_000, 1_650_000_000)  # bytes, its import and a session
PROGRESS_LINES = 10  # in all, if stderr is not a terminal
SCORES = {"accuracy": "accuracy", "r2": "R2"}  # in metrics, and for people


def open_standard_streams():
    """Opens closed standard streams as /dev/null: otherwise the next file opened would become stdout or stderr."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # pytest's are not
            stream.reconfigure(errors="backslashreplace")


def write(results):
    """Prints results. Raises as `standard_output` does."""
    with standard_output() as file:
        print(results, file=file)


@contextlib.contextmanager
def standard_output():
    """Yields the open file that results go to. Raises BrokenPipeError if their reader has left, RunError if they cannot
    be written."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries again at exit
        if isinstance(error, BrokenPipeError):
            raise
        raise RunError(f"cannot write to standard output: {error.strerror}.") from error


def say(sentence):
    """Prints a sentence to stderr."""
    with contextlib.suppress(OSError):  # a closed stderr must not end a night's training
        print(f"fcclf: {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_on_stderr(config, quiet):
    """Yields a function for `training.train`: a bar on a terminal, else a line now and then; None if quiet."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with contextlib.closing(ProgressBar(config.training.epochs)) as bar:
            yield bar
    else:
        yield ProgressLines(config.training.epochs)


@contextlib.contextmanager
def rows_on_stderr(quiet):
    """Yields a function to be called with the number of rows done. It shows a growing count on a terminal, unless
    quiet."""
    from tqdm import tqdm

    with tqdm(unit=" rows", unit_scale=True, file=sys.stderr, disable=quiet or not sys.stderr.isatty()) as bar:
        yield lambda rows: bar.update(rows - bar.n)


class ProgressBar:
    """A bar that begins at the epoch where training begins."""

    FORMAT = "|{bar:10}| epoch {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"  # fits 80 columns

    def __init__(self, total):
        self.total, self.bar = total, None

    def close(self):
        """Closes the bar, if it was ever shown."""
        if self.bar:
            self.bar.close()

    def __call__(self, epoch, metrics):
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, initial=epoch, bar_format=self.FORMAT, file=sys.stderr)
        if metrics:
            self.bar.set_postfix_str(_measured("test", metrics), refresh=False)
        self.bar.update(epoch - self.bar.n)


class ProgressLines:
    """Prints a line each time another tenth of the epochs is done."""

    def __init__(self, total):
        self.total, self.last = total, None

    def __call__(self, epoch, metrics):
        tenth = epoch * PROGRESS_LINES // self.total
        if metrics and tenth != self.last:
            self.last = tenth
            train, test = (_measured(part, metrics) for part in ("train", "test"))
            say(f"epoch {epoch} of {self.total}: {train}, {test}")


def _measured(part, metrics):
    """Loss and score of a part, as a text."""
    name, score = next(pair for pair in SCORES.items() if f"{part}_{pair[0]}" in metrics)
    return f"{part} loss {metrics[f'{part}_loss']:.4f} {score} {metrics[f'{part}_{name}']:.4f}"


@contextlib.contextmanager
def quiet_tensorflow(quiet=False):
    """Imports TensorFlow without its start-up messages on stderr, including those it writes before its log level is
    read. Further imports belong inside the block.

    At a terminal it says what takes so long, unless quiet. Raises RunError if there is not enough memory, because
    TensorFlow would then end with a dump of its stack.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        yield
        return
    memory.require(TENSORFLOW, "TensorFlow", "raise the limit, or end other programs")
    wanted = os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3"
    if sys.stderr.isatty() and not quiet and not wanted:
        say("importing TensorFlow ...")
    with _without_collecting():
        with contextlib.nullcontext() if wanted else muted.stderr(), _without_keras():
            import tensorflow  # noqa: F401
        yield
    gc.freeze()  # a million permanent objects: collecting them repeatedly would double the time of a large table


@contextlib.contextmanager
def _without_keras():
    """Lets TensorFlow be imported inside the block without Keras, almost half of its import, as if Keras were not
    installed. `tensorflow.keras` can still be used afterwards."""
    hidden = "keras" not in sys.modules
    if hidden:
        sys.modules["keras"] = None  # makes importing it fail
    try:
        yield
    finally:
        if hidden:
            del sys.modules["keras"]


@contextlib.contextmanager
def _without_collecting():
    """Disables garbage collection inside the block: an import makes little garbage, but a million objects to look
    at."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
