"""What the commands of the command line do: each takes the parsed arguments and returns the exit code.

TensorFlow is imported inside, when there is work for it, so that help and usage errors do not wait for it.
"""

import argparse
import errno
import importlib.util
import json
import os
import shlex
import sys
import time
from pathlib import Path

from fcclf.cli import machines
from fcclf.cli.advice import advice, verdict
from fcclf.cli.flags import (
    config_from_flags,
    configs_from_flags,
    first_of_several,
    model_from_flags,
    section_from_flags,
)
from fcclf.cli.settings_file import filled_in
from fcclf.cli.terminal import progress_on_stderr, quiet_tensorflow, rows_on_stderr, say, standard_output, write
from fcclf.data import split
from fcclf.errors import ConfigError, DivergedError, RunError
from fcclf.runs import figures, run_directory
from fcclf.settings import blocks, presets
from fcclf.settings.config import CLASS_LOSSES, OF_CLASSES
from fcclf.settings.model import Stack, named_layers
from fcclf.settings.run_config import REGRESSION, DataShape, Format
from fcclf.settings.serving import Serving
from fcclf.settings.sources import Images, Packed, Table, check_format
from fcclf.system import durable
from fcclf.system.durable import explained
from fcclf.system.interrupts import Interrupts, ending_with

FAILED, DIVERGED = 1, 3  # exit codes


def train(arguments) -> int:
    """`fcclf train`: trains or continues a run, then evaluates and draws it."""
    config = _config(arguments)
    split.check(config)
    cluster = machines.cluster(arguments, config)
    if cluster and not cluster.is_client:
        return machines.work(arguments, cluster, config.session.threads or 1, config)
    path = Path(arguments.logdir) / (arguments.run_name or config.run_name())
    _check_files(config, Path(arguments.logdir))
    for sentence in advice(config):
        say(f"warning: {sentence}")
    started, interrupts = time.perf_counter(), Interrupts()
    with ending_with(f"fcclf: interrupted before anything was trained; to go on: {_command()}"):
        outcome = _trained(config, path, arguments, interrupts, cluster)
    if interrupts.pending():
        return _ended_by(interrupts, outcome, config)
    say(_summary(outcome, config, time.perf_counter() - started))
    return _evaluate(path, arguments.json, judge=True, draw=not arguments.no_figures)


def sweep(arguments) -> int:
    """`fcclf sweep DATA`: trains a run for each combination of the values that flags are given, and compares them."""
    from fcclf.runs import overview

    configs, logdir, code = _configs(arguments), Path(arguments.logdir), 0
    paths, interrupts = [logdir / config.run_name() for config in configs], Interrupts()
    _check_files(configs[0], logdir)
    with ending_with(f"fcclf: interrupted; to go on: {_command()}"):
        for number, (config, path) in enumerate(zip(configs, paths, strict=True), start=1):
            say(f"run {number} of {len(configs)}: {path.name}")
            try:
                outcome = _trained(config, path, arguments, interrupts)
            except DivergedError as error:
                say(f"error: {error}")
                code = DIVERGED
                continue
            if interrupts.pending():
                return _ended_by(interrupts, outcome, config)
    rows = overview.comparison([overview.read(path) for path in dict.fromkeys(paths)])
    write(json.dumps(rows, indent=2) if arguments.json else overview.table(rows))
    return code


def _trained(config, path, arguments, interrupts, cluster=None):
    with quiet_tensorflow(arguments.quiet):
        from fcclf.runs import training
    train = machines.training_on(cluster, arguments, config) if cluster else training.train
    with progress_on_stderr(config, quiet=arguments.quiet) as progress:
        return train(config, path, fresh=arguments.fresh, interrupts=interrupts, say=say, progress=progress)


def _ended_by(interrupts, outcome, config):
    """Ends the process by the signal that interrupted it; returns an exit code if the system shields the process from
    that, as it does the first process in a container."""
    say(f"interrupted: saved after {outcome.epoch} of {config.epochs} epochs; to go on: {_command()}")
    interrupts.raise_again()
    return 128 + interrupts.received


def _config(arguments):
    """The `Config` that the flags and the file of --config describe."""
    return config_from_flags(arguments.source, _completed(arguments))


