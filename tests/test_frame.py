"""DataFrames and Parquet files hold what the same CSV file would."""

import datetime
import importlib.util

import numpy as np
import pandas as pd
import pytest

from fcclf.data.tables import csv_file, frame
from fcclf.data.tables.columns import AS_WRITTEN, NUMBER, values
from fcclf.data.tables.frame import Frame
from fcclf.errors import RunError

DATA = pd.DataFrame(
    {
        "whole": [1, 2, 3],
        "lacking": [1.0, None, 2.5],
        "yes": [True, False, True],
        "text": ["a", None, "b"],
        "kind": pd.Categorical(["x", "y", "x"]),
        "day": [datetime.datetime(2024, 1, day) for day in (1, 2, 3)],
        "nullable": pd.array([1, None, 3], dtype="Int64"),
    }
)


def rows(table):
    return [row for block in table.blocks() for row in block.rows]


def test_cells_are_those_that_a_file_would_have():
    assert rows(Frame("X", DATA)) == [
        ["1", "1", "True", "a", "x", "2024-01-01 00:00:00", "1"],
        ["2", "", "False", "", "y", "2024-01-02 00:00:00", ""],
        ["3", "2.5", "True", "b", "x", "2024-01-03 00:00:00", "3"],
    ]


def test_names_that_are_numbers_count_the_columns():
    assert Frame("X", pd.DataFrame([[1, 2]])).heading == csv_file.Heading("X", ["column 1", "column 2"], False)
    assert Frame("X", DATA).heading.named


@pytest.mark.parametrize("place", [0, 1, 6])
def test_numbers_are_taken_as_they_are_or_out_of_their_texts(place):
    (found,) = values(Frame("X", DATA), {"X": (place, NUMBER)})
    np.testing.assert_array_equal(found["X"], DATA.iloc[:, place].astype(float))


def test_a_value_that_does_not_fit_is_told_with_its_row():
    with pytest.raises(RunError, match="X, line 2, 'text' is empty"):
        list(values(Frame("X", DATA), {"label": (3, AS_WRITTEN._replace(required="is empty"))}))


@pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="needs pyarrow")
def test_a_parquet_file_is_a_table(tmp_path):
    DATA.to_parquet(tmp_path / "data.parquet")
    with frame.opened(tmp_path / "data.parquet") as table:
        assert rows(table) == rows(Frame("X", DATA))
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"cannot read .*data.parquet"), frame.opened(tmp_path / "data.parquet"):
        pass


def test_without_the_package_that_reads_parquet_it_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"needs pyarrow, which is not installed: pip install 'fcclf\[parquet\]'"):
        frame.opened(tmp_path / "data.parquet").__enter__()
