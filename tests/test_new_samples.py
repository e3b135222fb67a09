"""Samples that a network has not seen: found by names or places, read from files, refused in one sentence."""

import gzip
import io
import struct

import numpy as np
import pandas as pd
import pytest

from fcclf.data.schema import Column, Schema
from fcclf.data.tables import new_samples
from fcclf.data.tables.new_samples import Expected
from fcclf.errors import ConfigError, RunError
from fcclf.settings.run_config import DataShape, Format

PETS = Expected(
    Schema((Column("width"), Column("fur", ("long", "short")), Column("age")), True, "kind", ("cat", "dog")),
    DataShape(3, 2, (0, 2, 0), missing=True),
)
PLAIN = Expected(Schema(), DataShape(2, 2))
X = [[1, 0, 3], [2, 1, 4], [5, 2, np.nan]]
FRAME = pd.DataFrame({"age": [3, 4, None], "fur": ["long", "short", "none"], "width": [1, 2, 5]})
ROWS = ["age,fur,width", "3,long,1", "4,short,2", ",none,5"]


def features(samples, expected=PETS, warn=pytest.fail):
    return new_samples.features(samples, expected, warn)


def file(tmp_path, lines):
    path = tmp_path / "pets.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_of_a_frame_and_of_a_file_are_found_by_their_names(tmp_path):
    for samples in (FRAME, file(tmp_path, ROWS), str(file(tmp_path, ROWS))):
        found = features(samples)
        np.testing.assert_array_equal(found, np.float32(X))
        assert found.dtype == np.float32


def test_rows_of_cells_and_arrays_are_taken_by_place():
    np.testing.assert_array_equal(features([[1, "long", 3], [2, "short", "4"], [5, None, ""]]), np.float32(X))
    np.testing.assert_array_equal(features(np.array(X)), np.float32(X))
    np.testing.assert_array_equal(features([]), np.empty((0, 3)))


def test_numbers_are_of_the_type_of_the_network():
    found = features(np.array([[0.1, 0.2]]), Expected(Schema(), DataShape(2, 2), "float64"))
    assert found.tolist() == [[0.1, 0.2]]


def test_whole_numbers_are_texts_without_a_point():
    expected = Expected(Schema((Column("zip", ("7", "8")),), True), DataShape(1, 2, (2,)))
    assert features(pd.DataFrame({"zip": [8.0, 7.0, None]}), expected)[:, 0].tolist() == [1, 0, 2]


def test_columns_that_are_not_needed_are_told_and_left_out():
    said = []
    np.testing.assert_array_equal(features(FRAME.assign(name="x", kind="cat"), warn=said.append), np.float32(X))
    assert said == ["X has columns that the run does not know: name"]


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (FRAME[["fur"]], "X lacks width, age: the run needs width, fur, age"),
        (pd.concat([FRAME, FRAME[["age"]]], axis=1), "X has several columns of the name 'age'"),
        (FRAME.assign(width=["1", "x", "3"]), "X, line 2, 'width' is 'x', which is no finite number"),
        (FRAME.assign(width=[1, 1e39, 3]), r"X, line 2, 'width' is '1e\+39', which is no finite number"),
        ([[1, "long"]], "X has 2 columns, but the run needs 3, which it knows by their places alone"),
        (np.zeros(3), r"X: an array of float64 \(3,\), but the run needs numbers, 3 a sample"),
        (np.full((2, 3), np.inf), r"X has inf at X\[0, 0\], which float32 cannot hold"),
    ],
)
def test_samples_that_do_not_fit_are_refused_in_one_sentence(samples, words):
    with pytest.raises(RunError, match=words):
        features(samples)


def test_a_missing_number_is_refused_where_the_data_of_training_lacked_none(tmp_path):
    for samples, words in (
        (
            np.array([[0, 1], [2, np.nan]]),
            r"X: X\[1, 1\] is missing, but the run was trained on data that lack nothing",
        ),
        (file(tmp_path, ["1,2", "3,"]), "pets.csv, line 2, 'column 2' is missing, but the run"),
    ):
        with pytest.raises(RunError, match=words):
            features(samples, PLAIN)


def read(path, expected=PLAIN, **columns):
    return list(new_samples.read(path, expected, pytest.fail, **columns))


