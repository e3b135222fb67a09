"""What a cell of a table holds: a number, a text, or nothing, if it is empty or marked as missing."""

import itertools
import re

import numpy as np

from fcclf.settings.fields import brief

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}  # in lower case
LARGEST = float(np.finfo(np.float32).max)
FEW_NO_NUMBERS, MOST_NO_NUMBERS = 3, 0.05  # cells, and their share, that are damage among numbers; more are texts
DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}( .*)?|\d{1,2}:\d{2}(:\d{2})?")
MOST_LISTED, FEW, LONGEST_NAME = 20, 3, 60  # names in a message, at most and at least; characters of one


def number(cell: str) -> float | None:
    """The number in a cell, None if there is none that float32 can hold."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def is_missing(cell: str) -> bool:
    """Whether the value of a cell is missing."""
    return cell.strip().lower() in MISSING


def numbers(cells) -> np.ndarray:
    """Cells, texts or numbers, as float64; NaN if missing. Raises ValueError for a text that is neither."""
    try:
        return np.array(list(map(float, cells)))
    except (TypeError, ValueError):  # some may be missing
        return np.array([np.nan if cell is None or is_missing(str(cell)) else float(cell) for cell in cells])


def text(cell: str) -> str:
    """The text in a cell, "" if it is missing."""
    return "" if is_missing(cell) else cell.strip()


def are_texts(cells) -> bool:
    """Whether cells hold texts: among those that are not missing, more than a few are not numbers."""
    filled = [cell for cell in cells if not is_missing(cell)]
    odd = sum(number(cell) is None for cell in filled)
    return odd * 2 > len(filled) or odd > max(FEW_NO_NUMBERS, MOST_NO_NUMBERS * len(filled))


def are_dates(cells) -> bool:
    """Whether all cells that are not missing look like dates, or times of day."""
    filled = [cell for cell in cells if not is_missing(cell)]
    return bool(filled) and all(DATE.fullmatch(cell.strip()) for cell in filled)


def no_number(name: str, cell: str) -> str:
    """What is wrong with a cell that must hold a number. name: of its column."""
    found = f"is {brief(cell)}, which is no finite number" if cell.strip() else "is empty"
    return f", {brief(name)} {found}"


def listed(names: list[str], room: int | None = None) -> str:
    """Names for display, MOST_LISTED at most. room: as many as fit into so many characters, but at least FEW."""
    short = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names[:MOST_LISTED]]
    ends = itertools.accumulate(len(name) + 2 for name in short)
    shown = max(FEW, sum(end <= room for end in ends)) if room else MOST_LISTED
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(short[:shown]) + more
