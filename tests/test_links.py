"""Links and devices inside a run: no call follows them, whatever and wherever they are."""

import os
import shutil
import stat

import pytest
import runs
from faults import EARLY, finish, small

from fcclf import FCClassifier
from fcclf.cli import entry
from fcclf.errors import RunError
from fcclf.runs import checkpoint, training
from fcclf.runs.trained import TrainedRun

SETTINGS = {**EARLY, "epochs": 4}
NEWEST = f"checkpoints/{checkpoint.name(4, 0)}"
PLACES = [
    *("config.json", ".lock", "history.csv", "metrics.json", "events.out.tfevents.000001", ".tmp-config.json", "notes"),
    *("train", "test", "validation", "checkpoints", "figures", NEWEST),
    *("train/events.out.tfevents.000001", "validation/events.out.tfevents.000001", "train/events.out.tfevents.000002"),
    *(f"{NEWEST}/{name}" for name in ("manifest.json", "model.ckpt.index", "best.ckpt.data-00000-of-00001")),
    *("checkpoints/checkpoint", "checkpoints/best", "checkpoints/.tmp-epoch-000005", "figures/boundary.gif"),
]
KINDS = {
    "a link to a file": lambda place, outside: place.symlink_to(outside / "file"),
    "a link to a directory": lambda place, outside: place.symlink_to(outside),
    "a relative link": lambda place, outside: place.symlink_to(os.path.relpath(outside / "file", place.parent)),
    "a link to nothing": lambda place, outside: place.symlink_to(outside / "nothing"),
    "a link to itself": lambda place, outside: place.symlink_to(place),
    "a link to the original": lambda place, outside: place.symlink_to(outside / "original"),
    "a link without end": lambda place, outside: place.symlink_to("/dev/zero"),
    "a pipe": lambda place, outside: os.mkfifo(place),
    "a device": lambda place, outside: os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5)),  # /dev/zero
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a finished and evaluated run with early stopping. Tests work on copies."""
    path = tmp_path_factory.mktemp("links") / "run"
    training.train(small(**SETTINGS), path)
    assert entry.main(["evaluate", str(path)]) == 0
    return path


def attack(path, place, kind, outside):
    """Puts something strange where the run in `path` has, or may have, a file or directory; what was there is moved
    outside."""
    target = path / place
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        target.rename(outside / "original")
    KINDS[kind](target, outside)


def contents(path):
    """{relative path: bytes, or None of what is no file} below a directory."""
    return {
        str(each.relative_to(path)): each.read_bytes() if each.is_file() and not each.is_symlink() else None
        for each in path.rglob("*")
    }


COMMANDS = {
    "train": lambda path: finish(path, **SETTINGS),
    "train longer": lambda path: finish(path, **SETTINGS | {"epochs": 6}),
    "open_run": lambda path: TrainedRun(path).__exit__(),
    "from_run": lambda path: FCClassifier.from_run(path),
    **{name: lambda path, name=name: entry.main([name, str(path)]) for name in ("evaluate", "plot", "verify")},
    "compare": lambda path: entry.main(["compare", str(path), "--output", str(path.parent / "compare.png")]),
    "runs": lambda path: entry.main(["runs", str(path.parent)]),
}


def answer(command, path, capsys):
    """What a call says of a run that it does not read or train."""
    capsys.readouterr()
    try:
        code = COMMANDS[command](path)
    except RunError as error:
        return str(error)
    assert code == (0 if command == "runs" else 1)  # which lists it as damaged
    return capsys.readouterr().err.removesuffix("\n")


SOME = [  # (command, place, kind)
    *((command, "train/events.out.tfevents.000001", "a link to the original") for command in COMMANDS),
    *(("train", place, "a link to the original") for place in ("checkpoints", f"{NEWEST}/manifest.json", "train")),
    ("evaluate", "metrics.json", "a link to nothing"),
    ("plot", "figures", "a link to a directory"),
    ("runs", "config.json", "a link to itself"),
    ("verify", "history.csv", "a pipe"),
    ("train longer", "checkpoints/best", "a link to a directory"),
]
ALL = [(command, place, kind) for command in COMMANDS for place in PLACES for kind in KINDS]


@pytest.mark.parametrize("attacks", [SOME, runs.campaign(ALL)], ids=["some", "all"])
def test_no_call_follows_a_link_or_opens_a_device_inside_a_run(finished, tmp_path, capsys, attacks):
    for number, (command, place, kind) in enumerate(attacks):
        path, outside = tmp_path / str(number) / "run", tmp_path / str(number) / "outside"
        shutil.copytree(finished, path)
        outside.mkdir()
        (outside / "file").write_bytes(bytes(100_000))
        attack(path, place, kind, outside)
        before = contents(outside), contents(path)
        told = answer(command, path, capsys)
        assert "\n" not in told, (command, place, kind)
        what = "is a link, which" if "link" in kind else "is neither a file nor a directory"
        assert f"{path / place} {what}" in told, (command, place, kind, told)
        assert (contents(outside), contents(path)) == before, (command, place, kind)
        shutil.rmtree(path.parent)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["history.csv", "train", ".lock"])
def test_a_fit_does_not_follow_links_in_its_run(tmp_path, place):
    X, y, path, outside = [[0.0], [1.0]] * 10, [0, 1] * 10, tmp_path / "run", tmp_path / "outside"
    classifier = FCClassifier(hidden_layer_sizes=2, max_iter=2, tol=0, random_state=0, logdir=path).fit(X, y)
    outside.mkdir()
    attack(path, place, "a link to the original", outside)
    before = contents(outside)
    with pytest.raises(RunError, match=f"{place} is a link"):
        classifier.set_params(max_iter=3).fit(X, y)
    assert contents(outside) == before
