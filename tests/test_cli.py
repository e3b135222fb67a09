"""The command line: what is printed where, and the exit codes."""

import contextlib
import errno
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import runs

from fcclf import __version__
from fcclf.cli import entry, terminal
from fcclf.runs import figures, run_directory
from fcclf.system import durable
from fcclf.views import plots

SMALL = ["--samples", "100", "--batch-size", "16", "--noise", "0.2", "--epochs", "6"]  # as runs.config()
SMALL += ["--jit", "off", "--image-every", "0", "--threads", "1"]
PLAIN = [*SMALL, "--no-figures"]


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """An empty log directory; SIGINT as it was after each test."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "logs"
    signal.signal(signal.SIGINT, before)


def run(*arguments):
    """The exit code of `fcclf ARGUMENTS` in this process."""
    try:
        return entry.main([str(each) for each in arguments])
    except SystemExit as leaving:
        return leaving.code


def test_training_prints_results_to_stdout_and_progress_to_stderr(logs, capsys):
    assert run("train", "moons", *SMALL) == 0
    printed = capsys.readouterr()
    measured = json.loads((logs / "moons-noise-0.2-samples-100-batch-size-16-jit-off" / "metrics.json").read_text())
    assert printed.out.startswith(
        f"test loss {measured['test']['loss']:.4f}, accuracy {measured['test']['accuracy']:.4f}"
    )
    assert "macro avg" in printed.out
    assert "run directory   logs/moons-noise-0.2-samples-100-batch-size-16-jit-off\n" in printed.out
    assert "tensorboard --logdir logs\n" in printed.out
    assert "epoch 6 of 6: train loss" in printed.err
    assert "trained 6 epochs" in printed.err


def test_the_run_is_the_one_the_library_trains(logs, finished_run):
    run("train", "moons", *PLAIN, "--run-name", "mine", "--quiet")
    runs.assert_same_run(logs / "mine", finished_run)


@pytest.mark.parametrize(
    ("stream", "quiet", "words"),
    [("terminal", False, "fcclf: importing TensorFlow ...\r\n"), ("terminal", True, ""), ("file", False, "")],
)
def test_whoever_waits_at_a_terminal_for_tensorflows_import_is_told(tmp_path, stream, quiet, words):
    """The TensorFlow here is an empty file, which is imported at once."""
    (tmp_path / "tensorflow.py").write_text("")
    program = f"from fcclf.cli import terminal\nwith terminal.quiet_tensorflow(quiet={quiet}):\n    print('imported')"
    ours, theirs = pty.openpty() if stream == "terminal" else os.pipe()
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent)])
    printed = subprocess.check_output(
        [sys.executable, "-c", program], stderr=theirs, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    os.set_blocking(ours, False)
    try:
        said = os.read(ours, 1000).decode()
    except BlockingIOError:
        said = ""
    os.close(ours)
    os.close(theirs)
    assert (printed, said) == ("imported\n", words)


def test_tensorflow_is_imported_without_keras_which_is_there_afterwards(tmp_path):
    """Both are a line or two here."""
    (tmp_path / "tensorflow.py").write_text("try:\n    import keras\nexcept ImportError:\n    print('TensorFlow')")
    (tmp_path / "keras.py").write_text("print('Keras')")
    program = "from fcclf.cli import terminal\nwith terminal.quiet_tensorflow():\n    import keras"
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent)])
    command = [sys.executable, "-c", program]
    printed = subprocess.check_output(command, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert printed == "TensorFlow\nKeras\n"


def test_the_progress_bar_begins_where_the_run_does(capsys):
    with contextlib.closing(terminal.ProgressBar(10)) as bar:
        bar(4, {})
        bar(10, {"test_loss": 0.25, "test_accuracy": 0.5})
    shown = capsys.readouterr().err.split("\r")
    assert "epoch 4/10" in shown[1]
    assert "epoch 10/10" in shown[-1]
    assert "test loss 0.2500 accuracy 0.5000" in shown[-1]


def test_json_is_the_only_thing_on_stdout_and_quiet_shows_no_progress(logs, capsys):
    assert run("train", "moons", *PLAIN, "--json", "--quiet") == 0
    printed = capsys.readouterr()
    measured = json.loads(printed.out)
    assert measured["epoch"] == 6
    assert {"loss", "accuracy", "precision", "recall", "f1", "confusion_matrix"} <= measured["test"].keys()
    assert "epoch 6 of 6" not in printed.err


def test_the_same_command_again_says_that_it_is_done_and_more_epochs_go_on(logs, capsys):
    run("train", "moons", *PLAIN, "--run-name", "mine")
    assert run("train", "moons", *PLAIN, "--run-name", "mine") == 0
    assert "this run has finished 6 epochs; a larger --epochs continues it" in capsys.readouterr().err
    assert run("train", "moons", *PLAIN, "--run-name", "mine", "--epochs", 8) == 0
    assert "trained epochs 7 to 8" in capsys.readouterr().err
    assert run("train", "moons", *PLAIN, "--run-name", "mine", "--epochs", 7) == 0
    assert "has finished 8 epochs, past the 7 asked for" in capsys.readouterr().err


@pytest.mark.slow
def test_another_configuration_under_a_run_name_is_a_usage_error(logs, capsys):
    run("train", "moons", *PLAIN, "--run-name", "mine")
    assert run("train", "moons", *PLAIN, "--run-name", "mine", "--hidden", "3") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--run-name 'mine' is a run with other settings (model.hidden: (6, 4) -> (3,))" in error
    assert run("train", "moons", *PLAIN, "--run-name", "mine", "--hidden", "3", "--fresh") == 0
    assert (logs / "mine.old-1").is_dir()


def test_divergence_is_exit_3(logs, capsys):
    flags = ["--optimizer", "sgd", "--learning-rate", "1e6", "--activation", "relu"]
    assert run("train", "moons", *PLAIN, *flags) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("fcclf: error: training diverged in epoch 1:")


def test_a_run_that_is_in_use_is_exit_1(logs, capsys):
    with run_directory.claimed(logs / "mine"):
        assert run("train", "moons", *PLAIN, "--run-name", "mine") == 1
    assert "is in use by another training in this process" in capsys.readouterr().err


def test_evaluate_repeats_the_metrics(logs, capsys):
    run("train", "moons", *PLAIN, "--run-name", "mine", "--json")
    first = capsys.readouterr().out
    assert run("evaluate", "logs/mine", "--json") == 0
    assert capsys.readouterr().out == first


@pytest.mark.slow
def test_training_ends_with_three_figures_unless_told_not_to(logs, capsys):
    assert run("train", "moons", *SMALL, "--run-name", "mine", "--quiet") == 0
    assert sorted(each.name for each in (logs / "mine" / "figures").iterdir()) == [
        f"{name}.{suffix}" for name in sorted(figures.AT_THE_END) for suffix in ("png", "svg")
    ]
    run("train", "moons", *SMALL, "--run-name", "bare", "--quiet", "--no-figures")
    assert not (logs / "bare" / "figures").exists()


@pytest.mark.slow
def test_figures_that_cannot_be_written_cost_neither_results_nor_success(logs, capsys):
    run("train", "moons", *SMALL, "--run-name", "mine", "--no-figures")
    (logs / "mine" / "figures").write_text("")
    assert run("train", "moons", *SMALL, "--run-name", "mine") == 0
    printed = capsys.readouterr()
    assert "macro avg" in printed.out
    assert printed.err.splitlines()[-1].startswith("fcclf: the figures are left out: cannot create logs/mine/figures")


def test_a_disk_that_is_full_when_figures_are_written_is_exit_1_after_the_results(logs, capsys, monkeypatch):
    def full(figure, path):
        with durable.explained("write", path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fcclf.views.plots.save", full)
    assert run("train", "moons", *SMALL, "--run-name", "mine") == 1
    printed = capsys.readouterr()
    assert "macro avg" in printed.out
    assert printed.err.splitlines()[-1] == (
        "fcclf: error: cannot write logs/mine/figures/learning_curves.png: No space left on device."
    )


def interrupted_while_drawing():
    def interrupt(figure, path):
        signal.raise_signal(signal.SIGINT)

    plots.save = interrupt


@pytest.mark.campaign
def test_an_interrupt_while_figures_are_drawn_ends_by_the_signal_after_the_results(tmp_path):
    out = tmp_path / "out"
    started = runs.start("train", "moons", *SMALL, "--logdir", tmp_path, stdout=out, faults=[interrupted_while_drawing])
    started.join()
    assert started.exitcode == -signal.SIGINT
    assert "macro avg" in out.read_text()


@pytest.mark.slow
def test_plot_prints_what_it_writes_and_says_what_it_leaves_out(logs, capsys):
    run("train", "moons", *PLAIN, "--run-name", "mine", "--quiet")
    capsys.readouterr()
    assert run("plot", "logs/mine", "--only", "weights", "mistakes", "--formats", "png", "--output", "here") == 0
    printed = capsys.readouterr()
    assert printed.out == "here/weights.png\n"
    assert printed.err == "fcclf: mistakes is left out: the data have 2 features, which are no square image\n"
    assert Path("here/weights.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["plot", "run", "--only", "wieghts"], "--only is 'wieghts', but must be one of learning_curves,"),
        (["plot", "run", "--formats", "gif"], "--formats is 'gif', but must be one of png, svg; leave it out for all."),
        (["compare", "run", "--output", "x.pdf"], "--output is 'x.pdf', but must end in .png or .svg."),
    ],
)
def test_usage_errors_of_figures_are_one_sentence(capsys, flags, words):
    assert run(*flags) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_compare_prints_a_table_and_draws_the_curves(logs, capsys, finished_run):
    shutil.copytree(finished_run, logs / "one")
    shutil.copytree(finished_run, logs / "two")
    assert run("compare", "logs/one", "logs/two", "logs/one") == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["run", "one", "two"]
    assert printed.err == "fcclf: the curves are in compare.png\n"
    assert Path("compare.png").stat().st_size > 10_000


def test_compare_wants_finished_epochs(logs, capsys, finished_run):
    shutil.copytree(finished_run, logs / "one")
    shutil.rmtree(logs / "one" / "checkpoints")
    assert run("compare", "logs/one") == 1
    assert capsys.readouterr().err == "fcclf: error: logs/one has no finished epoch yet: let it train first.\n"


def test_runs_lists_what_is_there_also_as_json(logs, capsys, finished_run):
    shutil.copytree(finished_run, logs / "one")
    assert run("runs") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["run", "data", "epochs", "of", "test", "accuracy", "state"]
    assert row.split()[:4] == ["one", "moons", "6", "6"]
    assert run("runs", "logs", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "finished"


def test_a_log_directory_without_runs_is_said_to_be_so(logs, capsys):
    logs.mkdir()
    assert run("runs") == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "fcclf: there is no run in logs\n")


def test_runs_and_compare_do_not_import_tensorflow(finished_run, tmp_path):
    commands = ["runs", str(finished_run.parent)], ["compare", str(finished_run), "--output", str(tmp_path / "x.svg")]
    program = f"import sys; from fcclf.cli.entry import main\nfor each in {commands!r}: assert main(each) == 0\n"
    assert runs.python(program + "print('tensorflow' in sys.modules)").endswith("False\n")


@pytest.mark.parametrize("command", ["evaluate", "plot", "compare"])
def test_a_directory_that_is_no_run_is_exit_1(logs, capsys, command):
    assert run(command, "logs/none") == 1
    assert capsys.readouterr().err == "fcclf: error: logs/none is not a run directory: it has no config.json.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--noise -1", "--noise is -1.0, but must be a number of at least 0"),
        ("--noise nan", "--noise is nan, but must be a number"),
        ("--noise much", "--noise is 'much', but must be a number"),
        ("--batch-size 0", "--batch-size is 0, but must be a whole number of at least 1"),
        ("--batch-size -5", "--batch-size is -5, but"),
        ("--epochs 0", "--epochs is 0, but"),
        ("--epochs 1e3", "--epochs is '1e3', but must be a whole number"),
        ("--hidden 6 0", "--hidden is 0, but"),
        ("--samples 0", "--samples is 0, but"),
        ("--learning-rate 0", "--learning-rate is 0.0, but must be a number above 0"),
        ("--test-ratio 0", "--test-ratio is 0.0, but must be a number above 0 and below 1"),
        ("--test-ratio 1", "--test-ratio is 1.0, but"),
        ("--activation rellu", "did you mean relu?"),
        ("--patience 3", "--patience has no effect without --early-stopping: add that, or leave it out"),
        (
            "--validation-fraction 0.2 --schedule adaptive",
            "--validation-fraction has no effect without --early-stopping",
        ),
        ("--decay-rate 0.5", "--decay-rate has no effect without a --schedule of step, exponential or adaptive"),
        ("--decay-steps 5 --schedule adaptive", "without a --schedule of step, exponential or cosine"),
        ("--power-t 1 --schedule step", "--power-t has no effect without --schedule invscaling"),
        ("--classes 3", "--classes is for blobs and spirals, not for moons"),
        ("--warm-start /nope", "--warm-start is '/nope', but nothing is there: name a checkpoint or a run directory"),
        ("--learnin-rate 1", "there is no flag --learnin-rate; did you mean --learning-rate?"),
        ("--run-name ../x", "--run-name is '../x', but must be one printable directory name"),
        ("stars", "there is nothing to do with 'stars'"),
        ("--preset selu20", "--preset is 'selu20', but must be one of beginner, dropout-mlp"),
        ("--preset selu-20 --hidden 3", "--hidden cannot be set for --preset selu-20, which has its own layers"),
        ("--preset lenet", "the model takes images of 28 x 28 pixels, which are 784 features, but the samples have 2"),
        ("--dropout 1", "--dropout is 1.0, but must be a number of at least 0 and below 1"),
    ],
)
def test_usage_errors_are_one_sentence_and_leave_nothing_behind(logs, capsys, flags, words):
    assert run("train", "moons", *flags.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("fcclf: error: ")
    assert words in printed.err
    assert not logs.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("blobs --classes 3 --loss sigmoid", "--loss is sigmoid, which is for two classes, but the data have 3"),
        ("blobs --classes 1", "--classes is 1, but must be a whole number of at least 2"),
        ("table", "the following arguments are required: FILE"),
    ],
)
def test_other_data_have_usage_errors_of_their_own(logs, capsys, flags, words):
    assert run("train", *flags.split()) == 2
    assert words in capsys.readouterr().err
    assert not logs.exists()


def test_images_that_are_not_there_are_exit_1_with_what_to_install(logs, capsys):
    assert run("train", "images", "--data-dir", ".") == 1
    error = capsys.readouterr().err
    assert error.startswith("fcclf: error: there is no train-images-idx3-ubyte, also not with .gz, in ")
    assert "install Debian's package dataset-fashion-mnist" in error


@pytest.mark.slow
def test_a_table_is_trained_on_and_its_labels_reach_the_report(logs, capsys):
    Path("pets.csv").write_text("".join(f"{row},{row % 2},{('dog', 'cat')[row % 2]}\n" for row in range(40)))
    flags = ["--batch-size", "8", "--epochs", "2", "--jit", "off", "--no-figures", "--quiet"]
    assert run("train", "table", "pets.csv", *flags) == 0
    shown = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["true", "cat"] in shown
    assert ["true", "dog"] in shown
    Path("moved.csv").write_bytes(Path("pets.csv").read_bytes())
    assert run("train", "table", "moved.csv", *flags, "--run-name", "pets-batch-size-8-jit-off") == 0
    Path("moved.csv").write_text(Path("pets.csv").read_text().replace("7,", "7.5,"))
    assert run("train", "table", "moved.csv", *flags, "--run-name", "pets-batch-size-8-jit-off") == 2
    assert "is a run with other settings (fingerprint: " in capsys.readouterr().err


def test_a_summary_shows_a_preset_flags_or_a_run(logs, capsys, finished_run):
    shown = []
    for arguments in (["--hidden", "6", "4"], [finished_run]):
        assert run("summary", *arguments) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert run("summary", "--preset", "lenet") == 0
    assert "conv2 (Conv2D)              10 x 10 x 16             2,416\n" in capsys.readouterr().out
    assert run("summary", "--preset", "lenet", "--features", 20) == 2
    assert "which are 784 features, but the samples have 20" in capsys.readouterr().err


@pytest.mark.slow
def test_a_pairing_that_defeats_its_purpose_is_told_before_training(logs, capsys):
    run("train", "moons", *PLAIN, "--activation", "selu", "--initializer", "lecun_normal", "--quiet")
    assert capsys.readouterr().err.startswith("fcclf: warning: SELU needs inputs of mean 0 and variance 1: use --stand")


def test_a_warm_start_from_nowhere_leaves_nothing_behind(logs, capsys):
    assert run("train", "moons", "--warm-start", "/nowhere") == 2
    assert "--warm-start is '/nowhere', but nothing is there" in capsys.readouterr().err
    assert not logs.exists()


def test_a_log_directory_that_is_a_file_is_exit_1(logs, capsys):
    logs.write_text("")
    assert run("train", "moons", *PLAIN) == 1
    assert capsys.readouterr().err == "fcclf: error: --logdir is 'logs', but logs is a file: name a directory.\n"


@pytest.mark.parametrize(
    "flags",
    ["--help", "--version", "train moons --help", "train moons --noise x", "evaluate", "summary --preset lenet"],
)
def test_help_version_and_usage_errors_do_not_import_tensorflow(flags):
    program = (
        "import sys; from fcclf.cli.entry import main\n"
        f"try: main({flags.split()!r})\n"
        "except SystemExit: pass\n"
        "print('tensorflow' in sys.modules or 'numpy' in sys.modules)"
    )
    assert runs.python(program).endswith("False\n")


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"fcclf {__version__}\n"


def test_help_shows_every_flag_with_its_default(capsys):
    assert run("train", "moons", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "units of each hidden layer; none: a linear classifier (default: 6 4, for the classes of a table 32 16)"
        in shown
    )
    assert "--clip-norm FLOAT clip the gradients to this global norm" in shown


def test_an_interrupt_saves_says_how_to_go_on_and_ends_by_the_signal(tmp_path):
    """Shells show 130."""
    flags = ["train", "moons", "--logdir", str(tmp_path), "--run-name", "run", "--epochs", "500"]
    flags += ["--jit", "off", "--image-every", "0"]
    command = [sys.executable, "-m", "fcclf", *flags, "--no-figures"]
    started = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=runs.heed_signals
    )
    lines = []
    for line in started.stderr:
        if line.startswith("fcclf: epoch ") and not lines:
            started.send_signal(signal.SIGINT)
        lines.append(line)
    assert started.wait() == -signal.SIGINT
    assert lines[-1].startswith("fcclf: interrupted: saved after ")
    assert lines[-1].endswith(f"to go on: {shlex.join(command)}\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fcclf tra", ["train "]),
        ("fcclf train moo", ["moons "]),
        ("fcclf train moons --optimizer ada", ["adam", "adagrad", "adadelta"]),
        ("fcclf plot logs/moons --only cal", ["calibration "]),
    ],
)
def test_a_shell_can_complete_commands_flags_and_values(line, expected):
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    program = f"import os; os.environ.update({asked}); os.dup2(1, 8); os.dup2(2, 9)"
    program += "; from fcclf.cli import entry; entry.main([])"
    assert sorted(runs.python(program).split("\n")) == sorted(expected)
