"""A run for each combination of values, trained in one process and compared."""

import json

import pytest
from test_cli import run

from fcclf.learning import program
from fcclf.learning.program import Program

SWEEP = (
    "sweep",
    "moons",
    "--samples",
    "60",
    "--epochs",
    "3",
    "--image-every",
    "0",
    "--histogram-every",
    "0",
    "--quiet",
)


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "logs"


@pytest.mark.slow
def test_every_combination_is_a_run_and_they_are_compared(logs, capsys):
    assert run(*SWEEP, "--noise", "0.1", "0.3", "--hidden", "6,4", "3", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["noise"], row["hidden"]) for row in rows] == [(0.1, [6, 4]), (0.1, [3]), (0.3, [6, 4]), (0.3, [3])]
    assert {path.name for path in logs.iterdir()} == {row["run"] for row in rows}
    assert [row["epochs"] for row in rows] == [3] * 4


@pytest.mark.slow
def test_what_is_fed_is_compiled_once(logs, monkeypatch):
    program.clear_programs()
    built = []
    build_loop = Program.build_loop
    monkeypatch.setattr(Program, "build_loop", lambda self: (built.append(self), build_loop(self)))
    assert run(*SWEEP, "--learning-rate", "0.001", "0.01", "--seed", "0", "1", "2") == 0
    assert len(built) == 1
    assert len(list(logs.iterdir())) == 6


@pytest.mark.slow
def test_tables_can_be_swept(logs, capsys, tmp_path):
    rows = "".join(f"{row / 7:.3f},{'ab'[row % 2]}\n" for row in range(40))
    (tmp_path / "t.csv").write_text("x,kind\n" + rows)
    flags = ("--label", "kind", "--epochs", "2", "--image-every", "0", "--seed", "0", "1", "--json")
    assert run("sweep", "table", "t.csv", *flags) == 0
    assert [row["seed"] for row in json.loads(capsys.readouterr().out)] == [0, 1]


@pytest.mark.slow
def test_the_same_command_again_goes_on_and_compares(logs, capsys):
    assert run(*SWEEP, "--seed", "0", "1") == 0
    first = capsys.readouterr().out
    assert run(*SWEEP, "--seed", "0", "1") == 0
    assert capsys.readouterr().out == first


@pytest.mark.slow
def test_a_run_that_diverges_is_told_and_the_others_are_trained(logs, capsys):
    rates = ("--optimizer", "sgd", "--activation", "relu", "--learning-rate", "1e6", "0.01")
    assert run(*SWEEP, *rates, "--checkpoint-every", "1") == 3
    printed = capsys.readouterr()
    assert "diverged" in printed.err
    assert "moons-samples-60-activation-relu-optimizer-sgd-learning-rate-0.01" in printed.out


def test_a_wrong_value_among_several_is_a_usage_error(logs, capsys):
    assert run(*SWEEP, "--noise", "0.1", "-1") == 2
    assert run(*SWEEP, "--hidden", "6,0") == 2
    assert "--hidden is 0, but must be" in capsys.readouterr().err
    assert not logs.exists()
