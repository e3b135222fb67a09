"""File operations: all or nothing, and errors in one sentence."""

import os

import pytest

from fcclf.errors import RunError
from fcclf.system import durable


def test_a_replaced_file_holds_the_new_text_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "file").write_text("old")
    durable.replace_file(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"


def test_a_replacement_that_fails_leaves_the_old_text_and_nothing_beside_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*file.*: No space left on device\.$"):
        durable.replace_file(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_data_is_synced_before_the_rename_and_the_directory_after_it(tmp_path, monkeypatch):
    calls = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd)))
    monkeypatch.setattr(os, "rename", lambda old, new: (calls.append("rename"), rename(old, new)))
    durable.replace_file(tmp_path / "file", "new")
    assert calls == [str(tmp_path / f".tmp-file-{os.getpid()}"), "rename", str(tmp_path)]


def test_an_error_that_names_many_things_is_cut_to_the_systems_words(tmp_path):
    class LongError(Exception):
        message = "model.ckpt.data-00000-of-00001.tempstate123; No space left on device\n\t [[node save/SaveV2]]"

    with pytest.raises(RunError) as error, durable.explained("save to", tmp_path, LongError):
        raise LongError
    assert str(error.value) == f"cannot save to {tmp_path}: No space left on device."


def test_a_file_is_measured_by_length_and_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert durable.measure(tmp_path / "file") == [
        3,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ]
    assert durable.measure(tmp_path / "none") is None


def test_no_write_follows_a_link(tmp_path):
    (tmp_path / "elsewhere").write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for write in (lambda: durable.write_file(link, "new"), lambda: durable.truncate(link, 2)):
        with pytest.raises(RunError, match="link: Too many levels of symbolic links"):
            write()
    durable.replace_file(link, "new")
    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert not link.is_symlink()


def refuse(document):
    raise ValueError("x" * 100_000 + "\n" + str(document))


@pytest.mark.parametrize("parse", [refuse, lambda document: document["x" * 100_000], lambda document: document + 1])
def test_what_is_wrong_with_a_sealed_file_is_said_in_one_short_line(tmp_path, parse):
    (tmp_path / "sealed").write_text(durable.seal({"one": 1}))
    with pytest.raises(ValueError, match=r"^.{1,350}$"):
        durable.read_sealed(tmp_path / "sealed", parse)


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "out[1].csv"
    path.write_text("old")
    with pytest.raises(RunError, match="no more"), durable.replacing(path) as file:
        raise RunError(f"no more after {file.write('half')} characters")
    assert [each.name for each in tmp_path.iterdir()] == ["out[1].csv"]
    assert path.read_text() == "old"
    with durable.replacing(path) as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def replaced_by_a_block(path):
    with durable.replacing(path) as file:
        file.write("new")


@pytest.mark.parametrize("write", [lambda path: durable.replace_file(path, "new"), replaced_by_a_block])
def test_what_a_killed_process_left_of_a_file_is_cleared(tmp_path, write):
    dead, alive = f".tmp-out.csv-{2**22 + 1}", f".tmp-out.csv-{os.getppid()}"
    for name in (dead, alive, ".tmp-out.csv-mine"):
        (tmp_path / name).touch()
    write(tmp_path / "out.csv")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([alive, ".tmp-out.csv-mine", "out.csv"])
