"""Damaged run directories: whatever became of a file, a run ends with the right bits or says what is wrong.

Every file is truncated, zeroed, changed in one bit, overwritten, swapped or deleted; config.json and manifests are also
rewritten by someone hostile. The only ways out are RunError, ConfigError, and a result equal to an untouched run's.
"""

import copy
import json
import math
import random
import resource
import shutil
import signal
import struct
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import runs
import stacks
import tensorflow as tf
from faults import After

from fcclf.cli import entry
from fcclf.data import loading
from fcclf.errors import ConfigError, DivergedError, RunError
from fcclf.estimator import FCClassifier
from fcclf.runs import run_directory, training
from fcclf.runs.trained import TrainedRun
from fcclf.settings.model import Stack
from fcclf.settings.sources import Images, Table
from fcclf.system import durable

CONFIG = runs.config(epochs=8, checkpoint_every=1, histogram_every=3, keep=3, jit="off")
NEWEST = "checkpoints/epoch-000006"
SMALL_FILES = ["config.json", "checkpoints/checkpoint", f"{NEWEST}/manifest.json"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The directory of an untouched run."""
    path = tmp_path_factory.mktemp("untouched") / "run"
    training.train(CONFIG, path)
    return path


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """The directory of a run that was stopped twice, after 3 and after 6 of its 8 epochs. Tests work on copies."""
    path = tmp_path_factory.mktemp("unfinished") / "run"
    for _ in range(2):
        training.train(CONFIG, path, interrupts=After(3))
    return path


@pytest.fixture
def renew(unfinished, tmp_path):
    """renew() replaces the run in the directory it returns by an undamaged one."""

    def run():
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return shutil.copytree(unfinished, tmp_path / "run")

    return run


@pytest.fixture(scope="module")
def logits(unfinished):
    """What the network of `unfinished` says."""
    return logits_of(unfinished)


def logits_of(path):
    with TrainedRun(path) as run:
        assert run.epoch == 6
        return run.logits(loading.load(CONFIG).test.X)


# ---- what may come of damage -----------------------------------------------------------------------------------------


@pytest.fixture
def outcome(reference, logits):
    """outcome(path): what became of a damaged run: the error it was refused with, or what it said while it finished.

    Fails the test at any other end, and where a reader gets other numbers than `logits`.
    """

    def of(path):
        with refused():
            np.testing.assert_array_equal(logits_of(path), logits)
        sentences = []
        with refused() as errors:
            training.train(CONFIG, path, say=sentences.append)
            assert_same_result(path, reference, rewritten=any("rewritten" in sentence for sentence in sentences))
        return errors[0] if errors else [each for each in sentences if not each.startswith("going on after")]

    return of


@contextmanager
def refused():
    """Yields a list for the error that says what is wrong with a run; other errors pass."""
    errors = []
    try:
        yield errors
    except DivergedError:
        raise
    except (RunError, ConfigError) as error:
        errors.append(error)


def assert_same_result(path, reference, rewritten):
    """Like `runs.assert_same_run`; rewritten event files have scalars only."""
    if not rewritten:
        runs.assert_same_run(path, reference)
        return
    expected, actual = runs.variables(reference), runs.variables(path)
    assert actual.keys() == expected.keys()
    assert all(np.array_equal(actual[name], values) for name, values in expected.items())
    assert runs.history(path) == runs.history(reference)
    assert runs.scalars(path) == runs.scalars(reference)


# ---- damaged files ---------------------------------------------------------------------------------------------------


def damage(path, chance):
    """Damages one file of a run in a way that `chance` (a random.Random) draws; says which and how."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    file, how = chance.choice(files), chance.choice(DAMAGES)
    how(file, files, chance)
    return f"{how.__name__} {file.relative_to(path)}"


def truncate(file, files, chance):
    file.write_bytes(file.read_bytes()[: chance.randrange(file.stat().st_size)])


def zero_a_stretch(file, files, chance):
    content = bytearray(file.read_bytes())
    first, last = sorted(chance.randint(0, len(content)) for _ in range(2))
    content[first:last] = bytes(last - first)
    file.write_bytes(content)


def zero_all(file, files, chance):
    file.write_bytes(bytes(file.stat().st_size))


def flip_a_bit(file, files, chance):
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def overwrite(file, files, chance):
    file.write_bytes(chance.randbytes(chance.randint(0, 2 * file.stat().st_size)))


def append(file, files, chance):
    file.write_bytes(file.read_bytes() + chance.randbytes(chance.randint(1, 2000)))


def swap(file, files, chance):
    """Exchanges a file with another step's, another attempt's or, if there is none, any other file."""
    alike = [other for other in files if other != file and other.name[:20] == file.name[:20]]
    other = chance.choice(alike or files)
    ours, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(ours)


def delete(file, files, chance):
    file.unlink()


DAMAGES = [truncate, zero_a_stretch, zero_all, flip_a_bit, flip_a_bit, overwrite, append, swap, delete]


@pytest.mark.parametrize("places", [8, runs.campaign(1000)])
def test_damage_is_mended_or_harmless_unless_it_is_to_what_stands_nowhere_else(renew, outcome, unfinished, places):
    """The settings stand in config.json alone, the curves in the history and in the event files."""
    for number in range(places):
        path = renew()
        print(number, damage(path, random.Random(number)))
        changed = changed_files(path, unfinished)
        lost = "config.json" in changed or ("history.csv" in changed and any("events" in name for name in changed))
        assert isinstance(outcome(path), list) == (not lost), changed


def changed_files(path, original):
    """Names of the files of a run that are not as in the original."""
    names = {str(file.relative_to(original)) for file in original.rglob("*") if file.is_file()}
    return {
        name
        for name in names
        if not (path / name).is_file() or (path / name).read_bytes() != (original / name).read_bytes()
    }


@pytest.mark.parametrize("stride", [211, runs.campaign(1)])
@pytest.mark.parametrize("file", SMALL_FILES)
def test_a_small_file_cut_at_any_length_is_refused_mended_or_harmless(renew, outcome, file, stride):
    path = renew()
    content = (path / file).read_bytes()
    for length in range(0, len(content), stride):
        path = renew()
        (path / file).write_bytes(content[:length])
        print(length)
        came_of_it = outcome(path)
        if file == "config.json":
            assert "config.json cannot be read" in str(came_of_it) or length == len(content) - 1
        if file.endswith("manifest.json"):
            assert length == len(content) - 1 or "was set aside" in came_of_it[0]


@pytest.mark.parametrize("name", ["model.ckpt.index", "model.ckpt.data-00000-of-00001", "manifest.json"])
@pytest.mark.parametrize("how", [truncate, zero_all, flip_a_bit, swap, delete])
def test_a_damaged_checkpoint_is_set_aside_with_a_warning_and_the_one_before_is_used(renew, outcome, name, how):
    path = renew()
    how(path / NEWEST / name, sorted(path.glob(f"checkpoints/epoch-*/{name}")), random.Random(0))
    sentences = outcome(path)
    assert "was set aside as damaged-epoch-000006" in sentences[0]
    assert (path / "checkpoints" / "damaged-epoch-000006").is_dir()


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(renew, outcome):
    path = renew()
    for index in path.glob("checkpoints/*/model.ckpt.index"):
        zero_all(index, [], None)
    assert isinstance(outcome(path), RunError)
    assert isinstance(outcome(path), RunError)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        'model_checkpoint_path: "epoch-000099/model.ckpt"\n',
        'model_checkpoint_path: "/nowhere/model.ckpt"\n',
        'model_checkpoint_path: "epoch-000004/model.ckpt"\n',
    ],
)
def test_without_a_true_pointer_the_newest_complete_checkpoint_is_found(renew, outcome, text):
    path = renew()
    pointer = path / "checkpoints" / "checkpoint"
    pointer.unlink()
    if text is not None:
        pointer.write_text(text)
    assert outcome(path) == []
    assert tf.train.latest_checkpoint(str(path / "checkpoints")) == str(path / "checkpoints/epoch-000008/model.ckpt")


