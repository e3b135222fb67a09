"""Fixtures: one small finished run, shared by the tests that only read it."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The directory of a run of `runs.config()` that was never touched."""
    import runs  # not above: the process that only hands out the tests need not wait for TensorFlow

    from fcclf.runs import training

    path = tmp_path_factory.mktemp("logs") / "finished"
    training.train(runs.config(), path)
    return path
