"""File operations that a crash or a power cut cannot leave half done.

Data is fsynced before the rename that makes it visible, and the directory is fsynced after that rename: only then is
anything called saved. A failed fsync is never retried on the same file, because the kernel may have dropped the data
and forgotten the error (LWN 752063). Every failure is a RunError that names the path and the reason.
"""

import contextlib
import csv
import errno
import glob
import hashlib
import json
import lzma
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

from fcclf.errors import ConfigError, RunError

BLOCK = 1 << 20  # bytes read at once
LARGEST_JSON = 16_000_000  # bytes; a manifest after 60,000 starts of one run
LONGEST_REASON = 300  # characters
MALFORMED = (  # what a reader of a damaged or hostile file may raise, besides OSError; for `explained`
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, csv.Error, lzma.LZMAError, struct.error, tokenize.TokenError, zipfile.BadZipFile),
    zlib.error,
)


@contextlib.contextmanager
def explained(action, path, *errors):
    """Turns an OSError, or one of `errors`, inside the block into a RunError: "cannot {action} {path}: {reason}".

    A RunError or ConfigError passes unchanged.
    """
    try:
        yield
    except (RunError, ConfigError):
        raise
    except (OSError, *errors) as error:
        raise RunError(f"cannot {action} {path}: {reason(error)}.") from error


def reason(error: BaseException) -> str:
    """The message of an error in one short line: the system's own words, if they are among those of TensorFlow's long
    message."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error) or type(error).__name__
    known = [
        os.strerror(code) for code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)
    ]
    found = [words for words in known if words in text]
    return found[0] if found else text.strip().splitlines()[0][:LONGEST_REASON].rstrip(".:")


def check_file(path: Path):
    """Raises RunError if there is no regular file at `path`: a device or a pipe may have no end."""
    with explained("read", path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise RunError(f"cannot read {path}: it is not a file.")


def make_directory(path: Path):
    """Makes a directory and its missing parents, synced to disk."""
    if not path.is_dir():
        make_directory(path.parent)
        with explained("create", path):
            path.mkdir(exist_ok=True)
        sync(path.parent)


def seal(document: dict) -> str:
    """JSON of `document` with a sha256 of itself, so that any changed bit is noticed."""
    return json.dumps({**document, "sha256": _digest(document)}, indent=2) + "\n"


def read_sealed(path: Path, parse):
    """parse(document) of a file that `seal` made. Raises ValueError with the reason if it is not as it was written."""
    try:
        if path.exists() and not path.is_file():  # a device or a pipe has no end
            raise ValueError("it is not a file")
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it is larger than {LARGEST_JSON} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("sha256") != _digest(document):
            raise ValueError("it is not as it was written")
        return parse(document)
    except KeyError as error:
        raise ValueError(f"it lacks {reason(error)}") from None
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no such document: {reason(error)}") from None
    except ValueError as error:
        raise ValueError(reason(error)) from None


def _digest(document):
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def measure(path: Path, most: int | None = None) -> list | None:
    """[length in bytes, sha256] of a file, or of its first `most` bytes; None if there is no file."""
    digest, length = hashlib.sha256(), 0
    with explained("read", path):
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            while block := file.read(BLOCK if most is None else min(BLOCK, most - length)):
                digest.update(block)
                length += len(block)
    return [length, digest.hexdigest()]


def sync(path: Path):
    """Calls fsync on a file or a directory."""
    with explained("save", path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_file(path: Path, content: str | bytes):
    """Writes `content` to `path`, a text as UTF-8, and syncs it to disk. A link is not followed."""
    with explained("write", path), open(path, "wb", opener=open_no_link) as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def open_no_link(path, flags) -> int:
    """An opener for `open` that does not follow a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def truncate(path: Path, length: int):
    """Cuts a file back to `length` bytes. A link is not followed."""
    with explained("cut back", path), open(path, "r+b", opener=open_no_link) as file:
        os.ftruncate(file.fileno(), length)


def replace_file(path: Path, content: str | bytes):
    """Makes `path` hold `content`: at any time it has either the old content or the new, never a part. What a killed
    process left is deleted."""
    _clear(path)
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        write_file(temporary, content)
        rename(temporary, path)
    except RunError:
        with contextlib.suppress(OSError):
            temporary.unlink()  # else it would keep a full disk full
        raise


@contextlib.contextmanager
def replacing(path: Path):
    """An open text file that becomes `path` when the block ends. If the block fails it is deleted; what a killed
    process left is deleted by the next."""
    if path.exists() and not path.is_file():
        raise RunError(f"cannot write {path}: it is not a file.")
    _clear(path)
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        with explained("write", path), open(temporary, "w", encoding="utf-8", newline="", opener=open_no_link) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _clear(path):
    for left in path.parent.glob(f".tmp-{glob.escape(path.name)}-*"):
        writer = left.name.rpartition("-")[2]
        if writer.isdecimal() and not Path("/proc", writer).exists():
            with contextlib.suppress(OSError):
                left.unlink()


def rename(old: Path, new: Path):
    """Renames `old` to `new`, in the same directory, and syncs that to disk."""
    with explained("rename", old):
        os.rename(old, new)
    sync(new.parent)
