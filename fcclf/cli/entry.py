"""The command line: what trains a run, measures and draws it, predicts with it, exports and serves it.

The scripts are thin wrappers around it. Results go to stdout; progress, warnings and errors to stderr. Exit codes: 0
done, 1 failed, 2 usage, 3 diverged, and 129, 130 or 143 after SIGHUP, SIGINT or SIGTERM with everything saved. Help and
usage errors are answered before TensorFlow is imported.
"""

import argparse
import contextlib
import difflib
import os
import re
import signal
import sys
from pathlib import Path

from fcclf import __version__
from fcclf.cli import commands
from fcclf.cli.commands import DIVERGED, FAILED
from fcclf.cli.flags import add_config_flags, add_flags, add_model_flags, completer
from fcclf.cli.machines import add_cluster_flags, add_machine_commands
from fcclf.cli.terminal import open_standard_streams, say
from fcclf.errors import ConfigError, DivergedError, RunError
from fcclf.runs import figures
from fcclf.settings.fields import flag, settings_of
from fcclf.settings.serving import Serving
from fcclf.settings.sources import SOURCES, Table

USAGE = 2  # an exit code
MOST = 1_000_000  # features or classes
EXPORTED = ("savedmodel", "onnx", "tflite")  # formats


def main(argv=None) -> int:
    """Runs the command in `argv` (default: the process's) and returns its exit code."""
    open_standard_streams()
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    arguments = parser.parse_args(argv)
    try:
        return arguments.command(arguments)
    except BrokenPipeError:  # the reader of our results has left, as `| head` does; the work is done
        return 0
    except ConfigError as error:
        return _fail(USAGE, f"{_named(error.setting_name)} {error.problem}")
    except DivergedError as error:
        return _fail(DIVERGED, error)
    except RunError as error:
        return _fail(FAILED, error)
    except MemoryError:
        return _fail(FAILED, "there is not enough memory: make the data or the network smaller, or end other programs.")


def run(argv=None):
    """Runs `main` and ends the process, which it must have for itself: tidying up TensorFlow would take another half
    second."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # die quietly; training holds signals back for itself
    code = main(argv)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _fail(code, sentence):
    say(f"error: {sentence}")
    return code


def _named(setting_name):
    """The name of a setting in messages: its flag, except for "the model" and TF_CONFIG."""
    return {"model": "the model", "TF_CONFIG": "TF_CONFIG"}.get(setting_name) or flag(setting_name)


# ---- arguments -------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence, without the usage in front."""

    def __init__(self, **settings):
        super().__init__(**settings, allow_abbrev=False)
        self.elsewhere = {}  # {flag: the data that have it}

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:  # reported here, by the parser that knows the flags, not by the one above it
            self.error(f"unrecognized arguments: {unknown[0]}")
        return namespace, unknown

    def error(self, message):
        message = re.sub(r"^argument (\S+): ", r"\1 ", message)
        unknown = re.match(r"unrecognized arguments: (-?[^\s=]*)", message)
        if unknown and not unknown[1].startswith("-"):
            message = f"there is nothing to do with {unknown[1]!r}; see {self.prog} --help."
        elif unknown and unknown[1] in self.elsewhere:
            message = f"{unknown[1]} is for {self.elsewhere[unknown[1]]}, not for {self.prog.split()[-1]}."
        elif unknown:
            near = difflib.get_close_matches(unknown[1], self._option_string_actions, n=1)
            message = f"there is no flag {unknown[1]}" + (
                f"; did you mean {near[0]}?" if near else f"; see {self.prog} --help."
            )
        self.exit(USAGE, f"fcclf: error: {message}\n")


