"""Packed data: what is trained on them has the bits of what is trained on the same data in memory."""

import gzip
import os
import struct

import numpy as np
import pandas as pd
import pytest
import runs

from fcclf.cli import entry
from fcclf.data import loading, packed, packing
from fcclf.errors import ConfigError, RunError
from fcclf.runs import training, verification
from fcclf.runs.trained import open_run
from fcclf.settings.config import Config, Training
from fcclf.settings.sources import Images, Packed, Table

ROWS = 120
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
LABELS = RANDOM.integers(3, size=ROWS)
FRAME = pd.DataFrame(
    {
        "size": NUMBERS[:, 0],
        "nothing": [None] * ROWS,
        "colour": RANDOM.choice(["red", "green", "blue", None], ROWS),
        "weight": np.where(NUMBERS[:, 1] > 1, np.nan, NUMBERS[:, 1]),
        "counts": RANDOM.integers(1, 4, ROWS),
        "kind": np.array(["a", "b", "c"])[LABELS],
        "price": NUMBERS[:, 2] * 1000,
    }
)


def csv(path, frame=FRAME):
    frame.to_csv(path / "goods.csv", index=False)
    return path / "goods.csv"


def csv_gz(path):
    (path / "goods.csv.gz").write_bytes(gzip.compress(csv(path).read_bytes()))
    return path / "goods.csv.gz"


def parquet(path):
    FRAME.to_parquet(path / "goods.parquet")
    return path / "goods.parquet"


def npz(path, **changes):
    np.savez_compressed(path / "goods.npz", X=NUMBERS.astype(np.float64), y=LABELS, counts=FRAME.counts, **changes)
    return path / "goods.npz"


KINDS = {
    "classes of a CSV file": (csv, {"label": "kind", "weight_column": "counts"}),
    "numbers of a CSV file": (csv, {"label": "price", "task": "regression", "drop": ("kind",)}),
    "a gzipped CSV file": (csv_gz, {"label": "kind", "data_seed": 3, "test_ratio": 0.3}),
    "a Parquet file": (parquet, {"label": "kind", "categories": ("counts",)}),
    "an NPZ file": (npz, {"weight_column": "counts"}),
}


@pytest.fixture
def goods(tmp_path):
    """kind -> (a table, the same packed)."""

    def made(kind):
        write, settings = KINDS[kind]
        table = Table(str(write(tmp_path)), **settings)
        packing.pack(table, tmp_path / "goods")
        return table, Packed(str(tmp_path / "goods"), task=table.task)

    return made


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_data_are_the_data_of_the_table(kind, early_stopping, goods):
    table, pack = (
        loading.load(Config(source, training=Training(early_stopping=early_stopping))) for source in goods(kind)
    )
    assert pack.facts == table.facts
    assert pack.schema == table.schema
    for part, expected in zip(pack[:3], table[:3], strict=True):
        assert len(part.arrays) == len(expected.arrays)
        for array, values in zip(part.arrays, expected.arrays, strict=True):
            np.testing.assert_array_equal(array, values)


def test_arrays_in_npy_files_are_packed_like_those_of_an_npz_file(tmp_path, goods):
    table, _ = goods("an NPZ file")
    (tmp_path / "arrays").mkdir()
    for name, array in np.load(table.file).items():
        np.save(tmp_path / "arrays" / f"{name}.npy", array)
    packing.pack(Table(str(tmp_path / "arrays"), weight_column="counts"), tmp_path / "of-arrays")
    assert loading.load(Config(Packed(str(tmp_path / "of-arrays")))).facts == loading.load(Config(table)).facts


def test_images_are_packed_as_they_are_loaded(tmp_path):
    for part, size in (("train", 6), ("t10k", 3)):
        for kind, array in (
            ("images-idx3", RANDOM.integers(256, size=(size, 2, 3))),
            ("labels-idx1", np.arange(size) % 3),
        ):
            head = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    packing.pack(Table(str(tmp_path)), tmp_path / "packed")
    training = Training(batch_size=2, early_stopping=True, validation_fraction=0.4)
    images, pack = (
        loading.load(Config(source, training=training))
        for source in (Images(str(tmp_path)), Packed(str(tmp_path / "packed")))
    )
    assert pack.facts == images.facts
    assert pack.schema == images.schema


