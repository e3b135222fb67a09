"""CSV files of all kinds: what separates their cells, how they are encoded, which numbers they hold."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcclf.data.tables import csv_file
from fcclf.data.tables.columns import AS_WRITTEN, NUMBER, TEXT, values
from fcclf.data.tables.csv_file import Dialect, dialect
from fcclf.errors import RunError
from fcclf.settings.run_config import AS_IT_LOOKS, Format

WANTED = {"number": (0, NUMBER), "text": (1, TEXT), "label": (2, AS_WRITTEN._replace(required="is empty"))}


def read(path, wanted=WANTED, form=AS_IT_LOOKS):
    """{what was wanted: all its values}."""
    with csv_file.opened(path, form) as table:
        blocks = list(values(table, wanted))
    return {key: [value for block in blocks for value in block[key]] for key in wanted}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("a,b\n1,2\n", Dialect(",")),
        ("a;b\n1;2\n", Dialect(";")),
        ("a\tb\n1,5\t2\n", Dialect("\t", ",")),
        ("a|b\n1|2.5\n", Dialect("|")),
        ("a;b\n1,5;2\n1.000;7,5\n", Dialect(";", ",")),
        ("1,5;2,5;a\n3,5;4,5;b\n", Dialect(";", ",")),
        ('a,b\n"1;2",2\n"3;4",3\n', Dialect(",")),
        ("a,b,c\n1;2,3,4\n5,6,7\n", Dialect(",")),
        ("alone\n1\n", Dialect(",")),
        ("", Dialect(",")),
    ],
)
def test_what_separates_cells_is_seen_in_the_first_rows(head, expected):
    assert dialect(head) == expected


def test_a_named_delimiter_counts_whatever_it_looks_like(tmp_path):
    (tmp_path / "a.csv").write_text("1:x,y:l\n2:x:m\n")
    assert read(tmp_path / "a.csv", form=Format(":"))["text"] == ["x,y", "x"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("\ufeff1,größe,l\n".encode(), None),
        ("1,größe,l\n".encode("utf-16"), None),
        ("1,größe,l\n".encode("latin-1"), "latin-1"),
        (gzip.compress("1,größe,l\n".encode(), mtime=0), None),
        (gzip.compress("1,größe,l\n".encode("cp1252"), mtime=0), "cp1252"),
    ],
)
def test_marks_names_of_encodings_and_gzip_are_understood(tmp_path, content, encoding):
    (tmp_path / "a.csv").write_bytes(content)
    assert read(tmp_path / "a.csv", form=Format(None, encoding)) == {"number": [1], "text": ["größe"], "label": ["l"]}


def test_another_encoding_is_named_as_the_remedy(tmp_path):
    (tmp_path / "a.csv").write_bytes("1,größe,l\n".encode("latin-1"))
    with pytest.raises(RunError, match=r"is no CSV file in utf-8: invalid .* with --encoding, such as latin-1"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"PK\x03\x04...", "is an Excel file or another archive: save"), (b"\x89PNG\r\n", "is a picture: save")],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(RunError, match=words):
        read(tmp_path / "a.csv")


def test_a_damaged_gzip_file_is_one_sentence(tmp_path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"1,a,l\n" * 1000)[:-9])
    with pytest.raises(RunError, match=r"a.csv is damaged: "):
        read(tmp_path / "a.csv")


# ---- read by pandas, and row by row ----------------------------------------------------------------------------------

CELLS = st.one_of(
    st.floats(allow_nan=False, width=32).map(repr),
    st.sampled_from(
        ["", " ", "NA", "n/a", "NaN", "Null", "nuLL", "?", "inf", "1e99", "1_0", "0x1", "٣", " 4 ", "-.5", "x"]
    ),
    st.text(st.sampled_from(list('ab ,;"1.\t')), max_size=4),
)
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8)


def told(path, wanted):
    """The values, or the sentence about what is wrong."""
    try:
        return {key: list(map(repr, found)) for key, found in read(path, wanted).items()}
    except RunError as error:
        return str(error)


def _written(rows):
    return "\n".join(
        ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if "," in cell else cell for cell in row) for row in rows
    )


@given(ROWS, st.lists(st.integers(1, 3), max_size=8), st.booleans())
def test_pandas_reads_what_is_read_row_by_row(tmp_path_factory, rows, short, heading):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    rows = [row[:cut] for row, cut in zip(rows, [*short, *[3] * 8], strict=False)]
    path.write_text(("number,text,label\n" if heading else "1,a,l\n") + _written(rows) + "\n")
    slowly = told(path, WANTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "LOOKED_AT", 1)
        patch.setattr(csv_file, "ROWS", 1)
        patch.setattr(csv_file, "FRAMES", 2)
        assert told(path, WANTED) == slowly


def test_a_long_file_is_read_by_pandas_to_its_end(tmp_path, monkeypatch):
    path, count = tmp_path / "a.csv", csv_file.LOOKED_AT + 10
    path.write_text("number,text,label\n" + "".join(f"{row}.1,t{row % 3},l\n" for row in range(count)))
    monkeypatch.setattr(csv_file.CsvFile, "blocks", None)  # which is not called
    found = read(path)
    np.testing.assert_array_equal(found["number"], [float(f"{row}.1") for row in range(count)])
    assert found["text"][-1] == f"t{(count - 1) % 3}"


def test_damage_far_down_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("number,text,label\n" + "1,a,l\n" * 30_000 + "x,a,l\n")
    with pytest.raises(RunError, match=r"a.csv, line 30002, 'number' is 'x', which is no finite number"):
        read(path)
