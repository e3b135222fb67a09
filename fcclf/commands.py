"""What the commands of the command line do: each takes the parsed arguments and returns the exit code.

TensorFlow is imported inside, when there is work for it, so that help and usage errors need not wait.
"""

import json
import os
import shlex
import sys
import time
from pathlib import Path

from fcclf.config import Config, Model, Moons, Session, Training, section_from_flags
from fcclf.durable import explained
from fcclf.errors import RunError
from fcclf.terminal import progress_on_stderr, quiet_tensorflow, say, write

FAILED = 1  # the exit code
SECTIONS = {"data": Moons, "model": Model, "training": Training, "session": Session}


def train(arguments) -> int:
    """`fcclf train moons`: trains or continues a run, then evaluates it."""
    config = Config(**{name: section_from_flags(section, arguments) for name, section in SECTIONS.items()})
    path = Path(arguments.logdir) / (arguments.run_name or config.run_name())
    _check_logdir(Path(arguments.logdir))
    started = time.perf_counter()
    with quiet_tensorflow():
        from fcclf import training
        from fcclf.interrupts import Interrupts
    interrupts = Interrupts()
    with progress_on_stderr(config, quiet=arguments.quiet) as progress:
        outcome = training.train(config, path, fresh=arguments.fresh, interrupts=interrupts, say=say, progress=progress)
    if interrupts.pending():
        say(f"interrupted: saved after {outcome.epoch} of {config.training.epochs} epochs; to go on: {_command()}")
        interrupts.raise_again()
        return 128 + interrupts.received  # where the system shields the process, as it does the first in a container
    say(_summary(outcome, config, time.perf_counter() - started))
    return _evaluate(path, arguments.json)


def evaluate(arguments) -> int:
    """`fcclf evaluate RUN`: measures a run's newest checkpoint on its test part."""
    return _evaluate(Path(arguments.run), arguments.json)


def plot(arguments) -> int:
    """`fcclf plot RUN`: draws a run's decision boundary."""
    path = Path(arguments.run)
    with quiet_tensorflow():
        from fcclf import plots
        from fcclf.inference import TrainedRun
    with TrainedRun(path) as run:
        target = path / "figures" / "decision_boundary.png"
        plots.decision_boundary(target, run.dataset(), run.probabilities, f"{path.name}, epoch {run.epoch}")
    write(target)
    return 0


def verify(arguments) -> int:
    """`fcclf verify RUN`: checks a run's files; with --replay, trains its last stretch again and compares."""
    path = Path(arguments.run)
    with quiet_tensorflow():
        from fcclf import verification
    problems = list(verification.check(path))
    if arguments.replay and not problems:
        problems = [difference for difference in [verification.replay(path, say)] if difference]
    sound = f"{path} is sound" + (", and its last stretch trains again to the same bits" if arguments.replay else "")
    write("\n".join(problems) or sound)
    return FAILED if problems else 0


def _evaluate(path, as_json):
    with quiet_tensorflow():
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
        write(text)
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


def _command():
    return shlex.join(word for word in sys.orig_argv if word != "--fresh")


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
