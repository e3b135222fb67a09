"""What is said of a table before it is trained on."""

from pathlib import Path

import numpy as np

from fcclf.data.tables import told
from fcclf.data.tables.contents import Contents

PATH = Path("somewhere/ships.csv")


def sentences(X, y=(0, 1, 0), classes=("no", "yes"), columns="abcdefghij", last=True, **more):
    X = np.float32(X)
    contents = Contents(X, np.array(y), classes, list(columns)[: X.shape[1]], **more)
    return list(told.sentences(PATH, contents, last))


def test_rows_labels_and_columns_are_told():
    assert sentences([[1, 2], [3, 1], [1, 3]], label="alive", last=False) == [
        "ships.csv: 3 rows",
        "  predicted       alive: no (2), yes (1)",
        "  numbers         a, b",
    ]


def test_the_last_column_is_told_to_be_taken_where_nobody_named_one():
    found = sentences([[1], [3], [1]], label="alive")
    assert found[1] == "  predicted       alive, the last column (--label names another): no (2), yes (1)"


def test_numbers_to_be_predicted_are_told_by_their_range():
    found = sentences([[1], [3], [1]], y=[0.5, 1e6, 3], classes=(), label="price", last=False)
    assert found[1] == "  predicted       price: numbers from 0.5 to 1e+06"


def test_categories_missing_numbers_constant_columns_and_those_left_out_are_told():
    found = sentences([[0, np.nan, 7], [1, 2, 7], [1, 3, 7]], texts={0: ("f", "m")}, left_out={"name": "3 texts"})
    assert found[2:] == [
        "  numbers         b, c",
        "  categories      a (2)",
        "  missing         b (1): the column's mean stands for them",
        "  left out        name (3 texts)",
        "  one value only  c",
    ]


def test_a_column_that_counts_the_rows_is_told():
    X = np.column_stack([np.arange(10), np.arange(10) * 2])
    assert sentences(X, y=[0, 1] * 5)[-1] == "  counts rows     a: leave it out with --drop, if it is no feature"


def test_very_many_columns_are_not_all_named():
    found = sentences(np.ones((3, 2000)), columns=[f"x{number}" for number in range(2000)])
    assert found[-1] == f"  one value only  {', '.join(f'x{each}' for each in range(17))} and 1983 more"