def test_a_parquet_file_in_several_parts_is_packed_as_if_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("fcclf.data.tables.frame.AT_ONCE", 7)
    table = Table(str(parquet(tmp_path)), label="kind", categories=("counts",))
    packing.pack(table, tmp_path / "goods")
    assert loading.load(Config(Packed(str(tmp_path / "goods")))).facts == loading.load(Config(table)).facts


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classes of a CSV file", "numbers of a CSV file"])
def test_a_streamed_run_on_packed_data_is_the_run_on_the_table(kind, goods, tmp_path):
    settings = {"epochs": 4, "batch_size": 23, "standardize": "features", "early_stopping": True}
    table, pack = goods(kind)
    for source, stream in ((table, "off"), (pack, "on")):
        training.train(runs.config(data=source, stream=stream, **settings), tmp_path / source.name)
    runs.assert_same_variables(tmp_path / "packed", tmp_path / "table")
    assert runs.history(tmp_path / "packed") == runs.history(tmp_path / "table")
    assert verification.replay(tmp_path / "packed") is None
    assert list(verification.check(tmp_path / "packed")) == []


@pytest.mark.slow
def test_the_commands_take_a_run_on_packed_data(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    csv(tmp_path)
    assert entry.main(["pack", "goods.csv", "goods", "--label", "kind", "--drop", "price", "--quiet"]) == 0
    assert "to train on it: fcclf train packed goods" in capfd.readouterr().err
    flags = ["--epochs", "2", "--jit", "off", "--stream", "on", "--threads", "1", "--run-name", "goods"]
    assert entry.main(["train", "packed", "goods", *flags]) == 0
    assert "accuracy" in capfd.readouterr().out
    for command in (
        "predict logs/goods goods.csv",
        "plot logs/goods",
        "export logs/goods models",
        "evaluate logs/goods",
    ):
        assert entry.main(command.split()) == 0, command
    with open_run("logs/goods") as run:
        assert {*run.labels("goods.csv")} <= {"a", "b", "c"}


def test_numbers_are_packed_as_numbers_where_they_look_like_it(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    csv(tmp_path)
    assert entry.main(["pack", "goods.csv", "goods", "--quiet"]) == 0
    assert packed.read(tmp_path / "goods").task == "regression"
    with pytest.raises(ConfigError, match="was packed for regression: set it to that"):
        loading.load(Config(Packed("goods")))


def test_a_fingerprint_is_computed_once(goods, monkeypatch):
    _, source = goods("an NPZ file")
    expected = loading.load(Config(source)).facts
    monkeypatch.setattr(packed, "fingerprint", lambda arrays: "-" if arrays[0].ndim == 2 else FINGERPRINT(arrays))
    assert loading.load(Config(source)).facts == expected


FINGERPRINT = packed.fingerprint


def test_a_pack_is_still_sound_when_it_was_copied(goods):
    _, source = goods("an NPZ file")
    os.utime(os.path.join(source.directory, "train.X.npy"))
    loading.load(Config(source))


@pytest.mark.parametrize(
    ("file", "damage", "sentence"),
    [
        ("train.X.npy", lambda content: content[:-1], "is not as long as it was packed"),
        ("train.X.npy", lambda content: content[:-1] + b"!", "is damaged: pack the data again"),
        ("test.y.npy", lambda content: b"?" * len(content), "cannot read .*test.y.npy"),
        ("pack.json", lambda content: content.replace(b"goods", b"bads"), "it is not as it was written"),
        ("pack.json", lambda content: b"{}", "it lacks 'sha256'"),
    ],
)
def test_a_damaged_pack_is_refused(file, damage, sentence, goods):
    _, source = goods("an NPZ file")
    path = packed.Path(source.directory) / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=sentence) as refused:
        loading.load(Config(source))
    runs.assert_one_sentence(refused.value)


def test_what_is_no_pack_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"is no packed data: it has no pack.json: make it with fcclf pack"):
        loading.load(Config(Packed(str(tmp_path))))


def test_what_is_there_already_is_not_packed_over(tmp_path):
    with pytest.raises(RunError, match="is there already: name another directory, or delete it"):
        packing.pack(Table(str(csv(tmp_path)), label="kind"), tmp_path)


def test_nothing_is_left_of_a_pack_that_failed(tmp_path):
    file = csv(tmp_path, FRAME.assign(size="large"))
    with pytest.raises(RunError):
        packing.pack(Table(str(file), label="nothing"), tmp_path / "goods")
    assert [path.name for path in tmp_path.iterdir()] == ["goods.csv"]


def test_what_a_killed_process_left_is_told_and_swept(tmp_path):
    left = tmp_path / ".tmp-goods-999999999"
    left.mkdir()
    (left / "rows").write_bytes(b"half")
    said = []
    packing.pack(Table(str(csv(tmp_path)), label="kind"), tmp_path / "goods", said.append)
    assert f"{left} was left unfinished by an earlier process: it is deleted" in said
    assert not left.exists()


def test_what_does_not_fit_on_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100})())
    with pytest.raises(RunError, match=r"packing needs 1 MB in .*, but 1 MB are free"):
        packing.pack(Table(str(csv(tmp_path)), label="kind"), tmp_path / "goods")