def _parser():
    parser = _Parser(prog="fcclf", description=__doc__.split("\n\n")[0])
    parser.add_argument("--version", action="version", version=f"fcclf {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(subparsers)
    _add_sweep(subparsers)
    _add_pack(subparsers)
    add_machine_commands(subparsers)
    evaluating = _add_run_command(subparsers, commands.evaluate, "measure a trained run on its test part")
    evaluating.add_argument("--json", action="store_true", help="print the metrics as JSON")
    _add_predict(subparsers)
    _add_summary(subparsers)
    _add_plot(subparsers)
    _add_export(subparsers)
    _add_overviews(subparsers)
    verifying = _add_run_command(subparsers, commands.verify, "check a run's files")
    verifying.add_argument("--replay", action="store_true", help="train the last stretch again and compare bit for bit")
    _add_serve(subparsers)
    return parser


def _add_run_command(subparsers, command, help):
    parser = subparsers.add_parser(command.__name__, help=help, description=command.__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory, such as logs/moons")
    parser.set_defaults(command=command)
    return parser


def _add_predict(subparsers):
    parser = _add_run_command(subparsers, commands.predict, "predict for the samples of a file")
    parser.add_argument("data", type=_path, metavar="DATA", help="CSV, NPZ, NPY or IDX; - is CSV from standard input")
    parser.add_argument("--out", type=_path, metavar="FILE", help="where to (default: standard output)")
    parser.add_argument("--proba", action="store_true", help="the probability of each class too")
    parser.add_argument("--id", metavar="COLUMN", help="a CSV column to keep beside the answers, by name or number")
    parser.add_argument("--label", metavar="COLUMN", help="the CSV column of labels, if any (default: as in training)")
    for name, metavar in (("delimiter", "CHAR"), ("encoding", "NAME")):
        parser.add_argument(f"--{name}", metavar=metavar, help="of a CSV file (default: as in training)")
    _add_checkpoint(parser)
    parser.add_argument("--json", action="store_true", help="JSON, an object on each line, instead of CSV")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _add_checkpoint(parser):
    parser.add_argument(
        "--checkpoint", default="best", metavar="WHICH", help="best, latest or epoch-N (default: best, if known)"
    )


def _add_summary(subparsers):
    parser = subparsers.add_parser("summary", help="layers and parameters", description=commands.summary.__doc__)
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run directory; without it, what the flags describe")
    for option, default in (("--features", "784 for a preset, else 2"), ("--classes", "10 for a preset, else 2")):
        parser.add_argument(option, type=_count, metavar="INT", help=f"of the data (default: {default})")
    add_model_flags(parser)
    parser.set_defaults(command=commands.summary)


def _add_plot(subparsers):
    parser = _add_run_command(subparsers, commands.plot, "draw the figures of a run")
    for option, choices, metavar, default in (
        ("--only", figures.NAMES, "NAME", "all that make sense"),
        ("--formats", figures.FORMATS, "FORMAT", "all"),
    ):
        parser.add_argument(
            option,
            nargs="+",
            type=_one_of(choices),
            default=choices,
            metavar=metavar,
            help=f"some of {', '.join(choices)} (default: {default})",
        ).completer = completer(choices)
    parser.add_argument("--output", type=_path, metavar="DIR", help="where to (default: figures/ in the run)")


def _add_export(subparsers):
    parser = _add_run_command(subparsers, commands.export, "write a run for programs without fcclf")
    parser.add_argument("directory", type=_path, metavar="DIR", help="where to; it gets a folder 1, then 2 and so on")
    parser.add_argument(
        "--format",
        dest="formats",
        nargs="+",
        type=_one_of(EXPORTED, f"leave it out for {EXPORTED[0]}."),
        default=EXPORTED[:1],
        metavar="NAME",
        help=f"some of {', '.join(EXPORTED)} (default: {EXPORTED[0]})",
    ).completer = completer(EXPORTED)
    _add_checkpoint(parser)


def _add_overviews(subparsers):
    comparing = subparsers.add_parser("compare", help="compare runs", description=commands.compare.__doc__)
    comparing.add_argument("runs", nargs="+", metavar="RUN", help="run directories, such as logs/moons")
    comparing.add_argument(
        "--output", type=_picture, default="compare.png", metavar="FILE", help=".png or .svg (default: compare.png)"
    )
    comparing.set_defaults(command=commands.compare)
    listing = subparsers.add_parser("runs", help="list the runs in a log directory", description=commands.runs.__doc__)
    listing.add_argument("logdir", nargs="?", default="logs", metavar="LOGDIR", help="(default: logs)")
    listing.set_defaults(command=commands.runs)
    for parser in (comparing, listing):
        parser.add_argument("--json", action="store_true", help="print the table as JSON")


def _add_serve(subparsers):
    parser = subparsers.add_parser("serve", help="answer over HTTP", description=commands.serve.__doc__)
    parser.add_argument("directory", type=_path, metavar="DIR", help="of an exported model, or one version of it")
    add_flags(parser, Serving)
    parser.set_defaults(command=commands.serve)


def _add_train(subparsers):
    sets = subparsers.add_parser("train", help="train a run, or go on with it").add_subparsers(
        required=True, metavar="DATA", parser_class=_Parser
    )
    for name, source in SOURCES.items():
        _add_train_on(sets.add_parser(name, help=source.__doc__.split(".")[0], description=source.__doc__), source)


def _add_train_on(parser, source):
    add_config_flags(parser, source)
    run = _add_run_flags(parser, source)
    run.add_argument("--run-name", type=_run_name, help="name of the run directory (default: made from the settings)")
    run.add_argument("--no-figures", action="store_true", help="draw nothing at the end")
    run.add_argument("--json", action="store_true", help="print the metrics as JSON")
    add_cluster_flags(parser)
    parser.add_argument("--version", action="version", version=f"fcclf {__version__}")
    parser.set_defaults(command=commands.train, source=source)


def _add_run_flags(parser, source):
    """Adds the flags of every command that trains. Returns their group."""
    parser.elsewhere = _flags_of_others(source)
    run = parser.add_argument_group("run")
    run.add_argument("--config", type=_path, metavar="FILE", help="settings, JSON or TOML; flags count before them")
    run.add_argument("--logdir", type=_path, default="logs", help="where run directories are kept (default: logs)")
    run.add_argument("--fresh", action="store_true", help="start over; a run that is there is moved aside")
    run.add_argument("--quiet", action="store_true", help="no progress")
    return run


def _add_sweep(subparsers):
    sets = subparsers.add_parser("sweep", help="train a run for each combination of values").add_subparsers(
        required=True, metavar="DATA", parser_class=_Parser
    )
    for name, source in SOURCES.items():
        parser = sets.add_parser(name, help=source.__doc__.split(".")[0], description=commands.sweep.__doc__)
        add_config_flags(parser, source, several=True)
        _add_run_flags(parser, source).add_argument("--json", action="store_true", help="print the table as JSON")
        parser.set_defaults(command=commands.sweep, source=source)


def _add_pack(subparsers):
    parser = subparsers.add_parser("pack", help="convert data larger than memory", description=commands.pack.__doc__)
    add_flags(parser, Table)
    parser.add_argument("directory", type=_path, metavar="DIR", help="where to; it must not be there yet")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(command=commands.pack)


def _flags_of_others(source):
    """{flag: the names of the sources that have it}, for the flags that `source` lacks."""
    found = {}
    for other in SOURCES.values():
        for item in settings_of(other):
            if item.name not in {own.name for own in settings_of(source)}:
                found.setdefault(flag(item.name), []).append(other.name)
    return {name: " and ".join(sources) for name, sources in found.items()}


def _run_name(text):
    if not text.isprintable() or text.startswith((".", "-")) or "/" in text or not 0 < len(os.fsencode(text)) <= 200:
        raise argparse.ArgumentTypeError(
            f"is {text!r}, but must be one printable directory name of at most 200 bytes, not begun by a dot or dash."
        )
    return text


def _path(text):
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"is {text!r}, but must be a printable path.")
    return text


def _count(text):
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"is {text!r}, but must be a whole number from 1 to {MOST}.")
    return int(text)


def _picture(text):
    if Path(_path(text)).suffix[1:] not in figures.FORMATS:
        endings = " or ".join(f".{suffix}" for suffix in figures.FORMATS)
        raise argparse.ArgumentTypeError(f"is {text!r}, but must end in {endings}.")
    return text


def _one_of(choices, otherwise="leave it out for all."):
    """A function that checks a text, for argparse. otherwise: the remedy if no choice is similar."""

    def parse(text):
        if text not in choices:
            near = difflib.get_close_matches(text, choices, n=1)
            remedy = f"did you mean {near[0]}?" if near else otherwise
            raise argparse.ArgumentTypeError(f"is {text!r}, but must be one of {', '.join(choices)}; {remedy}")
        return text

    return parse
