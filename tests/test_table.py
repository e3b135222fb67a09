"""Tables: what is read from CSV and NPZ files, and what is refused with line and column."""

import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

from fcclf.data import loading
from fcclf.data.schema import Column, Schema
from fcclf.data.tables import csv_file, table, text_file
from fcclf.errors import ConfigError, RunError
from fcclf.settings.config import Config, Training
from fcclf.settings.sources import Table
from fcclf.system import memory

ROWS = ["1,2,cat", "3,4.5,dog", "-5,6e1,cat", "7,8,dog"]
HEADED = ["width,height,kind", *ROWS]


def read(path, label=None, say=lambda sentence: None, **settings):
    return table.read(Table(str(path), label, **settings), say)


@pytest.fixture
def file(tmp_path):
    """Writes lines into a CSV file; its path."""

    def write(lines):
        path = tmp_path / "pets.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.mark.parametrize("lines", [ROWS, HEADED])
def test_numbers_and_labels_are_read_with_and_without_a_heading(file, lines):
    contents = read(file(lines))
    np.testing.assert_array_equal(contents.X, np.float32([[1, 2], [3, 4.5], [-5, 60], [7, 8]]))
    np.testing.assert_array_equal(contents.y, [0, 1, 0, 1])
    assert contents.X.dtype == np.float32
    assert contents.y.dtype == np.int32
    assert contents.classes == ("cat", "dog")
    assert contents.columns == (["width", "height"] if lines is HEADED else ["column 1", "column 2"])


@pytest.mark.parametrize("label", ["kind", "1"])
def test_the_column_of_labels_may_be_any(file, label):
    contents = read(file(["kind,width,height", "b,1,2", "a,3,4", "b,5,6", "a,7,8"]), label)
    np.testing.assert_array_equal(contents.X, [[1, 2], [3, 4], [5, 6], [7, 8]])
    assert (contents.classes, contents.y.tolist()) == (("a", "b"), [1, 0, 1, 0])


def test_labels_that_are_numbers_are_ordered_as_numbers(file):
    assert read(file(["1,10", "2,9", "3,10", "4,9"])).classes == ("9", "10")


def test_quoted_cells_blank_lines_and_spaces_are_read(file):
    contents = read(file(['"1", 2,"a,b"', "", "3,4,c", '5,6,"a,b"', "7,8,c"]))
    assert contents.classes == ("a,b", "c")
    assert contents.X.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "needs two columns or more"),
        (["1", "2"], "needs two columns or more"),
        (HEADED[:1], "has no row below its heading"),
        ([*HEADED, "9,cat"], "line 6 has 2 columns, but the first row has 3: correct it, or leave the row out"),
        ([*ROWS, "9,10,"], "line 5, 'column 3' is empty"),
        ([*HEADED, "9,tall,cat", "10,,dog"], "line 6, 'height' is 'tall', which is no finite number"),
        ([*HEADED, "-inf,9,cat"], "line 6, 'width' is '-inf', which is no finite number"),
        ([*HEADED, "9,1e99,cat"], "line 6, 'height' is '1e99', which is no finite number"),
        (["1,2,cat", "3,4,cat"], "has one class only, 'cat'"),
        ([*ROWS, "1,2,cow"], "has 1 row with the label 'cow': each label needs 2 or more"),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused_with_line_and_column(file, lines, words):
    with pytest.raises(RunError, match=words):
        read(file(lines))


def test_damage_is_found_beyond_the_rows_that_are_read_at_once(file, monkeypatch):
    monkeypatch.setattr(csv_file, "ROWS", 2)
    with pytest.raises(RunError, match="line 8, 'width' is 'x'"):
        read(file([*HEADED, *ROWS[:2], "x,1,cat"]))


@pytest.mark.parametrize(("lines", "known"), [(HEADED, "width, height, kind"), (ROWS, "numbers from 1 to 3")])
def test_a_label_that_is_not_there_is_refused(file, lines, known):
    with pytest.raises(ConfigError, match=f"label is 'colour', but the columns of .* are {known}"):
        read(file(lines), "colour")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=8, max_size=8))
