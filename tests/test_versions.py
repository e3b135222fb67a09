"""The folder of versions: which one answers, when a new one is taken up and an old one let go."""

import os
import shutil

import numpy as np
import pytest
import served

from fcclf.serving.server.statuses import RequestError
from fcclf.serving.server.versions import Versions, model_name

X = np.float32([[1, 2]])


@pytest.fixture
def said():
    return []


@pytest.fixture
def versions(tmp_path, said):
    """Of DIR/models/colours, which has version 1, looked at once."""
    served.write(tmp_path / "colours", 1)
    versions = Versions(tmp_path / "colours", say=said.append)
    versions.look()
    return versions


def answering(versions):
    """The version that answers, by its answer."""
    with versions.lease() as model:
        return model.answer(model.signatures["serving_default"], [X])["logits"][0, 0]


def settled(versions):
    """Looks until a version that nobody copies any more is taken up."""
    versions.look()
    versions.look()


def test_the_newest_version_answers_under_the_name_of_its_directory(tmp_path):
    for version in (1, 12, 3):
        served.write(tmp_path / "colours", version)
    versions = Versions(tmp_path / "colours")
    versions.look()
    assert (versions.name, answering(versions)) == ("colours", 12)


def test_a_new_version_is_taken_up_and_the_old_one_let_go(versions, said):
    served.write(versions.directory, 2)
    settled(versions)
    assert answering(versions) == 2
    assert said == ["version 2 answers now", "version 1 is let go"]
    assert versions.states() == {2: ("AVAILABLE", ""), 1: ("END", "")}


def test_an_old_version_stays_open_until_its_last_request_is_answered(versions, said):
    with versions.lease() as old:
        served.write(versions.directory, 2)
        settled(versions)
        assert answering(versions) == 2
        assert old.answer(old.signatures["serving_default"], [X])["logits"][0, 0] == 1
        assert versions.states()[1] == ("UNLOADING", "")
        assert said == ["version 2 answers now"]
    versions.look()
    assert old.session is None
    assert said[1:] == ["version 1 is let go"]


@pytest.mark.slow
def test_a_version_that_is_still_copied_is_waited_for(versions, tmp_path, said):
    whole = served.write(tmp_path / "elsewhere", 2)
    (versions.directory / "2").mkdir()
    for name in ("saved_model.pb", "variables", "assets.extra"):
        copy = shutil.copytree if (whole / name).is_dir() else shutil.copy
        copy(whole / name, versions.directory / "2" / name)
        versions.look()
        assert answering(versions) == 1
    versions.look()
    assert answering(versions) == 2
    assert said[0] == "version 2 answers now"


@pytest.mark.slow
def test_a_damaged_version_is_refused_once_and_tried_again_when_its_files_change(versions, tmp_path, said):
    whole = served.write(tmp_path / "elsewhere", 2)
    shutil.copytree(whole, versions.directory / "2")
    os.truncate(versions.directory / "2" / "saved_model.pb", 100)
    for _ in range(5):
        settled(versions)
    assert answering(versions) == 1
    assert len(said) == 1
    assert said[0].startswith(f"version 2 is refused: cannot serve {versions.directory / '2'}: ")
    assert said[0].endswith("; version 1 stays.")
    state, wrong = versions.states()[2]
    assert state == "END"
    assert wrong.startswith("cannot serve ")
    shutil.copy(whole / "saved_model.pb", versions.directory / "2")
    settled(versions)
    assert answering(versions) == 2


@pytest.mark.slow
def test_an_older_version_answers_where_the_newest_is_damaged_from_the_start(tmp_path, said):
    served.write(tmp_path / "colours", 1)
    (tmp_path / "colours" / "2").mkdir()
    versions = Versions(tmp_path / "colours", say=said.append)
    versions.look()
    assert answering(versions) == 1
    assert "2: it has no saved_model.pb, but other things, so it is no whole SavedModel" in said[0]


@pytest.mark.slow
def test_where_the_newest_is_taken_away_the_next_answers(versions):
    served.write(versions.directory, 2)
    settled(versions)
    shutil.rmtree(versions.directory / "2")
    settled(versions)
    assert answering(versions) == 1


def test_the_last_version_answers_even_where_its_folder_is_gone(versions):
    shutil.rmtree(versions.directory)
    settled(versions)
    assert answering(versions) == 1


def test_what_is_no_version_is_left_alone(versions, said):
    for name in (".tmp-2", "2.old", "-2", "two"):
        served.write(versions.directory / "x", 1).rename(versions.directory / name)
    (versions.directory / "3").write_text("a file")
    settled(versions)
    assert (answering(versions), said) == (1, [])


def test_a_version_by_itself_is_served_under_its_models_name(tmp_path):
    path = served.write(tmp_path / "colours", 7)
    versions = Versions(path)
    versions.look()
    served.write(tmp_path / "colours", 8)
    settled(versions)
    assert (versions.name, answering(versions)) == ("colours", 7)
    assert model_name(tmp_path / "colours", False) == "colours"


def test_another_version_than_the_one_that_answers_is_not_to_be_had(versions):
    with versions.lease(1) as model:
        assert model.number == 1
    with (
        pytest.raises(RequestError, match=r"^version 2 of colours is not here: 1 answers\.$") as refused,
        versions.lease(2),
    ):
        pass
    assert refused.value.status == 404
    with pytest.raises(RequestError, match="no version of empty is loaded yet") as refused, Versions("empty").lease():
        pass
    assert refused.value.status == 503