def _configs(arguments):
    """The `Config`s of a sweep. Raises ConfigError if the settings alone tell that one does not fit its data."""
    configs = configs_from_flags(arguments.source, _completed(arguments))
    for config in configs:
        split.check(config)
    return configs


def _completed(arguments):
    """The arguments, completed with those in the file of --config and, if neither says whether a table's labels are
    classes or numbers, with what the data tell."""
    arguments = filled_in(arguments, arguments.source)
    first = first_of_several(arguments)
    told = hasattr(first, "task") or _says_classes(first)
    return arguments if told else argparse.Namespace(**vars(arguments), **_task_of(first))


def _task_of(arguments):
    """{"task": whether labels are classes or numbers}, according to the data; {} if they do not tell."""
    if arguments.source is Packed:
        from fcclf.data import packed

        return {"task": packed.read(Path(arguments.directory)).task}
    return _task_by_look(arguments) if arguments.source is Table else {}


def _task_by_look(arguments):
    """{"task": REGRESSION} if the labels of a table look like numbers to be predicted, else {}."""
    from fcclf.data.tables import table

    different = table.different_numbers(section_from_flags(Table, arguments))
    if not different:
        return {}
    say(f"the labels are {different} different numbers: they are predicted as numbers (--task)")
    return {"task": REGRESSION}


def _says_classes(arguments):
    """Whether a flag is given that makes sense only for classes."""
    return any(hasattr(arguments, name) for name in OF_CLASSES) or getattr(arguments, "loss", None) in CLASS_LOSSES


def pack(arguments) -> int:
    """`fcclf pack FILE DIR`: converts a table, or a directory with X.npy and y.npy or with IDX files, into a directory
    that `fcclf train packed` reads as training needs it."""
    from fcclf.data import packing

    task = {} if hasattr(arguments, "task") else _task_by_look(arguments)
    source = section_from_flags(Table, argparse.Namespace(**vars(arguments), **task))
    directory = Path(arguments.directory)
    with rows_on_stderr(arguments.quiet) as progress:
        packing.pack(source, directory, say, progress)
    say(f"packed in {directory}; to train on it: {shlex.join(['fcclf', 'train', 'packed', arguments.directory])}")
    return 0


def summary(arguments) -> int:
    """`fcclf summary`: the layers of a run, a preset, or the model that the flags describe; nothing is trained."""
    if arguments.run:
        given = run_directory.read(Path(arguments.run))
        layers = given.config.layers(given.data.shape)
        write(blocks.summary(layers, given.data.n_features))
        return 0
    model = model_from_flags(arguments)
    defaults = (presets.N_FEATURES, presets.N_CLASSES) if isinstance(model, Stack) else (2, 2)
    n_features, n_classes = arguments.features or defaults[0], arguments.classes or defaults[1]
    write(blocks.summary(named_layers(model, DataShape(n_features, n_classes)), n_features))
    return 0


def predict(arguments) -> int:
    """`fcclf predict RUN DATA`: what a run answers for the samples of a file, as CSV or JSON lines."""
    from fcclf.data.tables import new_samples

    data, score, form = Path(arguments.data), None, Format(arguments.delimiter, arguments.encoding)
    check_format(form)
    new_samples.check(data)
    run_directory.check_begun(Path(arguments.run))
    with quiet_tensorflow(arguments.quiet):
        from fcclf.runs.trained import TrainedRun
        from fcclf.serving import answers
    wanted = answers.Wanted(arguments.label, arguments.id, arguments.proba)
    destination = durable.replacing(Path(arguments.out)) if arguments.out else standard_output()
    opened = TrainedRun(Path(arguments.run), arguments.checkpoint)
    with opened as run, destination as file, rows_on_stderr(arguments.quiet) as progress:
        for score in answers.write(run, data, file, wanted, say, arguments.json, form):
            progress(score.rows)
    if score and score.labelled:
        say(str(score))
    return 0


def evaluate(arguments) -> int:
    """`fcclf evaluate RUN`: measures a run's newest checkpoint on its test part."""
    return _evaluate(Path(arguments.run), arguments.json)


