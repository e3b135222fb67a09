"""Keeps the notes of libraries off standard error, for a moment and for the whole process."""

import contextlib
import logging
import os
import sys


@contextlib.contextmanager
def stderr():
    """Nothing is written to standard error inside the block, not even by code that knows only its file descriptor."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def warnings_logged():
    """Nothing below an error is logged inside the block: no notes of functions that are deprecated."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