def test_every_number_is_read_back(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    path.write_text(
        "".join(
            f"{one!r},{other!r},{row % 2}\n" for row, (one, other) in enumerate(zip(*[iter(numbers)] * 2, strict=True))
        )
    )
    np.testing.assert_array_equal(read(path).X.ravel(), np.float32(numbers))


def test_arrays_are_read_from_an_npz_file(tmp_path):
    X, y = np.arange(8.0).reshape(4, 2), np.array(["dog", "cat", "dog", "cat"])
    np.savez(tmp_path / "pets.npz", X=X, y=y)
    contents = read(tmp_path / "pets.npz")
    np.testing.assert_array_equal(contents.X, X.astype(np.float32))
    assert (contents.classes, contents.y.tolist()) == (("cat", "dog"), [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": np.zeros((2, 2))}, "must be an NPZ file with the arrays X and y"),
        ({"X": np.zeros((2, 2)), "y": np.array([{}, {}])}, "must be an NPZ file with the arrays X and y"),
        ({"X": np.zeros(2), "y": np.zeros(2)}, r"has X \(2,\) of float64 and y \(2,\)"),
        ({"X": np.array([["a"], ["b"]]), "y": np.zeros(2)}, "but X must be numbers"),
        ({"X": np.float16([[0.0, np.inf]]), "y": np.zeros(1)}, r"has inf at X\[0, 1\]"),
    ],
)
def test_arrays_that_are_no_table_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(RunError, match=words):
        read(tmp_path / "bad.npz")


def loaded(path, **settings):
    return loading.load(Config(Table(str(path), **settings), training=Training(batch_size=1)))


def test_each_class_keeps_its_share_in_both_parts_and_no_row_is_lost(file):
    path = file([f"{row},{row % 10 < 3}" for row in range(100)])
    dataset = loaded(path, test_ratio=0.3)
    assert np.bincount(dataset.train.y).tolist() == [49, 21]
    assert np.bincount(dataset.test.y).tolist() == [21, 9]
    assert dataset.classes == ["False", "True"]
    X, y = np.concatenate([dataset.train.X, dataset.test.X]), np.concatenate([dataset.train.y, dataset.test.y])
    assert sorted(X[:, 0].tolist()) == list(range(100))
    np.testing.assert_array_equal(y, X[:, 0] % 10 < 3)


def test_another_seed_splits_otherwise_and_the_same_seed_alike(file):
    path = file(f"{row},{row % 2}" for row in range(40))
    first, again, other = (loaded(path, data_seed=seed).facts for seed in (1, 1, 2))
    assert first == again != other


def test_a_test_part_too_small_for_the_classes_is_refused(file):
    path = file(f"{row},{row % 5}" for row in range(20))
    with pytest.raises(ConfigError, match=r"test_ratio is 0\.1, which leaves a part without some class"):
        loaded(path, test_ratio=0.1)


def test_space_around_labels_makes_no_other_class(file):
    contents = read(file(["a,kind ", "1,x", "2,x ", "3, y", "4,y"]), "kind")
    assert contents.classes == ("x", "y")
    np.testing.assert_array_equal(contents.y, [0, 0, 1, 1])


def test_equal_numbers_are_one_label_and_come_in_their_order(file):
    contents = read(file(["a,b", "1,10", "2,2", "3,2.0", "4,10"]))
    assert contents.classes == ("2", "10")
    np.testing.assert_array_equal(contents.y, [1, 0, 0, 1])


def test_a_label_that_is_no_number_among_numbers_is_named(file):
    with pytest.raises(RunError, match="has the label 'nan' among numbers"):
        read(file(["a,b", "1,1", "2,nan", "3,1"]))


def test_a_label_that_names_two_columns_is_refused(file):
    with pytest.raises(ConfigError, match="'b', which is the name of several columns"):
        read(file(["b,b,c", "1,1,1"]), "b")


def test_an_npz_that_is_none_is_one_sentence(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((4, 2)))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(RunError, match="must be an NPZ file with the arrays X and y"):
        read(tmp_path / "array.npz")


# ---- texts, and what is missing --------------------------------------------------------------------------------------

SHIP = [
    "name,sex,age,cabin,kind",
    *("a,f,1,,cat", "b,m,,B,dog", "c,f,3,,cat", "d,,4,C,dog", "e,m,NaN,,cat", "f,f,6,n/a,dog"),
]


def test_texts_become_places_among_the_sorted_ones_and_numbers_that_are_missing_nan(file):
    contents = read(file(SHIP), drop=("name",))
    nan = np.nan
    expected = [[1, 1, 0], [2, nan, 1], [1, 3, 0], [0, 4, 2], [2, nan, 0], [1, 6, 0]]
    np.testing.assert_array_equal(contents.X, np.float32(expected))
    assert contents.texts == {0: ("", "f", "m"), 2: ("", "B", "C")}
    assert contents.categories == (3, 0, 3)
    assert contents.schema == Schema(
        (Column("sex", ("", "f", "m")), Column("age"), Column("cabin", ("", "B", "C"))), True, "kind", ("cat", "dog")
    )


def test_numbers_may_be_categories(file):
    lines = ["zip,kind", *(f"{1000 + row % 3},{'ab'[row % 2]}" for row in range(12))]
    contents = read(file(lines), categories=("zip",))
    assert contents.texts == {0: ("1000", "1001", "1002")}
    assert contents.X[:3, 0].tolist() == [0, 1, 2]


NAMES = ["name,born,x,kind", *(f"n{row},{1 + row:02}.01.1990,{row % 7},{row % 2}" for row in range(22))]


def test_texts_that_hardly_repeat_and_dates_are_left_out(file):
    contents = read(file(NAMES))
    assert contents.columns == ["x"]
    assert contents.left_out == {"born": "dates", "name": "22 different texts, such as n0"}


def test_texts_that_hardly_repeat_are_no_categories(file):
    with pytest.raises(RunError, match=r"has 22 different texts in 'name', which are too many .* with --drop"):
        read(file(NAMES), categories=("name",))


def test_dates_are_categories_where_that_is_asked_for(file):
    dates = ["2024-01-05", "2024-01-06 12:00", ""] * 4
    contents = read(
        file(["day,x,kind", *(f"{day},{row},{row % 2}" for row, day in enumerate(dates))]), categories=("day",)
    )
    assert contents.texts == {0: ("", "2024-01-05", "2024-01-06 12:00")}


def test_a_table_of_which_nothing_is_left_says_why(file):
    with pytest.raises(RunError, match=r"has no column to predict from: day \(dates\)\. Name some with --categories"):
        read(file(["day,kind", "2024-01-05,a", "2024-01-06,b"]))


def test_columns_to_predict_from_may_be_named(file):
    lines = ["a,b,c,kind", "1,2,3,x", "4,5,6,y", "7,8,9,x", "1,2,3,y"]
    assert read(file(lines), columns=("c", "1")).columns == ["a", "c"]
    assert read(file(lines), columns=("c", "1"), drop=("a",)).columns == ["c"]
    with pytest.raises(ConfigError, match=r"columns leaves no column of .* to predict from"):
        read(file(lines), columns=("kind",))


def test_a_column_of_numbers_and_many_texts_holds_texts(file):
    boats = [*"12345678", "A", "B", "C D", "A"]
    contents = read(file(["boat,x,kind", *(f"{boat},{row},{row % 2}" for row, boat in enumerate(boats))]))
    assert contents.texts[0] == (*"12345678", "A", "B", "C D")


def test_a_single_text_among_numbers_is_damage(file):
    with pytest.raises(RunError, match="line 5, 'age' is 'x', which is no finite number"):
        read(file(["age,kind", "1,a", "2,b", "3,a", "x,b", "5,a"]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"drop": ("age", "sex", "cabin", "name")}, "drop leaves no column of .* to predict from"),
        ({"drop": ("height",)}, "drop is 'height', but the columns of .* are name, sex, age, cabin, kind"),
        ({"categories": ("9",)}, "categories is '9', but the columns"),
    ],
)
def test_columns_that_are_not_there_are_named(file, settings, words):
    with pytest.raises(ConfigError, match=words):
        read(file(SHIP), **settings)


