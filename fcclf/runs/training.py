"""A run: settings in, a trained run directory out.

It is trained in stretches of at most about half a second, so that an interrupt is answered soon; a stretch may begin
and end inside an epoch. Where it does depends on the clock and on the intervals of checkpoints and pictures, and
changes no bit of the result.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from fcclf.data import loading
from fcclf.data.dataset import Dataset, layer_statistics
from fcclf.data.facts import Facts
from fcclf.errors import ConfigError
from fcclf.learning import plan
from fcclf.learning.plan import Plan, Sizes
from fcclf.learning.program import Program, borrowed
from fcclf.learning.rules import standing
from fcclf.learning.streaming.program import program_of
from fcclf.learning.stretches import stretches
from fcclf.runs import checkpoint, history, recorder, run_directory
from fcclf.runs.recorder import Claimed, Recorder
from fcclf.runs.run_directory import Description
from fcclf.settings.config import Config
from fcclf.sharded.program import ShardedProgram
from fcclf.system.interrupts import Interrupts


class Outcome(NamedTuple):
    """How `train` ended. epoch: epochs finished; begun_at: those finished before; interrupted: a signal ended it. With
    early stopping, best_epoch: the epoch whose weights count; stopped: early stopping ended the run."""

    epoch: int
    begun_at: int
    interrupted: bool
    best_epoch: int | None = None
    stopped: bool = False


class Machines(Protocol):
    """Other machines that compute shards. program(plan): makes a program of which they compute a part."""

    program: Callable[[Plan], Program]

    def gather(self, config: Config, planned: Plan, facts: Facts):
        """Prepares them for a run. Raises RunError if that fails."""


def train(
    config: Config,
    path: Path | str | None = None,
    *,
    fresh=False,
    interrupts: Interrupts | None = None,
    say=lambda sentence: None,
    progress=None,
    longest_stretch: int | None = None,
    machines: Machines | None = None,
) -> Outcome:
    """Trains the run in directory `path` up to `config.training.epochs`, from its newest checkpoint if it has one.

    path: by default logs/ and the name that the settings give, as on the command line. fresh: move an existing run
    aside and start over. interrupts: answers signals while the loop runs. say(sentence): called with what a user should
    know. progress(epochs finished, {metric: last value}): called first and after stretches. longest_stretch: the
    largest number of steps in a stretch. machines: others that compute shards. Raises ConfigError if the run has other
    settings or data, RunError if it cannot continue, DivergedError if it diverged.
    """
    path = Path(path or Path("logs") / config.run_name())
    if config.training.warm_start is not None and (fresh or not path.exists()):
        _check_warm_start(config.training.warm_start, path)
    begun = run_directory.read(path) if (path / "config.json").exists() and not fresh else None
    dataset = loading.load(config) if begun else loading.load(config, say)
    parts = loading.parts(config, dataset)
    planned = plan_on(config, dataset, begun)  # refuses what does not fit before anything is made or moved
    if not planned.fed_batches:
        parts = {name: part.as_fed() for name, part in parts.items()}
    if machines:
        machines.gather(config, planned, dataset.facts)
    with run_directory.claimed(path, fresh) as aside:
        if aside:
            say(f"the run that was here is now {aside}")
        run = recorder.continued(path, config, dataset.facts, dataset.schema, planned, say)
        if run.epoch >= config.training.epochs:
            return Outcome(run.epoch, run.epoch, False, *standing(history.read(path), config.stopping, config.dtype))
        make = machines.program if machines else program_for(planned)
        with borrowed(make, planned) as program, run.record(planned.metrics) as record:
            _tell_of_batches(config, planned, say)
            begin(program, config, dataset, run, say)
            with _compiling(program, parts):
                pictures = _pictures(program, config, dataset)
                written = Recorder(run, program, record, config.session, dataset.test.X, pictures)
                if not run.start:
                    written.begin()
            return _train(program, parts, written, config, interrupts, progress, longest_stretch)


def _tell_of_batches(config, planned, say):
    """Tells the user if a batch has fewer samples than asked for, because there are no more."""
    if planned.batch_size < config.training.batch_size:
        size, asked = planned.sizes.train, config.training.batch_size
        say(f"a batch is the whole training part, {size} samples, as it has no {asked} (--batch-size)")


def _check_warm_start(source, path):
    """Raises ConfigError if the warm start would be moved aside with the old run; called before anything is made or
    moved."""
    if path.resolve() in Path(checkpoint.find(source)).resolve().parents:
        raise ConfigError("warm_start", f"is {source!r}, in the run that --fresh moves aside: copy it first.")


def plan_on(config: Config, dataset: Dataset, begun: Description | None = None, device: str | None = None) -> Plan:
    """The plan of a run on its data. begun: the description of a run that resumes, with the threads it began with
    unless the settings ask for others. device: by default as the settings ask. Raises ConfigError if the network does
    not fit the data or the device is not available, RunError if it does not fit into memory."""
    parts = loading.parts(config, dataset)
    sizes, weighted = Sizes.of(parts), plan.weighted_parts(parts)
    threads = begun.threads if begun else None
    planned = plan.planned(config, dataset.shape, sizes, weighted, threads, device)
    if config.session.stream != "off":
        planned = planned.streamed() if config.session.stream == "on" else planned.that_fits()
    planned.check_memory()
    return planned


def program_for(planned: Plan) -> type[Program]:
    """The class of the programs that train such a plan."""
    return ShardedProgram if planned.shards else program_of(planned)


def begin(program: Program, config: Config, dataset: Dataset, run: Claimed | None = None, say=lambda sentence: None):
    """Gives the program the state that a run starts from: that of its newest checkpoint, or the initial one."""
    fed = plan.hyperparameters(config, dataset.shape)
    measured = {} if run and run.start else layer_statistics(program.layers, dataset)  # a checkpoint has them
    program.begin(fed, measured)
    if run and run.start:
        run.restore(program)
        batch = f", batch {run.start.batch}" if run.start.batch else ""
        say(f"going on after epoch {run.start.epoch}{batch}")
    elif config.training.warm_start is not None:
        source, variables = checkpoint.find(config.training.warm_start), list(program.network.variables.values())
        loaded, others = checkpoint.load_matching(program.session, source, variables)
        rest = f"; not loaded (missing, or of another shape): {', '.join(others)}" if others else ""
        say(f"warm start: loaded {', '.join(loaded)}{rest}")


@contextlib.contextmanager
def _compiling(program, parts):
    """Compiles the loop while the block runs: the compiler takes one core, and does not hold Python's lock."""
    with ThreadPoolExecutor(1) as beside:
        compiled = beside.submit(program.compile, parts)
        yield
        compiled.result()


def _pictures(program, config, dataset):
    """The `Frames` of the run, or None if no pictures are wanted: importing what draws them takes half a second."""
    if not config.session.image_every:
        return None
    from fcclf.views.frames import MOST_DRAWN, Frames

    return Frames(program, dataset.sample(MOST_DRAWN))


def _train(program, parts, written, config, interrupts, progress, longest):
    """Trains in stretches until the last epoch, the rule or a signal ends training."""
    begun_at = program.epoch
    if progress:
        progress(begun_at, {})
    with interrupts.held() if interrupts else contextlib.nullcontext(), contextlib.closing(written):
        for stretch in stretches(
            program,
            parts,
            config.training.epochs,
            sampling=config.training.sampling,
            shuffle_window=config.training.shuffle_window,
            next_stop=written.next_stop,
            asked_to_stop=interrupts.pending if interrupts else lambda: False,
            longest=longest,
        ):
            metrics = written.note(stretch)
            if progress:
                progress(program.epoch, metrics)
        written.finish()
    interrupted = program.epoch < config.training.epochs and not program.stopped
    return Outcome(program.epoch, begun_at, interrupted, program.best_epoch, program.stopped)
