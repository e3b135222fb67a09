"""The command line: `fcclf train`, `evaluate`, `plot` and `verify`. The scripts are thin doors to it.

Results go to stdout; progress, warnings and errors to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 diverged, and
129, 130 or 143 after SIGHUP, SIGINT or SIGTERM with everything saved. Help and usage errors are answered before
TensorFlow is imported.
"""

import argparse
import contextlib
import difflib
import json
import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path

from fcclf import __version__
from fcclf.config import Config, Model, Moons, Session, Training, add_flags, section_from_flags
from fcclf.durable import explained
from fcclf.errors import ConfigError, DivergedError, RunError

FAILED, USAGE, DIVERGED = 1, 2, 3
PROGRESS_LINES = 10  # in all, where stderr is no terminal


def main(argv=None) -> int:
    """Runs the command in `argv` (default: the process's) and returns its exit code."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # die quietly; training holds signals back for itself
    _open_standard_streams()
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except BrokenPipeError:  # the reader of our results has left, as `| head` does; what there was to do is done
        return 0
    except ConfigError as error:
        return _fail(USAGE, f"{_flag(error.setting_name)} {error.problem}")
    except DivergedError as error:
        return _fail(DIVERGED, error)
    except RunError as error:
        return _fail(FAILED, error)


def run(argv=None):
    """`main` for a process of its own, which it ends: tidying up TensorFlow would take another half second."""
    code = main(argv)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


# ---- commands --------------------------------------------------------------------------------------------------------


def train(arguments) -> int:
    """`fcclf train moons`: trains or continues a run, then evaluates it."""
    config = Config(**{name: section_from_flags(section, arguments) for name, section in SECTIONS.items()})
    path = Path(arguments.logdir) / (arguments.run_name or config.run_name())
    _check_logdir(Path(arguments.logdir))
    started = time.perf_counter()
    with _quiet_tensorflow():
        from fcclf import training
        from fcclf.interrupts import Interrupts
    interrupts = Interrupts()
    with _progress(config, quiet=arguments.quiet) as progress:
        outcome = training.train(
            config, path, fresh=arguments.fresh, interrupts=interrupts, say=_say, progress=progress
        )
    if interrupts.pending():
        _say(f"interrupted: saved after {outcome.epoch} of {config.training.epochs} epochs; to go on: {_command()}")
        interrupts.raise_again()
        return 128 + interrupts.received  # where the system shields the process, as it does the first in a container
    _say(_summary(outcome, config, time.perf_counter() - started))
    return _evaluate(path, arguments.json)


def evaluate(arguments) -> int:
    """`fcclf evaluate RUN`: measures a run's newest checkpoint on its test part."""
    return _evaluate(Path(arguments.run), arguments.json)


def plot(arguments) -> int:
    """`fcclf plot RUN`: draws a run's decision boundary."""
    path = Path(arguments.run)
    with _quiet_tensorflow():
        from fcclf import plots
        from fcclf.inference import TrainedRun
    with TrainedRun(path) as run:
        target = path / "figures" / "decision_boundary.png"
        plots.decision_boundary(target, run.dataset(), run.probabilities, f"{path.name}, epoch {run.epoch}")
    _print(target)
    return 0


def verify(arguments) -> int:
    """`fcclf verify RUN`: checks a run's files; with --replay, trains its last stretch again and compares."""
    path = Path(arguments.run)
    with _quiet_tensorflow():
        from fcclf import verification
    problems = list(verification.check(path))
    if arguments.replay and not problems:
        problems = [difference for difference in [verification.replay(path, _say)] if difference]
    sound = f"{path} is sound" + (", and its last stretch trains again to the same bits" if arguments.replay else "")
    _print("\n".join(problems) or sound)
    return FAILED if problems else 0


