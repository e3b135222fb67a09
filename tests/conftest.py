"""Fixtures: finished runs that were never touched, shared by the tests that only read them."""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

# What needs TensorFlow is imported inside: the process that only hands out the tests need not wait for it.


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The directory of a run of `runs.config()` that was never touched."""
    import runs

    from fcclf.runs import training

    path = tmp_path_factory.mktemp("logs") / "finished"
    training.train(runs.config(), path)
    return path


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """(epochs, changes) -> the directory of a run of `faults.small` with so many epochs that was never touched."""
    import faults

    from fcclf.runs import training

    @functools.cache
    def run(epochs=faults.SMALL["epochs"], **changes):
        path = tmp_path_factory.mktemp("untouched") / f"run-{epochs}"
        training.train(faults.small(**{"epochs": epochs, "checkpoint_every": 0} | changes), path)
        return path

    return run