def test_a_file_gives_labels_and_ids(tmp_path):
    path = file(tmp_path, ["number,kind,age,fur,width", "a,cat,3,long,1", "b,,4,short,2"])
    (block,) = read(path, PETS, ids="number")
    np.testing.assert_array_equal(block.X, np.float32(X[:2]))
    assert (block.labels, block.ids) == (["cat", ""], ["a", "b"])
    (block,) = read(file(tmp_path, ["1,2,x", "3,4,y"]), label="3")
    assert (block.X.tolist(), block.labels, block.ids) == ([[1, 2], [3, 4]], ["x", "y"], None)


def test_a_file_is_written_as_that_of_training_unless_it_is_said_otherwise(tmp_path):
    expected = PLAIN._replace(form=Format(":", "latin-1"))
    (tmp_path / "a.csv").write_text("1:2\n")
    assert read(tmp_path / "a.csv", expected)[0].X.tolist() == [[1, 2]]
    (tmp_path / "a.csv").write_text("1;2\n")
    assert read(tmp_path / "a.csv", expected, form=Format(";"))[0].X.tolist() == [[1, 2]]


def test_a_file_without_a_heading_has_the_columns_of_training(tmp_path):
    counted = Expected(Schema((Column("column 2"), Column("column 3")), False, "column 1"), DataShape(2, 2))
    (block,) = read(file(tmp_path, ["x,1,2"]), counted)
    assert (block.X.tolist(), block.labels) == ([[1, 2]], ["x"])
    (block,) = read(file(tmp_path, ["1,2"]), counted)
    assert (block.X.tolist(), block.labels) == ([[1, 2]], None)


def test_standard_input_is_read_as_csv(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf1,2\n3,4\n")))
    assert read(new_samples.Path("-"))[0].X.tolist() == [[1, 2], [3, 4]]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"1,2\n3,x\n")))
    with pytest.raises(RunError, match="standard input, line 2, 'column 2' is 'x'"):
        read(new_samples.Path("-"))


def test_arrays_are_read_from_npz_and_npy_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(new_samples, "BLOCK", 2)
    samples = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "a.npz", X=samples, y=["a", "b", "a"])
    np.savez(tmp_path / "b.npz", X=samples)
    np.save(tmp_path / "c.npy", samples)
    for name, labels in (("a.npz", [["a", "b"], ["a"]]), ("b.npz", [None, None]), ("c.npy", [None, None])):
        blocks = read(tmp_path / name)
        assert [block.X.tolist() for block in blocks] == [[[0, 1], [2, 3]], [[4, 5]]]
        assert [block.labels for block in blocks] == labels


def test_images_are_read_from_idx_as_in_training(tmp_path):
    images = np.arange(8, dtype=np.uint8)
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb") as packed:
        packed.write(struct.pack(">IIII", 0x803, 2, 2, 2) + images.tobytes())
    (block,) = read(tmp_path / "t10k-images-idx3-ubyte.gz", Expected(Schema(image_shape=(2, 2)), DataShape(4, 2)))
    np.testing.assert_array_equal(block.X, images.reshape(2, 4) / np.float32(255))
    with pytest.raises(RunError, match="but the run needs 28 x 28"):
        read(tmp_path / "t10k-images-idx3-ubyte.gz", Expected(Schema(image_shape=(28, 28)), DataShape(784, 2)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npy", b"", "cannot read .*a.npy"),
        ("a.npy", b"\x93NUMPY\x01\x00", "cannot read .*a.npy"),
        ("a.npz", b"PK", "cannot read .*a.npz"),
        ("a.csv", b"", "a.csv has 0 columns, but the run needs 2"),
        ("a.csv", b"1,2\n3\n", "line 2 has 1 columns, but the first row has 2"),
        ("a.csv", b"\xff\xff", "is no CSV file"),
        ("a-ubyte", b"abc", "does not begin with 0x00000803"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=words) as error:
        read(tmp_path / name)
    assert len(str(error.value).splitlines()) == 1


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"id is 'name', but the columns of .* are numbers from 1 to 2"):
        read(file(tmp_path, ["1,2"]), ids="name")
    np.save(tmp_path / "a.npy", np.zeros((1, 2)))
    with pytest.raises(ConfigError, match=r"label is '3', a column of a CSV file, but .*a\.npy is none"):
        read(tmp_path / "a.npy", label="3")