def plot(arguments) -> int:
    """`fcclf plot RUN`: draws the figures of a run that make sense for it."""
    path = Path(arguments.run)
    run_directory.check_begun(path)
    with quiet_tensorflow():
        from fcclf.runs.trained import TrainedRun
    directory = Path(arguments.output) if arguments.output else path / "figures"
    with TrainedRun(path) as run:
        for written in figures.write(run, directory, arguments.only, arguments.formats, say):
            write(written)
    return 0


def export(arguments) -> int:
    """`fcclf export RUN DIR`: writes a run for programs without fcclf, as the next version in DIR, and tests it."""
    run_directory.check_begun(Path(arguments.run))
    with quiet_tensorflow():
        from fcclf.runs.trained import TrainedRun
        from fcclf.serving.export import FORMATS, export_run
    with TrainedRun(Path(arguments.run), arguments.checkpoint) as run:
        exported = export_run(run, Path(arguments.directory), arguments.formats, say)
    say(f"tested on {exported.tested}")
    files = {name: str(exported.path / FORMATS[name].file) for name in exported.differences}
    for name, differences in exported.differences.items():
        measured = ", ".join(f"{difference:.2g} in {output}" for output, difference in differences.items())
        write(f"{name:<10}  {files[name]:<{max(map(len, files.values()))}}  largest difference {measured}")
    return 0


def compare(arguments) -> int:
    """`fcclf compare RUN...`: a table of runs, and their test curves in one figure."""
    from fcclf.runs import overview
    from fcclf.views import plots

    runs = [overview.read(path) for path in dict.fromkeys(map(Path, arguments.runs))]
    for run in runs:
        if not run.epochs:
            raise RunError(f"{run.path} has no finished epoch yet: let it train first.")
    rows = overview.comparison(runs)
    write(json.dumps(rows, indent=2) if arguments.json else overview.table(rows))
    histories = {name: run.columns for name, run in zip(overview.names(runs), runs, strict=True)}
    tested = {name: columns for name, columns in histories.items() if "test_loss" in columns}
    if tested:  # a fit of FCClassifier has no test part
        plots.save(plots.comparison(tested, "test part"), Path(arguments.output))
        say(f"the curves are in {arguments.output}")
    else:
        say("none of these runs has a test part, so no curves are drawn")
    return 0


def runs(arguments) -> int:
    """`fcclf runs`: what is in a log directory."""
    from fcclf.runs import overview

    found = overview.find(Path(arguments.logdir))
    for run in found:
        if run.problem:
            say(run.problem)
    if not found:
        say(f"there is no run in {arguments.logdir}")
    rows = overview.listing(found)
    if rows or arguments.json:
        write(json.dumps(rows, indent=2) if arguments.json else overview.table(rows))
    return 0


def verify(arguments) -> int:
    """`fcclf verify RUN`: checks a run's files; with --replay, trains its last stretch again and compares."""
    path = Path(arguments.run)
    run_directory.check_begun(path)
    with quiet_tensorflow():
        from fcclf.runs import verification
    problems = list(verification.check(path))
    if arguments.replay and not problems:
        problems = [difference for difference in [verification.replay(path, say)] if difference]
    sound = f"{path} is sound" + (", and its last stretch trains again to the same bits" if arguments.replay else "")
    write("\n".join(problems) or sound)
    return FAILED if problems else 0


def serve(arguments) -> int:
    """`fcclf serve DIR`: answers requests over HTTP with the newest version of an exported model."""
    settings, directory = section_from_flags(Serving, arguments), Path(arguments.directory)
    _check_installed("serve", "starlette", "uvicorn", "prometheus_client")
    with explained("serve", directory):
        if not directory.is_dir():
            raise RunError(f"there is no directory {directory}: make one with fcclf export RUN {directory}.")
    with quiet_tensorflow():
        from fcclf.serving.server import process
    return process.serve(directory, settings, say)