def test_a_column_without_a_value_is_left_out(file):
    contents = read(file(["a,b,kind", *("1,,x", "2,NA,y") * 3]))
    assert (contents.columns, contents.left_out) == (["a"], {"b": "no value"})
    assert contents.X[:, 0].tolist() == [1, 2] * 3


def test_an_empty_last_column_is_no_label(file):
    with pytest.raises(RunError, match=r"the last column of .* is empty: name the one with the labels by --label"):
        read(file(["a,kind,", *("1,x,", "2,y,") * 3]))
    assert read(file(["a,kind,", *("1,x,", "2,y,") * 3]), "kind").left_out == {"column 3": "no value"}


def test_a_heading_with_a_number_is_hinted_at(file):
    with pytest.raises(RunError, match=r"1 row with the label 'kind'.* The first row was not taken for a heading"):
        read(file(["2024,kind", *("1,x", "2,y") * 3]))


def test_texts_of_the_test_part_alone_are_unknown(file):
    lines = ["word,x,kind", *(f"{'only' if row == 7 else 'abc'[row % 3]},{row},{row % 2}" for row in range(40))]
    for seed in range(20):
        dataset = loaded(file(lines), data_seed=seed)
        if 7 in dataset.test.X[:, 1]:
            break
    assert dataset.schema.columns[0].categories == ("a", "b", "c")
    assert dataset.test.X[dataset.test.X[:, 1] == 7, 0] == 3
    assert dataset.categories == (3, 0)


