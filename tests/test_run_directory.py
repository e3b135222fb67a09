"""Who may write to a run directory, and what it is a run of."""

import dataclasses
import json
import os
import shutil

import pytest
import runs

from fcclf.data.facts import Facts
from fcclf.data.schema import Column, Schema
from fcclf.errors import ConfigError, RunError
from fcclf.runs import run_directory
from fcclf.system import durable

FACTS = Facts("abc", n_features=2, n_classes=2)
SCHEMA = Schema((Column("width"), Column("sex", ("f", "m"))), True, "kind", ("cat", "dog"))


def described(path, config=None, facts=FACTS):
    path.mkdir(exist_ok=True)
    found = run_directory.described(path, config or runs.config(), facts, SCHEMA, pytest.fail)
    run_directory.write(path, found)
    return found


def test_a_description_reads_back(tmp_path):
    written = described(tmp_path)
    assert run_directory.read(tmp_path) == written
    assert run_directory.read(tmp_path).config == runs.config()


def test_another_configuration_is_refused_with_each_differing_field(tmp_path):
    described(tmp_path / "mine")
    with pytest.raises(ConfigError) as error:
        described(tmp_path / "mine", runs.config(noise=0.3, l2=0.5))
    assert "'mine' is a run with other settings (data.noise: 0.2 -> 0.3; model.l2: 0.001 -> 0.5)" in str(error.value)


def test_other_data_is_refused(tmp_path):
    described(tmp_path)
    with pytest.raises(ConfigError, match="fingerprint: abc -> xyz"):
        described(tmp_path, facts=FACTS._replace(fingerprint="xyz"))


def test_settings_that_do_not_change_the_result_may_change_and_are_kept(tmp_path):
    described(tmp_path)
    more = runs.config(epochs=99, keep=7)
    described(tmp_path, more)
    assert run_directory.read(tmp_path).config == more


def test_other_versions_are_told(tmp_path):
    described(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["versions"]["tensorflow"] = "1.15.0"
    stored.pop("sha256")
    (tmp_path / "config.json").write_text(durable.seal(stored))
    said = []
    run_directory.described(tmp_path, runs.config(), FACTS, SCHEMA, said.append)
    assert "tensorflow: 1.15.0 -> " in said[0]


def test_the_fingerprint_is_of_settings_and_data(tmp_path):
    fingerprints = {
        described(tmp_path / str(number), config, facts).fingerprint
        for number, (config, facts) in enumerate(
            [
                (runs.config(), FACTS),
                (runs.config(seed=1), FACTS),
                (runs.config(), FACTS._replace(fingerprint="xyz")),
                (runs.config(epochs=9, keep=1), FACTS),
            ]
        )
    }
    assert len(fingerprints) == 3


SEALED = {"format": 1, "config": {}, "data": FACTS._asdict(), "versions": {}, "fingerprint": "f"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("{}", "it lacks 'sha256'"),
        ("[1]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("9" * 5000, "cannot be read"),
        (" " * 16_000_001, "larger than 16000000 bytes"),
        (durable.seal(SEALED).replace("abc", "abd"), "it is not as it was written"),
        (durable.seal({"format": 1}), "it lacks 'data'"),
        (durable.seal({**SEALED, "format": 9}), "another format than 1"),
        (durable.seal({**SEALED, "config": {"modle": {}}}), "unknown setting 'modle'"),
        (durable.seal({**SEALED, "data": FACTS._replace(n_features=0)._asdict()}), "have 0 features"),
    ],
)
def test_a_damaged_config_is_one_clear_error(tmp_path, text, words):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError) as error:
        run_directory.read(tmp_path)
    assert words in str(error.value)
    assert str(tmp_path / "config.json") in str(error.value)