def _check_installed(extra, *modules):
    """Raises RunError unless the modules that an extra of the package installs are there."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise RunError(f"this needs {module}, which is not installed: pip install 'fcclf[{extra}]'")


def _evaluate(path, as_json, judge=False, draw=False):
    """Evaluates a run. judge: whether to warn if nothing was learned; draw: whether to draw its figures."""
    run_directory.check_begun(path)
    with quiet_tensorflow():
        from fcclf.runs.trained import TrainedRun
    with TrainedRun(path) as run:
        try:
            _report(run, as_json, judge)
        finally:  # also if the reader of the results has left
            if draw:
                _draw(run)
    return 0


def _report(run, as_json, judge):
    """Prints the metrics of the test part and keeps them in metrics.json."""
    dataset = run.dataset()
    found, heading, report = (_measured_numbers if run.is_regression else _measured_classes)(run, dataset)
    measured = {"epoch": run.epoch, "test": found}
    where = f"run directory   {run.path}\nsee it learn    tensorboard --logdir {shlex.quote(str(run.path.parent))}"
    try:
        write(json.dumps(measured, indent=2) if as_json else f"{heading}\n\n{report}\n\n{where}")
    finally:
        run_directory.keep_metrics(run.path, run.description, measured)
        for sentence in verdict(run.description.config, dataset, found) if judge else ():
            say(f"warning: {sentence}")


def _measured_classes(run, dataset):
    """(metrics, a heading that sums them up, a report) of the test part."""
    from fcclf.views import evaluation

    logits = run.logits(dataset.test.X)
    found = evaluation.metrics(dataset.test.y, logits, dataset.test.weights)
    heading = f"test loss {found['loss']:.4f}, accuracy {found['accuracy']:.4f}"
    return found, heading, evaluation.report(dataset.test.y, logits, dataset.classes)


def _measured_numbers(run, dataset):
    """The same for a regression."""
    from fcclf.views import evaluation

    labels, predictions = dataset.numbers(dataset.test.y), run.predictions(dataset.test.X)
    found = evaluation.regression_metrics(labels, predictions, dataset.test.weights)
    heading = f"test R2 {found['r2']:.4f}, mean absolute error {found['mae']:.5g}, root mean square {found['rmse']:.5g}"
    return found, heading, evaluation.regression_report(labels, predictions)


def _draw(run):
    """Draws the figures after a training. The results are out already, so only a full disk is worth an error."""
    try:
        names = figures.AT_THE_END_OF_REGRESSION if run.is_regression else figures.AT_THE_END
        for _ in figures.write(run, run.path / "figures", names):
            pass
    except Exception as error:
        if getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        say(f"the figures are left out: {error}")


def _summary(outcome, config, seconds):
    total, early = config.training.epochs, ""
    if outcome.best_epoch:
        early = f"; the best was epoch {outcome.best_epoch}" + (", it stopped early" if outcome.stopped else "")
    if outcome.begun_at == outcome.epoch:
        past = f", past the {total} asked for" if outcome.epoch > total else ""
        remedy = "--fresh starts over" if outcome.stopped else "a larger --epochs continues it, --fresh starts over"
        return f"this run has finished {outcome.epoch} epochs{past}{early}; {remedy}"
    begun = f"epochs {outcome.begun_at + 1} to {outcome.epoch}" if outcome.begun_at else f"{outcome.epoch} epochs"
    return f"trained {begun} in {seconds:.1f} s, TensorFlow's import included{early}"


def _command():
    return shlex.join(word for word in sys.orig_argv if word != "--fresh")


def _check_files(config, logdir):
    """Reports what cannot be read or written before the wait for TensorFlow."""
    if isinstance(config.data, Table):
        durable.check_file(Path(config.data.file))
    if isinstance(config.data, Packed):
        from fcclf.data import packed

        packed.read(Path(config.data.directory))
    if isinstance(config.data, Images):
        from fcclf.data import idx

        idx.find_all(Path(config.data.data_dir))
    warm = config.training.warm_start
    if warm is not None and not (os.path.lexists(warm) or os.path.lexists(f"{warm}.index")):
        raise ConfigError("warm_start", f"is {warm!r}, but nothing is there: name a checkpoint or a run directory.")
    _check_logdir(logdir)


def _check_logdir(logdir):
    with explained("find", logdir):
        existing = next(parent for parent in [logdir, *logdir.absolute().parents] if parent.exists())
    if not existing.is_dir():
        raise RunError(f"--logdir is {str(logdir)!r}, but {existing} is a file: name a directory.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(
            f"--logdir is {str(logdir)!r}, but {existing} is not writable: name another, or change its mode."
        )
