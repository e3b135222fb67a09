"""The pages in docs/ whose programs are run as they are written."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import runs
from sklearn.datasets import load_iris

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n```\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.?\d*(e[-+]\d+)?")
NEW = re.search(r"^```\n(plant,.*?)^```$", (DOCS / "first_steps.md").read_text(), re.MULTILINE | re.DOTALL)[1]
COMMANDS = Path(sys.executable).parent
PAGES = ("own_data.md", "../README.md", "estimator.md", "predicting.md", "networks.md")


@pytest.fixture
def iris(tmp_path, monkeypatch):
    """A directory with iris.csv, which is the current one."""
    monkeypatch.chdir(tmp_path)
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    table = load_iris(as_frame=True)
    table.data.set_axis(names, axis=1).assign(species=table.target_names[table.target]).to_csv("iris.csv", index=False)
    return tmp_path


def printed_by(kind, program, directory):
    """What a block of a page prints."""
    if kind == "python":
        return runs.elsewhere(executed, program, directory)
    return "".join(printed_by_command(line, directory) for line in filter(None, program.splitlines()))


def executed(program, directory):
    """What a program prints that is run in this process."""
    os.chdir(directory)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(program, {"__name__": "__main__"})
    return printed.getvalue()


def printed_by_command(line, directory):
    name, *arguments = shlex.split(line)
    if name == "fcclf":
        return runs.elsewhere(executed, f"from fcclf.cli import entry\nassert entry.main({arguments}) == 0", directory)
    finished = subprocess.run([str(COMMANDS / name), *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def plain(text):
    """A text without its numbers, whose last digits are a machine's, and without how they are set."""
    return " ".join(NUMBER.sub("#", text).split())


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        runs.campaign("export.md", ("sh", "python")),
        pytest.param("first_steps.md", ("sh", "python"), marks=pytest.mark.slow),
        *(pytest.param(page, ("python",), marks=pytest.mark.slow) for page in PAGES),
    ],
)
def test_programs_of_a_page_print_what_it_shows(iris, page, kinds):
    (iris / "new.csv").write_text(NEW)
    for kind, program, shown in BLOCK.findall((DOCS / page).read_text()):
        if kind in kinds:
            assert bool(shown) == (kind == "sh" or "print(" in program), program
            assert plain(printed_by(kind, program, iris)).endswith(plain(shown)), program