def _evaluate(path, as_json):
    with _quiet_tensorflow():
        from fcclf import durable, evaluation
        from fcclf.inference import TrainedRun
    with TrainedRun(path) as run:
        dataset = run.dataset()
        logits = run.logits(dataset.X_test)
        measured = {"epoch": run.epoch, "test": evaluation.metrics(dataset.y_test, logits)}
    document = json.dumps(measured, indent=2)
    text = document
    if not as_json:
        text = (
            f"test loss {measured['test']['loss']:.4f}, accuracy {measured['test']['accuracy']:.4f}\n\n"
            f"{evaluation.report(dataset.y_test, logits)}\n\n"
            f"run directory   {path}\nsee it learn    tensorboard --logdir {shlex.quote(str(path.parent))}"
        )
    try:
        _print(text)
    finally:
        durable.replace_file(path / "metrics.json", document + "\n")
    return 0


def _summary(outcome, config, seconds):
    total, early = config.training.epochs, ""
    if outcome.best_epoch:
        early = f"; the best was epoch {outcome.best_epoch}" + (", it stopped early" if outcome.epoch < total else "")
    if outcome.begun_at == outcome.epoch:
        past = f", past the {total} asked for" if outcome.epoch > total else ""
        remedy = (
            "--fresh starts over" if outcome.epoch < total else "a larger --epochs continues it, --fresh starts over"
        )
        return f"this run has finished {outcome.epoch} epochs{past}{early}; {remedy}"
    begun = f"epochs {outcome.begun_at + 1} to {outcome.epoch}" if outcome.begun_at else f"{outcome.epoch} epochs"
    return f"trained {begun} in {seconds:.1f} s, TensorFlow's import included{early}"


def _open_standard_streams():
    """Gives closed standard streams to /dev/null: the next file opened would else become stdout or stderr."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # pytest's are not
            stream.reconfigure(errors="backslashreplace")


# ---- messages --------------------------------------------------------------------------------------------------------


def _print(results):
    try:
        print(results, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries again when it ends
        if isinstance(error, BrokenPipeError):
            raise
        raise RunError(f"cannot write to standard output: {error.strerror}.") from error


def _say(sentence):
    with contextlib.suppress(OSError):  # a closed stderr must not end a night's training
        print(f"fcclf: {sentence}", file=sys.stderr, flush=True)


def _fail(code, sentence):
    _say(f"error: {sentence}")
    return code


def _flag(setting_name):
    return "--" + setting_name.replace("_", "-")


def _command():
    return shlex.join(word for word in sys.orig_argv if word != "--fresh")


@contextlib.contextmanager
def _progress(config, quiet):
    """Yields a function for `training.train`: a bar on a terminal, else a line now and then, or None if quiet."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _ProgressBar(config.training.epochs) as bar:
            yield bar
    else:
        yield _ProgressLines(config.training.epochs)


class _ProgressBar(contextlib.ExitStack):
    """A bar that begins where the run does."""

    FORMAT = "|{bar:10}| epoch {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"  # fits 80 columns

    def __init__(self, total):
        super().__init__()
        self.total, self.bar = total, None

    def __call__(self, epoch, metrics):
        if self.bar is None:
            from tqdm import tqdm

            self.bar = self.enter_context(
                tqdm(total=self.total, initial=epoch, bar_format=self.FORMAT, file=sys.stderr)
            )
        if metrics:
            shown = f"test loss {metrics['test_loss']:.4f} accuracy {metrics['test_accuracy']:.4f}"
            self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update(epoch - self.bar.n)


class _ProgressLines:
    """A line each time another tenth of the epochs is done."""

    def __init__(self, total):
        self.total, self.told = total, None

    def __call__(self, epoch, metrics):
        tenth = epoch * PROGRESS_LINES // self.total
        if metrics and tenth != self.told:
            self.told = tenth
            train, test = (
                f"{part} loss {metrics[f'{part}_loss']:.4f} accuracy {metrics[f'{part}_accuracy']:.4f}"
                for part in ("train", "test")
            )
            _say(f"epoch {epoch} of {self.total}: {train}, {test}")


