"""What training costs, in counts instead of seconds: they fail when someone makes it slower, on any machine."""

import re

import numpy as np
import pytest
import runs
import tensorflow as tf
from test_loop import Built

from fcclf.runs import checkpoint, training

tf1 = tf.compat.v1

OPERATIONS, KERNELS = 147, 36  # of a step of the 2-6-4-2 network: without XLA, and once XLA has fused operations
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}  # XLA's instructions that run nothing


def test_a_step_takes_no_more_operations_than_it_did():
    functions = Built(runs.config(jit="off")).session.graph.as_graph_def().library.function
    bodies = [each for each in functions if "while_body" in each.signature.name]
    (step,) = [body for body in bodies if not any("While" in node.op for node in body.node_def)]
    assert len(step.node_def) <= OPERATIONS


@pytest.mark.slow
def test_a_compiled_step_takes_no_more_kernels_than_it_did(tmp_path):
    runs.python(
        f"""if True:
            import os
            os.environ["XLA_FLAGS"] = "--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
            import runs
            from test_loop import Built
            built = Built(runs.config(jit="on"))
            built.program.compile(built.parts)"""
    )
    compiled = max((each.read_text() for each in tmp_path.glob("*cpu_after_optimizations.txt")), key=len)
    steps = [body for body in loop_bodies(compiled) if "while" not in body]
    assert [len([each for each in step if each not in FREE]) <= KERNELS for step in steps] == [True]


def loop_bodies(module):
    """The names of the instructions in the body of each loop of a module, as XLA prints it."""
    bodies = set(re.findall(r"body=%?([\w.-]+)", module))
    computations = re.findall(r"^%?([\w.-]+) [^\n]*\{\n(.*?)^\}", module, re.DOTALL | re.MULTILINE)
    return [re.findall(r" = .*? ([a-z-]+)\(", text) for name, text in computations if name in bodies]


def test_a_stretch_is_one_call_of_the_session(tmp_path, monkeypatch):
    calls, counts, run = [], [], tf1.Session.run
    monkeypatch.setattr(tf1.Session, "run", lambda *given, **named: calls.append(0) or run(*given, **named))
    training.train(
        runs.config(epochs=8, checkpoint_every=0, histogram_every=0),
        tmp_path / "run",
        progress=lambda *_: counts.append(len(calls)),
        longest_stretch=10,
    )
    assert np.diff(counts).tolist() == [1, 1, 1, 1]


def test_a_call_is_fed_the_data_the_orders_of_its_epochs_and_a_few_numbers():
    built = Built(runs.config())
    plan, data = built.program.plan, sum(array.nbytes for part in built.parts.values() for array in part.arrays)
    orders, fed = 4 * plan.most_epochs * plan.sizes.train, built.program.feed_parts(built.parts)
    assert sum(array.nbytes for array in fed.values()) == data
    assert np.prod(built.program.order.shape) * built.program.order.dtype.size == orders
    assert sum(np.asarray(value).nbytes for value in built.program.feed_hyperparameters().values()) <= 200


def test_a_save_writes_a_directory_of_three_files_and_a_pointer(tmp_path, monkeypatch):
    path, before, written, write, commit = tmp_path / "run", [], [], checkpoint.write, checkpoint.commit

    def watched_write(*arguments):
        before.append(inodes(path))
        return write(*arguments)

    def watched_commit(*arguments):
        commit(*arguments)
        written.append(sorted(set(inodes(path).items()) - set(before[-1].items())))

    monkeypatch.setattr(checkpoint, "write", watched_write)
    monkeypatch.setattr(checkpoint, "commit", watched_commit)
    training.train(runs.config(epochs=4, checkpoint_every=2, histogram_every=0), path)
    for epoch, saved in zip((0, 2, 4), written, strict=True):
        names = [*sorted(checkpoint.FILES), "manifest.json"]
        made = [f"checkpoints/{checkpoint.name(epoch, 0)}/{name}" for name in names]
        assert [name for name, _ in saved] == sorted([*made, "checkpoints/checkpoint"])


def inodes(path):
    """{file in the run: (its inode, its time)} of all files except history and events, which grow."""
    found = {each: each.stat() for each in path.rglob("*") if each.is_file() and "checkpoints" in each.parts}
    return {str(each.relative_to(path)): (stat.st_ino, stat.st_mtime_ns) for each, stat in found.items()}