def test_an_npz_file_with_a_column_without_a_value_is_refused(tmp_path):
    np.savez(tmp_path / "table.npz", X=np.float32([[1, np.nan]] * 4), y=[0, 1, 0, 1])
    with pytest.raises(RunError, match=r"table\.npz has no value in X\[:, 1\]: leave that column out"):
        read(tmp_path / "table.npz")


def test_an_npz_file_may_lack_numbers(tmp_path):
    np.savez(tmp_path / "pets.npz", X=np.array([[0.0, np.nan], [1.0, 2.0]] * 2), y=np.arange(4) % 2)
    np.testing.assert_array_equal(read(tmp_path / "pets.npz").X[0], np.float32([0, np.nan]))


# ---- hostile files ---------------------------------------------------------------------------------------------------


def npy(header, content=b"", version=(1, 0)):
    """The bytes of an .npy file with this text as its header."""
    head = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(head).to_bytes(2 if version == (1, 0) else 4, "little") + head + content


def described(shape, descr="<f8", fortran="False"):
    return f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}}}"


def npz(path, X, y=None, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("X.npy", X)
        archive.writestr("y.npy", npy(described("(4,)", "<i8"), np.arange(4).tobytes()) if y is None else y)
    return path


HEADERS = {
    "huge": described("(10**15, 2)"),
    "huger": described("(1000000000000000, 2)"),
    "overflow": described(f"({2**62}, {2**62})"),
    "no int64": described(f"({10**30}, 2)"),
    "negative": described("(-4, 2)"),
    "objects": described("(4, 2)", "|O"),
    "structure": described("(4, 2)", [("a", "<f8")]),
    "no type": described("(4, 2)", "<f99"),
    "sub-array": described("(4, 2)", "(100000000,100000000)f8"),
    "wide": described("(4, 2)", "U1000000000"),
    "text": described("'ab'"),
    "truth": described("(True, 2)"),
    "order": described("(4, 2)", fortran="7"),
    "deep": "(" * 5000,
    "brackets": "[" * 200 + "]" * 200,
    "long": " " * 20_000,
    "no dict": "7",
    "syntax": "{'descr': ",
    "token": "{'descr': 0777, '''",
    "nul": "\0",
    "call": "__import__('os').abort()",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0), (9, 9)])
@pytest.mark.filterwarnings("error")
def test_an_array_whose_header_lies_is_one_sentence(tmp_path, name, version):
    for path in (
        npz(tmp_path / "X.npz", npy(HEADERS[name], bytes(64), version)),
        npz(tmp_path / "y.npz", npy(described("(4, 2)"), bytes(64)), npy(HEADERS[name], bytes(32), version)),
    ):
        with pytest.raises(RunError, match=rf"^{path} .*NPZ|^{path} has X") as error:
            read(path)
        assert len(str(error.value).splitlines()) == 1
        assert len(str(error.value)) < 600