def test_a_run_keeps_its_fingerprint_when_later_releases_add_settings(tmp_path):
    """An old config.json lacks the new setting, and its fingerprint was made without it."""
    described(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored.pop("sha256")
    del stored["config"]["training"]["clip_norm"]
    (tmp_path / "config.json").write_text(durable.seal({**stored, "fingerprint": "made without it"}))
    assert described(tmp_path, runs.config(epochs=99)).fingerprint == "made without it"
    assert run_directory.read(tmp_path).fingerprint == "made without it"


def test_a_directory_without_config_is_no_run(tmp_path):
    with pytest.raises(RunError, match="is not a run directory"):
        run_directory.read(tmp_path)


@pytest.mark.parametrize("member", ["checkpoints/epoch-000001", "train", "notes"])
def test_a_directory_that_holds_something_else_is_not_taken_over(tmp_path, member):
    path = tmp_path / "mine"
    (path / member).mkdir(parents=True)
    with pytest.raises(RunError, match=r"is not empty and has no config\.json"):
        described(path)
    with run_directory.claimed(path, fresh=True) as aside:
        assert (aside / member).is_dir()
        described(path)


def test_a_link_in_a_run_directory_is_not_followed(tmp_path):
    described(tmp_path / "mine")
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "mine" / "history.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"history\.csv is a link"):
        described(tmp_path / "mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".lock").symlink_to(tmp_path / "elsewhere")
    for fresh, words in ((False, "lock is a link"), (True, "cannot use the run directory")):
        with pytest.raises(RunError, match=words), run_directory.claimed(tmp_path / "other", fresh):
            pass
    assert (tmp_path / "elsewhere").read_text() == "precious"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.symlink_to("/dev/zero"), "is a link"),
        (os.mkfifo, "is neither a file nor a directory"),
        (os.mkdir, "it is not a file"),
    ],
)
def test_a_config_without_end_is_refused(tmp_path, make, words):
    make(tmp_path / "config.json")
    with pytest.raises(RunError, match=words):
        run_directory.read(tmp_path)


def test_a_path_that_tensorflow_takes_for_a_pattern_is_refused(tmp_path):
    with pytest.raises(RunError, match="takes for a pattern"), run_directory.claimed(tmp_path / "a[1]"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_data_that_could_not_be_read_again_are_refused(tmp_path):
    with pytest.raises(RunError, match="have 2000000 features and 2 classes, but each must be from 1 to 1000000"):
        described(tmp_path, facts=FACTS._replace(n_features=2_000_000))
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    with (
        run_directory.claimed(tmp_path / "run"),
        pytest.raises(RunError, match="is in use by another training in this process"),
        run_directory.claimed(tmp_path / "run"),
    ):
        pass
    with run_directory.claimed(tmp_path / "run"):
        pass


def test_fresh_moves_the_old_run_aside_and_loses_nothing(tmp_path, finished_run):
    path = shutil.copytree(finished_run, tmp_path / "run")
    for number in (1, 2):
        described(path) if not (path / "config.json").exists() else None
        with run_directory.claimed(path, fresh=True) as aside:
            assert aside == tmp_path / f"run.old-{number}"
            assert [each.name for each in path.iterdir()] == [".lock"]
    assert len(list((tmp_path / "run.old-1" / "checkpoints").iterdir())) == len(
        list((finished_run / "checkpoints").iterdir())
    )


def test_fresh_moves_a_run_with_links_aside_and_does_not_follow_them(tmp_path):
    described(tmp_path / "run")
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "run" / "history.csv").symlink_to(tmp_path / "elsewhere")
    with run_directory.claimed(tmp_path / "run", fresh=True) as aside:
        assert (aside / "history.csv").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_run_may_be_reached_through_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "disk")
    described(tmp_path / "disk" / "run")
    (tmp_path / "disk" / "link").symlink_to(tmp_path / "disk" / "run")
    for path in (tmp_path / "logs" / "run", tmp_path / "disk" / "link"):
        with run_directory.claimed(path):
            assert run_directory.read(path).config == runs.config()


def test_fresh_where_no_run_is_moves_nothing(tmp_path):
    with run_directory.claimed(tmp_path / "run", fresh=True) as aside:
        assert aside is None


def test_description_is_not_sensitive_to_how_settings_are_carried_out():
    config = runs.config()
    other = dataclasses.replace(config, session=dataclasses.replace(config.session, threads=1, checkpoint_every=1))
    assert config.identity() == other.identity()