@contextlib.contextmanager
def _quiet_tensorflow():
    """Keeps TensorFlow's start-up notes off stderr, also those it writes before its log level is read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules or os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow  # noqa: F401

        os.dup2(kept, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


# ---- arguments -------------------------------------------------------------------------------------------------------

SECTIONS = {"data": Moons, "model": Model, "training": Training, "session": Session}


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence, without the usage in front."""

    def __init__(self, **settings):
        super().__init__(**settings, allow_abbrev=False)

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:  # told here, by the parser that knows the flags, not by the one above it
            self.error(f"unrecognized arguments: {unknown[0]}")
        return namespace, unknown

    def error(self, message):
        message = re.sub(r"^argument (\S+): ", r"\1 ", message)
        unknown = re.match(r"unrecognized arguments: (-?[^\s=]*)", message)
        if unknown and not unknown[1].startswith("-"):
            message = f"there is nothing to do with {unknown[1]!r}; see {self.prog} --help."
        elif unknown:
            near = difflib.get_close_matches(unknown[1], self._option_string_actions, n=1)
            message = f"there is no flag {unknown[1]}" + (
                f"; did you mean {near[0]}?" if near else f"; see {self.prog} --help."
            )
        self.exit(USAGE, f"fcclf: error: {message}\n")


def _parser():
    parser = _Parser(prog="fcclf", description=__doc__.split("\n\n")[0])
    parser.add_argument("--version", action="version", version=f"fcclf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(commands)
    evaluating = _add_run_command(commands, evaluate, "measure a trained run on its test part")
    evaluating.add_argument("--json", action="store_true", help="print the metrics as JSON")
    _add_run_command(commands, plot, "draw a run's decision boundary")
    verifying = _add_run_command(commands, verify, "check a run's files")
    verifying.add_argument("--replay", action="store_true", help="train the last stretch again and compare bit for bit")
    return parser


def _add_run_command(commands, command, help):
    parser = commands.add_parser(command.__name__, help=help, description=command.__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory, such as logs/moons")
    parser.set_defaults(command=command)
    return parser


def _add_train(commands):
    sets = commands.add_parser("train", help="train a run, or go on with it").add_subparsers(
        required=True, metavar="DATA", parser_class=_Parser
    )
    parser = sets.add_parser("moons", help="the two moons", description=train.__doc__)
    for section in SECTIONS.values():
        add_flags(parser, section)
    run = parser.add_argument_group("run")
    run.add_argument("--logdir", type=_logdir, default="logs", help="where run directories are kept (default: logs)")
    run.add_argument("--run-name", type=_run_name, help="name of the run directory (default: made from the settings)")
    run.add_argument("--fresh", action="store_true", help="start over; a run that is there is moved aside")
    run.add_argument("--quiet", action="store_true", help="no progress")
    run.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.add_argument("--version", action="version", version=f"fcclf {__version__}")
    parser.set_defaults(command=train)


def _run_name(text):
    if not text.isprintable() or text.startswith((".", "-")) or "/" in text or not 0 < len(os.fsencode(text)) <= 200:
        raise argparse.ArgumentTypeError(
            f"is {text!r}, but must be one printable directory name of at most 200 bytes, not begun by a dot or dash."
        )
    return text


def _logdir(text):
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"is {text!r}, but must be a printable path.")
    return text


def _check_logdir(logdir):
    """A log directory that cannot be one is reported before the wait for TensorFlow."""
    with explained("find", logdir):
        existing = next(parent for parent in [logdir, *logdir.absolute().parents] if parent.exists())
    if not existing.is_dir():
        raise RunError(f"--logdir is {str(logdir)!r}, but {existing} is a file: name a directory.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(
            f"--logdir is {str(logdir)!r}, but {existing} is not writable: name another, or change its mode."
        )