def damaged(path, place, change):
    content = bytearray(path.read_bytes())
    content[place : place + len(change)] = change
    path.write_bytes(content)
    return path


def archives(tmp_path):
    sound = npy(described("(4, 2)"), np.arange(8.0).tobytes())
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        for place in (26, 45, 60):
            yield damaged(npz(tmp_path / f"{method}-{place}.npz", sound, method=method), place, b"\xff\xfe\xff\xff")
    for name, change in {"encrypted": b"\x01\x00", "patched": b"\x20\x00"}.items():
        path = npz(tmp_path / f"{name}.npz", sound)
        place = path.read_bytes().index(b"PK\1\2") + 8
        yield damaged(damaged(path, 6, change), place, change)
    for method in (7, 97, 93):
        path = npz(tmp_path / f"method-{method}.npz", sound)
        place = path.read_bytes().index(b"PK\1\2") + 10
        yield damaged(damaged(path, 8, bytes([method, 0])), place, bytes([method, 0]))


def crafted_array(chance):
    """The bytes of an array: a head that may say anything, and numbers that may be others."""
    sizes = [
        chance.choice([0, 1, 2, 4, 4, 2**31, 2**62, -1, "True", "'4'", "None"]) for _ in range(chance.randint(0, 3))
    ]
    shape = chance.choice(["(4,)", "(4, 2)", "(4, 2)", f"({', '.join(map(str, sizes))},)"])
    descr = chance.choice(
        ["<f8", "<f8", ">f4", "<f2", "<i8", "|b1", "<U3", "|S4", "|O", "<c16", "<M8[s]", "|V8", "<f16"]
    )
    header = described(shape, descr, chance.choice(["True", "False", "False", "'no'"]))
    for _ in range(chance.choice([0, 0, 0, 1, 3])):
        place = chance.randrange(len(header))
        header = header[:place] + chr(chance.randrange(256)) + header[place + 1 :]
    return npy(
        header, chance.randbytes(chance.choice([0, 8, 32, 64, 64, 128])), chance.choice([(1, 0), (2, 0), (7, 7)])
    )


@pytest.mark.parametrize("count", [30, runs.campaign(3000)])
def test_crafted_archives_are_read_or_refused_in_one_sentence(tmp_path, count):
    for number in range(count):
        chance = random.Random(number)
        path = npz(tmp_path / "crafted.npz", crafted_array(chance), chance.choice([None, crafted_array(chance)]))
        if chance.random() < 0.3:
            content = path.read_bytes()
            damaged(path, chance.randrange(len(content)), chance.randbytes(chance.randint(1, 9)))
        try:
            contents = read(path)
        except (RunError, ConfigError) as error:
            runs.assert_one_sentence(error)
        else:
            assert not np.isinf(contents.X).any()
            assert contents.y.max() < len(contents.classes)


@pytest.mark.filterwarnings("error")
def test_an_archive_that_is_damaged_encrypted_or_oddly_packed_is_one_sentence(tmp_path):
    for path in archives(tmp_path):
        with pytest.raises(
            RunError, match=rf"^{path} cannot be read \(.*\): it must be an NPZ file|^cannot read {path}: "
        ):
            read(path)


def test_an_array_in_columns_and_a_member_packed_otherwise_are_read(tmp_path):
    X = np.arange(8.0).reshape(4, 2)
    head = npy(described("(4, 2)", fortran="True"), X.tobytes("F"))
    path = npz(
        tmp_path / "fortran.npz", head, npy(described("(4,)", "<i8"), bytes(16) + b"\1" + bytes(7) + b"\1" + bytes(7))
    )
    np.testing.assert_array_equal(read(path).X, X)
    path = npz(tmp_path / "lzma.npz", head, npy(described("(4,)", "|b1"), b"\0\1\0\1"), zipfile.ZIP_LZMA)
    assert read(path).y.tolist() == [0, 1, 0, 1]


