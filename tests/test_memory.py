"""Memory: what a process may still take, and the sentence that refuses more."""

import math
import os
import re
import resource
import subprocess
import sys

import pytest
import runs

from fcclf.errors import RunError
from fcclf.estimator import FCClassifier
from fcclf.learning import plan
from fcclf.runs import training
from fcclf.system import memory

GB = 10**9


def test_the_machine_has_memory_and_not_more_than_it_has():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < memory.available_memory() <= pages


def addresses_under(limit):
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return memory.available_addresses()


def test_a_limit_on_the_address_space_counts_less_what_is_mapped():
    assert runs.elsewhere(addresses_under, None) == math.inf
    assert 20 * GB < runs.elsewhere(addresses_under, 30 * GB) < 29.5 * GB


@pytest.mark.parametrize(
    ("membership", "files", "left"),
    [
        ("0::/", {"memory.max": 900, "memory.current": 500, "memory.stat": "anon 7\ninactive_file 300\n"}, [700]),
        ("0::/a/b", {"a/memory.max": 900, "a/memory.current": 500, "a/b/memory.max": "max"}, [400]),
        ("0::/gone", {"memory.max": 900, "memory.current": 500}, [400]),
        (
            "5:cpu,memory:/docker/x",
            {"memory/memory.limit_in_bytes": 900, "memory/memory.usage_in_bytes": 100},
            [800],
        ),
        ("4:cpu:/a", {"a/memory.max": 900, "a/memory.current": 500}, []),
        ("0::/../..", {}, []),
    ],
    ids=["root", "around it", "container", "version 1", "another controller", "outside"],
)
def test_every_control_group_of_the_process_counts(tmp_path, membership, files, left):
    for name, content in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(content))
    (tmp_path / "cgroup").write_text(membership + "\n")
    assert list(memory._of_groups(tmp_path / "groups", tmp_path / "cgroup")) == left


def test_more_than_there_is_is_refused_with_both_figures_and_a_remedy(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * GB)
    monkeypatch.setattr(memory, "available_addresses", lambda: 4 * GB)
    memory.require(memory.Needed(3 * GB, GB), "this", "less")
    with pytest.raises(RunError, match=r"^this needs about 3\.10 GB of memory, but 3\.00 GB are available: less\.$"):
        memory.require(memory.Needed(3 * GB + GB // 10), "this", "less")
    with pytest.raises(RunError, match=r"^this needs about 4\.50 GB of address space \(ulimit -v\), but 4\.00 GB are"):
        memory.require(memory.Needed(3 * GB, 3 * GB // 2), "this", "less")


# ---- training --------------------------------------------------------------------------------------------------------


def planned(**settings):
    config = runs.config(**settings)
    known = config.data.known
    return plan.planned(config, known.shape, (known.samples - known.test_size, 0, known.test_size))


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        ({"samples": 1_000_100}, 4 * (1_000_000 * 3 + 800_080 * 5 - 80 * 129)),
        ({"batch_size": 80}, 64 * 4 * (2 + 3 * (6 + 4 + 2))),
        ({"hidden": (6, 5)}, 4 * (14 * (6 + 1 + 2) + 16 * 3)),
        ({"optimizer": "sgd"}, -4 * 6 * 56),
        ({"jit": "on"}, 0),
    ],
)
def test_what_training_takes_is_counted(settings, added):
    assert planned(**settings).memory.resident - planned().memory.resident == added


def test_a_run_that_does_not_fit_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 200_000_000)
    with pytest.raises(RunError, match=r"^training needs about 231 MB of memory, but 200 MB are available: make b"):
        training.train(runs.config(), tmp_path / "run")
    monkeypatch.setattr(memory, "available_memory", lambda: 7000)
    with pytest.raises(RunError, match=r"^making 100 samples needs about 1 MB of memory, but 1 MB are available: make"):
        training.train(runs.config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_fit_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 200_000_000)
    with pytest.raises(RunError, match=r"^training needs about \d+ MB of memory, but 200 MB are available"):
        FCClassifier((3, 5), max_iter=1).fit([[0.0], [1.0]] * 9, [0, 1] * 9)


def limited(kilobytes, *arguments):
    """(exit code, stderr) of `fcclf ARGUMENTS` with so much address space."""
    command = f'ulimit -v {kilobytes} && exec "$0" "$@"'
    words = ["sh", "-c", command, sys.executable, "-m", "fcclf", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [["train", "moons"], ["evaluate", "run"], ["plot", "run"], ["verify", "run"]])
def test_without_room_for_tensorflow_every_command_says_so_before_it_imports_it(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    code, errors = limited(2_400_000, *command)
    assert code == 1
    assert re.fullmatch(
        r"fcclf: error: TensorFlow needs about 2\.55 GB of address space \(ulimit -v\), but .*\n", errors
    )


LIMITS = [2_000_000 + 200_000 * step for step in range(20)]


@pytest.mark.campaign
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "flags",
    [
        ["--epochs", 2],
        ["--epochs", 1, "--samples", 2_000_000, "--batch-size", 1_000_000, "--image-every", 0],
        ["--epochs", 1, "--hidden", 3000, 3000, "--image-every", 0],
    ],
)
def test_a_run_succeeds_or_is_refused_in_one_sentence_whatever_the_limit(tmp_path, flags):
    codes = []
    for limit in LIMITS:
        code, errors = limited(limit, "train", "moons", *flags, "--quiet", "--logdir", tmp_path / str(limit))
        print(limit, code, errors)
        codes.append(code)
        assert code in (0, 1), errors
        assert code == 0 or re.fullmatch(r"fcclf: error: .* are available: .*\.\n", errors)
    assert codes == sorted(codes, reverse=True)
    assert codes[-1] == 0
