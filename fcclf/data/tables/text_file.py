"""Text files, line by line: in any encoding, gzip-compressed or not, as long as memory suffices for their contents."""

import contextlib
import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from fcclf.errors import RunError
from fcclf.system import memory

PART, LONGEST_LINE = 1 << 20, 1 << 26  # characters: read at once; in a line, at most
CHECKED, TAKEN = 1 << 24, 1 << 29  # characters after which memory is checked; bytes they may take as cells
PACKED = b"\x1f\x8b"  # how a gzip file begins
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # how a file in UTF-16 begins
OTHERS = {  # how files that hold no text begin
    b"PK\x03\x04": "an Excel file or another archive",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF file",
    b"PAR1": "a Parquet file",
}
UTF8 = "utf-8-sig"  # with or without a byte order mark


def opened(path: Path, encoding: str | None = None) -> io.TextIOWrapper:
    """The text of a file. encoding: by default that of its byte order mark, else UTF-8. Raises RunError if it is a
    well-known kind of file that holds no text."""
    file = open(path, "rb")  # noqa: SIM115 - closed with the text
    begins = _begins(file)
    if begins in OTHERS:
        raise RunError(f"{path} is {OTHERS[begins]}: save its table as .csv, or as .parquet.")
    if begins.startswith(PACKED):
        file = gzip.GzipFile(fileobj=file)
        begins = _begins(file)
    return decoded(file, encoding or MARKS.get(begins[:2], UTF8))


def decoded(file, encoding: str | None = None) -> io.TextIOWrapper:
    """The text of an open binary file, by default UTF-8. Line endings are kept."""
    return io.TextIOWrapper(file, encoding=encoding or UTF8, newline="")


def _begins(file):
    """The first bytes of a file, which remain to be read; b"" if it cannot be read twice."""
    begins = file.read(4) if file.seekable() else b""
    if begins:
        file.seek(0)
    return begins


@contextlib.contextmanager
def readable(name: Path | str) -> Iterator[None]:
    """Raises RunError if a file turns out inside the block to hold no text, or no table."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise RunError(
            f"{name} is no CSV file in {error.encoding}: {error.reason} at {error.start}. Name what it is written in "
            "with --encoding, such as latin-1."
        ) from error
    except (csv.Error, UnicodeError) as error:
        raise RunError(f"{name} is no CSV file: {error}.") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise RunError(f"{name} is damaged: {error}.") from error


def require_memory(path: Path | str):
    """Raises RunError if there is too little memory to read more of a file."""
    memory.require(memory.Needed(TAKEN), f"reading more of {path}", "take fewer rows")


def lines(head: str, file: io.TextIOBase, path: Path | str) -> Iterator[str]:
    """The lines of `head` and of the rest of an open file. Raises csv.Error at a line that is too long, RunError if
    memory runs out."""
    read, rest = CHECKED, ""
    for part in itertools.chain([head], iter(lambda: file.read(PART), "")):
        read += len(part)
        if read >= CHECKED:
            require_memory(path)
            read = 0
        *whole, rest = [*io.StringIO(rest + part, newline="")] or [""]  # ten times as fast as readline with a limit
        if max(map(len, (*whole, rest))) >= LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        yield from whole
    if rest:
        yield rest
