"""Notes of libraries are kept off standard error, and only inside the block."""

import contextlib
import logging
import os

from fcclf.system import muted


def test_nothing_reaches_standard_error_inside_whoever_writes_it(capfd):
    with contextlib.suppress(KeyError), muted.stderr():
        os.write(2, b"by its descriptor\n")
        os.system("echo by another process >&2")
        raise KeyError
    os.write(2, b"after it\n")
    assert capfd.readouterr().err == "after it\n"


def test_warnings_are_not_logged_inside_but_errors_are(caplog):
    logger = logging.getLogger("tensorflow")
    with muted.warnings_logged():
        logger.warning("it is deprecated")
        with muted.warnings_logged():
            logger.error("it is broken")
        logger.warning("it is deprecated")
    logger.warning("after it")
    assert caplog.messages == ["it is broken", "after it"]


def test_who_wants_to_hear_less_is_not_told_more(caplog):
    logging.disable(logging.ERROR)
    with muted.warnings_logged():
        logging.getLogger("tensorflow").error("it is broken")
    logging.disable(logging.NOTSET)
    assert caplog.messages == []
