"""Names of classes and columns as figures can show them: short, distinct, and no more than there is room for."""

import math
from typing import NamedTuple

import numpy as np

LONGEST_NAME = 20  # letters


def short_names(names: list[str], longest=LONGEST_NAME) -> list[str]:
    """Names as a figure can show them, all distinct: at most `longest` letters of each, the first ones, or, if these
    are not unique, the first and the last ones; its number, from 0, if the font lacks a letter."""
    drawn = [name if _is_drawable(name) else str(number) for number, name in enumerate(names)]
    for ending in (0, longest // 2):
        short = [name if len(name) <= longest else _shortened(name, longest, ending) for name in drawn]
        if len(set(short)) == len(names):
            break
    clear = [name if short.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(short)]
    return [name.replace("$", r"\$") for name in clear]  # $ would begin a formula


def _shortened(name, longest, ending):
    beginning = name[: longest - 1 - ending].rstrip()
    return beginning + "…" + name[len(name) - ending :].lstrip()


def _is_drawable(name):
    """Whether matplotlib's font, or that of the user's matplotlibrc, has every letter of a name."""
    if name.isascii() and name.isprintable():
        return True
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in rcParams["font.family"]]
    return all(any(font.get_char_index(ord(letter)) for font in fonts) for letter in name)


class Labels(NamedTuple):
    """How names are written along two sides of a square. names: all of them; step: every step-th is shown; rotation: of
    those below, in degrees; left, below: inches that they take beside it and below it."""

    names: list[str]
    fontsize: float
    step: int
    rotation: int
    left: float
    below: float


def labels_along(names: list[str], side: float, small: float) -> Labels:
    """How names fit along a side of so many inches. small: points, the size of letters if names are long or many."""
    longest, spacing = max(map(len, names)), 72 * side / len(names)
    fontsize = 10 if longest <= 4 and spacing >= 12 else small
    width, step = 0.58 * fontsize * longest, math.ceil(1.2 * fontsize / spacing)
    rotation = 0 if width < 0.9 * step * spacing else 40 if step * spacing > 1.7 * fontsize else 90
    below = max(fontsize, width * math.sin(math.radians(rotation)) + fontsize * math.cos(math.radians(rotation)))
    return Labels(names, fontsize, step, rotation, width / 72, below / 72)


def write_labels(axes, labels: Labels):
    """Writes names below and beside a square whose cells are at 0, 1, 2 ..."""
    shown = np.arange(0, len(labels.names), labels.step)
    names = [labels.names[number] for number in shown]
    slanted = {"rotation": labels.rotation, "ha": "right", "rotation_mode": "anchor"} if labels.rotation else {}
    if labels.rotation == 90:
        slanted["va"] = "center"
    axes.set_xticks(shown, names, fontsize=labels.fontsize, **slanted)
    axes.set_yticks(shown, names, fontsize=labels.fontsize)
