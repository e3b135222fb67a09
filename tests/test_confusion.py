"""A confusion matrix as text: whole names, in 80 columns."""

import numpy as np
import pytest

from fcclf.views import confusion, evaluation

LONG = ["certainly a malignant tumour of the breast", "certainly no malignant tumour of the breast"]
WORDS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def columns(line):
    """How many columns of a terminal the line takes; of the letters here, those of Japan take two."""
    return sum(2 if letter > "\u3000" else 1 for letter in line)


def report_of(matrix, names):
    """The lines of the report on samples that are counted so."""
    y, predictions = (np.repeat(each, matrix.ravel()) for each in np.indices(matrix.shape).reshape(2, -1))
    return evaluation.report(y, np.eye(len(matrix))[predictions], names).splitlines()


def test_names_that_fit_stand_at_rows_and_columns():
    assert confusion.lines(np.array([[3, 1], [0, 4]]), ["no", "perhaps"]) == [
        "predicted          no  perhaps",
        "true no             3        1",
        "true perhaps        0        4",
    ]


def test_names_that_do_not_fit_above_the_columns_stand_at_the_rows():
    rows = confusion.lines(np.eye(10, dtype=int) * 100, WORDS)
    assert rows[0] == "true, predicted    0    1    2    3    4    5    6    7    8    9"
    assert rows[1] == "0 T-shirt/top    100    0    0    0    0    0    0    0    0    0"


@pytest.mark.parametrize("names", [LONG, ["白" * 12, "lily"], ["a\tb", "c"]])
def test_names_that_no_table_has_room_for_are_told_by_their_numbers(names):
    lines = report_of(np.array([[3, 1], [0, 4]]), names)
    assert [line.split()[0] for line in lines if ".8889" in line or ".8571" in line] == ["0", "1"]
    table = lines.index("a row for each true class, a column for each predicted one")
    assert lines[table + 2 :] == ["   0  1", "0  3  1", "1  .  4"]
    legend = "   ".join(lines[table - 3 : table]).rstrip()
    assert legend.endswith(f"0 {names[0]}   1 {names[1]}")


def test_many_classes_have_a_narrow_matrix_and_a_legend():
    names = [letter * 7 for letter in "abcdefghijklmnopqrstuvwxyz"]
    lines = confusion.lines(np.eye(26, dtype=int) * 10, names)
    assert lines[0].startswith("0 aaaaaaa   1 bbbbbbb   2 ccccccc")
    assert lines[-1] == "25" + "  ." * 25 + " 10"
    assert max(map(len, lines)) == 80


def test_too_many_classes_have_a_line_for_each_that_was_taken_for_others():
    matrix = np.eye(100, dtype=int)
    matrix[7, 9], matrix[7, 3] = 1, 2
    names = [f"class number {number}" for number in range(100)]
    assert confusion.lines(matrix, names) == [
        "taken for another class",
        "class number 7 (3 of 4): 2 as class number 3, 1 as class number 9",
    ]


@pytest.mark.slow
def test_no_line_is_wider_than_a_terminal_and_no_name_is_cut():
    random = np.random.default_rng(0)
    for count in (2, 3, 10, 26, 100):
        for name in ("class {}", "青い花の咲く小さな植物 {}", "a plant of the genus Rosa with a name of its own {}"):
            names = [name.format(number) for number in range(count)]
            lines = report_of(random.integers(1, 12, (count, count)), names)
            assert max(map(columns, lines)) <= 80
            assert all(name in " ".join(" ".join(lines).split()) for name in names)


def test_the_pairs_that_are_confused_most_are_named_whole():
    matrix = np.diag([9, 9, 9, 9])
    matrix[0, 3], matrix[3, 0], matrix[1, 2] = 2, 1, 1
    assert [*confusion.most_confused(matrix, WORDS[:4])] == [
        *("", "most confused", "     3  T-shirt/top and Dress", "     1  Trouser and Pullover")
    ]
    assert [*confusion.most_confused(matrix[:3, :3], WORDS[:3])] == []