@pytest.mark.parametrize("how", [truncate, zero_a_stretch, zero_all, overwrite, delete])
@pytest.mark.parametrize("file", ["history.csv", "train/events.out.tfevents.000001", "test/events.out.tfevents.000002"])
def test_damaged_history_and_events_are_mended_or_the_error_names_the_file(renew, outcome, file, how):
    path = renew()
    how(path / file, [], random.Random(1))
    came_of_it = outcome(path)
    assert file.split("/")[0] in (came_of_it[0] if isinstance(came_of_it, list) else str(came_of_it))


@pytest.mark.parametrize("how", [truncate, zero_all, overwrite])
def test_a_damaged_config_is_refused_by_its_name(renew, outcome, how):
    path = renew()
    how(path / "config.json", [], random.Random(1))
    assert "config.json" in str(outcome(path))


def test_a_deleted_config_is_missed(renew, outcome):
    path = renew()
    (path / "config.json").unlink()
    assert "no config.json" in str(outcome(path))


# ---- hostile files ---------------------------------------------------------------------------------------------------

DEEP, HUGE = "@deep@", "@huge@"  # stand for what json.dumps cannot write
HOSTILE = [
    *(0, -1, 1, 2**31, 2**63, 10**30, 10**400, 1e308, 1e-320, -0.0, float("nan"), float("inf"), True, False, None),
    *("", "\0", "\ud800", "x" * 300, "x" * 100_000, "../../secret", "/etc/passwd", "..", ".", "a/b", "%s{0}$HOME"),
    *([], {}, [[]], [1] * 1000, [65536] * 40, list(range(100_000)), {"a": {"b": {}}}, {"": 0}, {"../secret": [1, ""]}),
    *(DEEP, HUGE, "elu", "on", "model.ckpt.index", [0, ""], ["history.csv"]),
]