@pytest.mark.slow
def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = npz(tmp_path / "bomb.npz", npy(described("(10000000, 2)"), bytes(160_000_000)))
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(memory, "available_memory", lambda: 300_000_000)
    with pytest.raises(
        RunError, match=r"^reading .*bomb.npz needs about 321 MB of memory, but 300 MB are available: take"
    ):
        read(path)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "/dev/null", "/proc", "/", "fifo", "link.npz"])
def test_what_is_no_file_is_not_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    os.symlink("/dev/zero", "link.npz")
    with pytest.raises(RunError, match=rf"^cannot read {os.path.abspath(name)}: it is not a file\.$"):
        read(Path(name))


@pytest.mark.parametrize("name", ["/proc/kmsg", "/proc/self/mem", "/proc/self/environ"])
def test_a_file_of_the_kernel_is_empty(name):
    with pytest.raises(RunError, match=rf"^{name} is empty\.$"):
        read(Path(name))


def test_an_endless_line_ends_in_one_sentence(file, monkeypatch):
    monkeypatch.setattr(text_file, "LONGEST_LINE", 100)
    with pytest.raises(RunError, match=r"is no CSV file: a line has more than 100 characters\.$"):
        read(file([*ROWS, "1," * 50]))


def test_a_table_larger_than_the_memory_is_refused_while_it_is_read(file, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 500_000_000)
    with pytest.raises(
        RunError, match=r"^reading more of .* needs about 537 MB of memory, but 500 MB are available: take"
    ):
        read(file(ROWS))


@pytest.mark.slow
@pytest.mark.parametrize("label", [None, "nobody", "9" * 5000, "\N{SUPERSCRIPT TWO}", "column 7" * 100])
def test_very_many_columns_are_read_and_not_all_named(file, label):
    lines = [",".join(f"name {number}" for number in range(50_000)), *(3 * [",".join(50_000 * ["1"])])]
    said = []
    with pytest.raises((RunError, ConfigError)) as error:
        read(file(lines), label, said.append)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "content", [b"1,2,a\n3,\0,b\n", b"\xff\xfe1\0,\0", b'1,2,"' + b"x" * 200_000, b"\0" * 1000, b"1,2,a\n\r\r1,1\n"]
)
def test_bytes_that_are_no_table_are_one_sentence(tmp_path, content):
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(RunError, match=r"odd\.csv"):
        read(tmp_path / "odd.csv")


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["count", "2"])
def test_a_column_of_weights_is_no_feature(file, column):
    contents = read(file(["width,count,kind", "1,2,cat", "3,0,dog", "5,4,cat", "7,1,dog"]), weight_column=column)
    np.testing.assert_array_equal(contents.X, np.float32([[1], [3], [5], [7]]))
    np.testing.assert_array_equal(contents.weights, np.float32([2, 0, 4, 1]))
    assert contents.columns == ["width"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [("-1", "'count' is '-1', but a weight is 0 or more"), ("few", "'count' is 'few', which is no finite number")],
)
def test_a_weight_that_is_none_is_an_error_with_line_and_column(file, cell, words):
    with pytest.raises(RunError, match=f"line 3, {words}"):
        read(file(["width,count,kind", "1,2,cat", f"3,{cell},dog", "5,4,cat", "7,1,dog"]), weight_column="count")


def test_labels_are_no_weights(file):
    with pytest.raises(ConfigError, match="weight_column is 'kind', the column of the labels"):
        read(file(HEADED), weight_column="kind")


def test_an_npz_file_may_have_an_array_of_weights(tmp_path):
    X, y, counts = np.ones((4, 2)), np.arange(4) % 2, np.arange(4)
    np.savez(tmp_path / "pets.npz", X=X, y=y, counts=counts)
    np.testing.assert_array_equal(read(tmp_path / "pets.npz", weight_column="counts").weights, np.float32(counts))
    np.savez(tmp_path / "pets.npz", X=X, y=y, counts=-counts)
    with pytest.raises(RunError, match="weights must be a number of at least 0 for each sample"):
        read(tmp_path / "pets.npz", weight_column="counts")
