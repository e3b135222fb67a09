"""Keeps messages of libraries off standard error."""

import contextlib
import logging
import os
import sys


@contextlib.contextmanager
def stderr():
    """Discards everything written to standard error inside the block, even by code that uses its file descriptor."""
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
    """Discards log messages below errors inside the block, such as those on deprecated functions."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