def hostile(document, chance):
    """The text of a sealed JSON document after one or two hostile changes, most often sealed again."""
    document = copy.deepcopy(document)
    if resealed := chance.random() < 0.8:
        document.pop("sha256")
    for _ in range(chance.choice((1, 1, 2))):
        group, key = chance.choice(list(slots(document)))
        what = chance.random()
        if what < 0.1:
            del group[key]
        elif what < 0.2 and isinstance(group, dict):
            group[chance.choice(["extra", "../../secret", "\0", "__class__", "", "x" * 5000])] = group[key]
        else:
            group[key] = copy.deepcopy(chance.choice(HOSTILE))
    text = durable.seal(document) if resealed else json.dumps(document)
    text = text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    return text.replace(f'"{HUGE}"', "9" * 5000)


def slots(document):
    """(container, key) of every value in a document."""
    for key, value in list(document.items() if isinstance(document, dict) else enumerate(document)):
        yield document, key
        if isinstance(value, dict | list):
            yield from slots(value)


@pytest.mark.slow
@pytest.mark.parametrize("count", [50, runs.campaign(500)])
def test_a_hostile_config_is_refused_or_a_config_and_nothing_outside_is_touched(renew, count, capsys):
    path = renew()
    config, document = path / "config.json", json.loads((path / "config.json").read_text())
    secret = path.parent / "secret"
    secret.write_text("secret")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        config.write_text(hostile(document, random.Random(number)))
        with refused():
            run_directory.read(path)
        assert_evaluated_or_refused_in_one_sentence(path, capsys)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 1_000_000  # kilobytes
    assert sorted(path.parent.iterdir()) == [path, secret]
    assert secret.read_text() == "secret"


def assert_evaluated_or_refused_in_one_sentence(path, capsys):
    handler = signal.getsignal(signal.SIGINT)
    try:
        code = entry.main(["evaluate", str(path)])
    finally:
        signal.signal(signal.SIGINT, handler)
    errors = capsys.readouterr().err.splitlines()
    assert (code, len(errors)) in {(0, 0), (1, 1)}, errors
    assert all(line.startswith("fcclf: error: ") and len(line) < 2000 for line in errors)


def table_run(path):
    file = path.with_name("pets.csv")
    file.write_text("".join(f"{row},{row * row},{row % 2}\n" for row in range(40)))
    training.train(replace(SMALL, data=Table(str(file))), path)


def images_run(path):
    for part, size in (("train", 20), ("t10k", 10)):
        for kind, shape in (("images-idx3-ubyte", (size, 28, 28)), ("labels-idx1-ubyte", (size,))):
            head = struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)
            file = path.parent / f"{part}-{kind}"
            file.write_bytes(head + bytes(number % 10 for number in range(math.prod(shape))))
    training.train(replace(SMALL, data=Images(str(path.parent)), model=Stack("beginner")), path)


def stack_run(path):
    training.train(replace(SMALL, model=Stack(layers=stacks.SOME)), path)


def fit_run(path):
    X = np.float32([[row, row * row] for row in range(40)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FCClassifier((3,), max_iter=1, logdir=path, random_state=0).fit(X, np.arange(40) % 2)


SMALL = runs.config(epochs=1, batch_size=8)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, runs.campaign(500)])
@pytest.mark.parametrize("make", [table_run, images_run, stack_run, fit_run])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_hostile_config_of_any_kind_of_run_is_refused_in_one_sentence_or_a_config(tmp_path, make, count, capsys):
    path = tmp_path / "logs" / "run"
    path.parent.mkdir()
    make(path)
    config, document = path / "config.json", json.loads((path / "config.json").read_text())
    for number in range(count):
        config.write_text(hostile(document, random.Random(number)))
        print(number)
        comparison = ["compare", path, path, "--output", tmp_path / "compare.png"]
        for command in (["evaluate", path], ["summary", path], ["runs", path.parent], comparison):
            assert_done_or_refused_in_one_sentence(command, capsys)
        with refused():
            FCClassifier.from_run(path)


def assert_done_or_refused_in_one_sentence(command, capsys):
    handler = signal.getsignal(signal.SIGINT)
    try:
        code = entry.main([str(word) for word in command])
    finally:
        signal.signal(signal.SIGINT, handler)
    errors = capsys.readouterr().err.splitlines()
    assert code in (0, 1, 2), errors
    assert len(errors) <= 1, errors
    assert all(line.startswith("fcclf: ") and len(line) < 2000 for line in errors), errors


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, runs.campaign(500)])
def test_a_hostile_manifest_is_refused_or_set_aside(renew, outcome, count):
    for number in range(count):
        path = renew()
        manifest = path / NEWEST / "manifest.json"
        manifest.write_text(hostile(json.loads(manifest.read_text()), random.Random(number)))
        (path.parent / "secret").write_text("secret" * 1000)
        print(number)
        outcome(path)
        assert (path.parent / "secret").read_text() == "secret" * 1000
