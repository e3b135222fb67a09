"""Names in figures: short, different, and as many as there is room for."""

import pytest
from matplotlib.figure import Figure

from fcclf.views.lettering import labels_along, short_names, write_labels


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["setosa", "versicolor"], ["setosa", "versicolor"]),
        (
            ["Helianthus annuus", "Rosa canina"],
            ["Helianthu…", "Rosa cani…"],
        ),
        (
            ["class number 12", "class number 3"],
            ["clas…er 12", "clas…ber 3"],
        ),
        (
            ["a" * 30, "a" * 31, "b"],
            ["aaaa…aaaaa (0)", "aaaa…aaaaa (1)", "b"],
        ),
        (["$5-$10", "été"], [r"\$5-\$10", "été"]),
        (["白", "a\nb", "lily"], ["0", "1", "lily"]),
    ],
)
def test_names_are_cut_so_that_they_differ_and_can_be_drawn(names, shown):
    assert short_names(names, 10) == shown


def test_names_that_fit_are_level_many_are_slanted_and_very_many_upright():
    few, some, many = (labels_along(["the name"] * count, 5, small=8) for count in (2, 10, 30))
    assert [each.rotation for each in (few, some, many)] == [0, 40, 90]
    assert few.below < some.below < many.below


def test_of_more_names_than_fit_every_so_many_are_written():
    axes = Figure().add_subplot()
    write_labels(axes, labels_along([*map(str, range(100))], 5, small=8))
    for axis in (axes.xaxis, axes.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == [*map(str, range(0, 100, 3))]
