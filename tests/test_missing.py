"""Missing parts of a run directory: what is left is mended from the rest or kept, and never a reason to delete it."""

import itertools
import shutil
from contextlib import contextmanager

import pytest
import runs
from faults import EARLY, After, finish, small

from fcclf.errors import RunError
from fcclf.runs import checkpoint, training, verification

SETTINGS = {**EARLY, "epochs": 8, "image_every": 5}
PARTS = ["history.csv", "train", "test", "validation", "events.out.tfevents.000001"]
SUBSETS = [subset for size in range(len(PARTS) + 1) for subset in itertools.combinations(PARTS, size)]
SOME = [(), ("history.csv",), ("train", "test"), tuple(PARTS[:4]), tuple(PARTS)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a finished run with early stopping. Tests work on copies."""
    path = tmp_path_factory.mktemp("finished") / "run"
    training.train(small(**SETTINGS), path)
    return path


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """The directory of such a run that was stopped inside an epoch."""
    path = tmp_path_factory.mktemp("unfinished") / "run"
    training.train(small(**SETTINGS), path, interrupts=After(13), longest_stretch=4)
    return path


@pytest.fixture(params=["finished", "unfinished"])
def original(request):
    return request.getfixturevalue(request.param)


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def contents(path):
    """{relative path: bytes} of every file but the lock."""
    files = (file for file in path.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def empty(directory):
    shutil.rmtree(directory)
    directory.mkdir()


@contextmanager
def refused(words):
    """The block, which goes on with `path`, raises one sentence."""
    with pytest.raises(RunError, match=words) as error:
        yield
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lose", [shutil.rmtree, empty])
@pytest.mark.parametrize("subsets", [SOME[:-1], runs.campaign(SUBSETS[:-1])], ids=["some", "all"])
def test_a_run_without_its_checkpoints_is_not_begun_again_over_the_rest(original, tmp_path, lose, subsets):
    for number, subset in enumerate(subsets):
        path = shutil.copytree(original, tmp_path / str(number))
        lose(path / "checkpoints")
        for part in subset:
            remove(path / part)
        before = contents(path)
        with refused(r"has no checkpoint any more: restore .*checkpoints from a copy, choose another --run-name, or "):
            finish(path, **SETTINGS)
        assert contents(path) == before


def test_a_run_of_which_nothing_but_its_evaluation_is_left_is_not_begun_again(finished, tmp_path):
    for lose in (shutil.rmtree, empty):
        path = shutil.copytree(finished, tmp_path / lose.__name__)
        lose(path / "checkpoints")
        for part in PARTS:
            remove(path / part)
        (path / "metrics.json").write_text("{}")
        with refused("has no checkpoint any more"):
            finish(path, **SETTINGS)


@pytest.mark.parametrize("subsets", [SOME[:-1], runs.campaign(SUBSETS)], ids=["some", "all"])
def test_missing_parts_of_the_record_are_mended_from_the_rest_or_the_rest_is_kept(
    original, finished, tmp_path, subsets
):
    for number, subset in enumerate(subsets):
        path = shutil.copytree(original, tmp_path / str(number))
        for part in subset:
            remove(path / part)
        before = contents(path)
        if "history.csv" in subset and {"train", "test", "validation"} & set(subset):
            with refused(f"{subset[0]}.* are damaged: restore them from a copy"):
                finish(path, **SETTINGS)
            assert contents(path) == before
        else:
            said = finish(path, **SETTINGS)
            assert sum("was damaged" in sentence for sentence in said) == len(subset)
            assert runs.history(path) == runs.history(finished)
            assert runs.scalars(path) == runs.scalars(finished)
            assert list(verification.check(path)) == []


def test_a_run_that_ended_before_its_first_save_goes_on(tmp_path, reference):
    class GoneError(Exception):
        pass

    def gone(*arguments):
        raise GoneError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", gone)
        with pytest.raises(GoneError):
            finish(tmp_path / "run", epochs=2)
    finish(tmp_path / "run", epochs=2)
    runs.assert_same_run(tmp_path / "run", reference(2))


@pytest.mark.parametrize("part", PARTS[:4])
def test_a_repair_is_committed_so_that_a_second_damage_elsewhere_can_be_mended(finished, tmp_path, part):
    path = shutil.copytree(finished, tmp_path / "run")
    for lost in (part, *(other for other in PARTS if other != part)):
        remove(path / lost)
        assert f"{path / lost.removesuffix('events.out.tfevents.000001')} was damaged" in finish(path, **SETTINGS)[0]
        assert list(verification.check(path)) == []
        assert finish(path, **SETTINGS) == []
        assert runs.history(path) == runs.history(finished)
        assert runs.scalars(path) == runs.scalars(finished)


def test_other_programs_event_files_stay(unfinished, finished, tmp_path):
    path = shutil.copytree(unfinished, tmp_path / "run")
    others = [path / name / "events.out.tfevents.1700000000.host.123.0.v2" for name in ("", "train", "test")]
    for other in others:
        other.write_bytes(b"a profile")
    remove(path / "train" / "events.out.tfevents.000001")
    finish(path, **SETTINGS)
    assert [other.read_bytes() for other in others] == [b"a profile"] * 3
    assert list(verification.check(path)) == []
    assert runs.variables(path).keys() == runs.variables(finished).keys()
