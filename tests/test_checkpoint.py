"""Checkpoints: the commit, the order of positions, and what is done about damage."""

import json
import shutil

import numpy as np
import pytest
import runs
import tensorflow as tf

from fcclf.errors import ConfigError, RunError
from fcclf.runs import checkpoint, run_directory, training
from fcclf.runs.checkpoint import DamagedCheckpointError
from fcclf.system import durable

tf1 = tf.compat.v1


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run, to be damaged."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def fingerprint(finished_run):
    return run_directory.read(finished_run).fingerprint


def save(directory, values, position, fingerprint="f"):
    """A checkpoint of two variables."""
    with tf.Graph().as_default(), tf1.Session() as session:
        weights = tf1.get_variable("fc1/kernel", initializer=tf.constant(values))
        tf1.get_variable("global_step", initializer=tf.constant(3))
        session.run(tf1.global_variables_initializer())
        written = checkpoint.write(directory, session, tf1.train.Saver(), position)
        checkpoint.commit(written, position, fingerprint, dict)
        return session.run(weights)


def test_a_saved_checkpoint_is_found_and_holds_every_variable(tmp_path):
    save(tmp_path, [1.0, 2.0], (7, 0))
    found = checkpoint.newest(tmp_path, "f")
    assert (found.path.name, found.epoch, found.batch) == ("epoch-000007", 7, 0)
    np.testing.assert_array_equal(tf.train.load_variable(found.prefix, "fc1/kernel"), [1, 2])
    files = sorted(path.name for path in found.path.iterdir())
    assert files == ["manifest.json", "model.ckpt.data-00000-of-00001", "model.ckpt.index"]


def test_tensorflow_finds_the_newest_checkpoint_too_also_after_a_move(tmp_path):
    (tmp_path / "here").mkdir()
    save(tmp_path / "here", [1.0], (1, 0))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert tf.train.latest_checkpoint(str(tmp_path / "there")) == str(tmp_path / "there/epoch-000001/model.ckpt")


def test_positions_are_ordered_by_number(tmp_path):
    names = ["epoch-1000000", "epoch-000002-batch-000003", "epoch-000002", "epoch-000010", "epoch-000002-batch-000011"]
    for name in [*names, "epoch-x", "epoch-000003.bak", ".tmp-epoch-000099", "damaged-epoch-000098"]:
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoint.committed_paths(tmp_path)] == [names[each] for each in (2, 1, 4, 3, 0)]


def test_only_the_newest_are_kept(tmp_path):
    for epoch in range(5):
        (tmp_path / checkpoint.name(epoch, 0)).mkdir()
    checkpoint.prune(tmp_path, keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["epoch-000003", "epoch-000004"]


def test_what_a_killed_writer_left_is_swept(tmp_path):
    (tmp_path / ".tmp-epoch-000001").mkdir()
    (tmp_path / ".tmp-epoch-000001" / "model.ckpt.index").touch()
    (tmp_path / ".tmp-checkpoint").touch()
    (tmp_path / "epoch-000001").mkdir()
    checkpoint.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001"]


def test_a_failed_save_leaves_the_checkpoint_before_it_and_no_rubbish(tmp_path, monkeypatch):
    save(tmp_path, [1.0], (1, 0))

    def fail(path):
        raise RunError("cannot save it: Input/output error.")

    monkeypatch.setattr(checkpoint.durable, "sync", fail)
    with pytest.raises(RunError, match="Input/output error"):
        save(tmp_path, [2.0], (2, 0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "epoch-000001"]
    assert checkpoint.newest(tmp_path, "f").epoch == 1


@pytest.mark.parametrize("file", ["model.ckpt.index", "model.ckpt.data-00000-of-00001", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped"])
def test_every_damage_to_a_file_is_noticed(run, fingerprint, file, damage):
    path = checkpoint.committed_paths(run / "checkpoints")[-1] / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "cut": content[:-1], "flipped": content}[damage])
    with pytest.raises(DamagedCheckpointError, match=r"model\.ckpt|manifest"):
        checkpoint.newest(run / "checkpoints", fingerprint)


def test_a_checkpoint_under_another_name_is_noticed(tmp_path):
    save(tmp_path, [1.0], (1, 0))
    (tmp_path / "epoch-000001").rename(tmp_path / "epoch-000002")
    with pytest.raises(DamagedCheckpointError, match="manifest of another checkpoint"):
        checkpoint.newest(tmp_path, "f")


def test_a_checkpoint_of_another_run_is_noticed(tmp_path):
    save(tmp_path, [1.0], (1, 0), fingerprint="g")
    with pytest.raises(RunError, match="other settings or data"):
        checkpoint.newest_sound(tmp_path, "f", print)
    assert (tmp_path / "epoch-000001").is_dir()  # it is sound, so it is not set aside


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "config.json", "train/../history.csv"])
def test_a_manifest_cannot_name_other_files_than_a_run_has(tmp_path, name):
    save(tmp_path, [1.0], (1, 0))
    file = tmp_path / "epoch-000001" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest.pop("sha256")
    file.write_text(durable.seal({**manifest, "committed": {name: [1, "x"]}}))
    with pytest.raises(DamagedCheckpointError, match="other files than a run has"):
        checkpoint.newest(tmp_path, "f")


@pytest.mark.parametrize("missing", ["history.csv", "train/events.out.tfevents.000001"])
def test_a_manifest_names_history_and_events_that_belong_together(run, fingerprint, missing):
    file = checkpoint.committed_paths(run / "checkpoints")[-1] / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest.pop("sha256")
    del manifest["committed"][missing]
    file.write_text(durable.seal(manifest))
    with pytest.raises(DamagedCheckpointError, match="that belong together"):
        checkpoint.newest(run / "checkpoints", fingerprint)


def test_no_bit_of_a_manifest_can_flip_unnoticed(tmp_path):
    save(tmp_path, [1.0], (1, 0))
    file = tmp_path / "epoch-000001" / "manifest.json"
    content = file.read_bytes()
    for position in range(len(content)):
        if not content[position : position + 1].isspace():
            file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            with pytest.raises(DamagedCheckpointError):
                checkpoint.newest(tmp_path, "f")


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path):
    for epoch in (1, 2):
        save(tmp_path, [1.0], (epoch, 0))
    (tmp_path / "epoch-000002" / "model.ckpt.index").write_bytes(b"")
    said = []
    assert checkpoint.newest_sound(tmp_path, "f", said.append).epoch == 1
    assert (tmp_path / "damaged-epoch-000002").is_dir()
    assert len(said) == 1
    assert "set aside as damaged-epoch-000002" in said[0]


def test_without_a_sound_checkpoint_a_run_does_not_start_from_zero(tmp_path):
    save(tmp_path, [1.0], (1, 0))
    (tmp_path / "epoch-000001" / "manifest.json").unlink()
    for _ in range(2):  # the second time there is no epoch-* directory left
        with pytest.raises(RunError, match=r"no checkpoint in .* is sound"):
            checkpoint.newest_sound(tmp_path, "f", print)


def test_warm_start_loads_what_matches_by_name_and_shape(tmp_path):
    written = save(tmp_path, [1.0, 2.0], (1, 0))
    with tf.Graph().as_default(), tf1.Session() as session:
        same = tf1.get_variable("fc1/kernel", initializer=tf.zeros(2))
        other = tf1.get_variable("fc2/kernel", initializer=tf.zeros(2))
        session.run(tf1.global_variables_initializer())
        loaded = checkpoint.load_matching(session, checkpoint.find(str(tmp_path)), [same, other])
        assert loaded == (["fc1/kernel"], ["fc2/kernel"])
        np.testing.assert_array_equal(session.run(same), written)


def test_warm_start_from_nothing_that_matches_is_refused(tmp_path):
    save(tmp_path, [1.0, 2.0], (1, 0))
    with tf.Graph().as_default(), tf1.Session() as session:
        wide = tf1.get_variable("fc1/kernel", initializer=tf.zeros(3))
        with pytest.raises(RunError, match=r"no variable that matches .* it has \['fc1/kernel', 'global_step'\]"):
            checkpoint.load_matching(session, checkpoint.find(str(tmp_path)), [wide])


def test_a_checkpoint_is_found_by_prefix_directory_or_run(run):
    newest = checkpoint.committed_paths(run / "checkpoints")[-1]
    for path in (newest / "model.ckpt", run / "checkpoints", run):
        assert checkpoint.find(str(path)) == str(newest / "model.ckpt")
    with pytest.raises(ConfigError, match="no checkpoint is there"):
        checkpoint.find(str(run / "figures"))


def tutorial_checkpoint(directory):
    """A checkpoint as a TF1 script with Adam leaves it, of layers fc1 (2 to 6), fc2 (6 to 5) and output (5 to 2)."""
    with tf.Graph().as_default(), tf1.Session() as session:
        loss = 0.0
        for name, shape in (("fc1", (2, 6)), ("fc2", (6, 5)), ("output", (5, 2))):
            with tf1.variable_scope(name):
                kernel = tf1.get_variable("kernel", shape, initializer=tf1.random_normal_initializer(seed=1))
                bias = tf1.get_variable("bias", shape[1:], initializer=tf1.ones_initializer())
            loss += tf.reduce_sum(kernel) + tf.reduce_sum(bias)
        step = tf1.train.get_or_create_global_step()
        train_op = tf1.train.AdamOptimizer().minimize(loss, global_step=step)
        session.run(tf1.global_variables_initializer())
        session.run(train_op)
        return tf1.train.Saver().save(session, str(directory / "model.ckpt"))


def test_a_warm_started_run_begins_with_the_tutorials_weights(tmp_path):
    prefix, said = tutorial_checkpoint(tmp_path), []
    config = runs.config(warm_start=prefix, hidden=(6, 4), learning_rate=1e-7, epochs=1)
    training.train(config, tmp_path / "warm", say=said.append)
    values = runs.variables(tmp_path / "warm")
    for name in ("fc1/kernel", "fc1/bias", "output/bias"):
        np.testing.assert_allclose(values[name], tf.train.load_variable(prefix, name), atol=1e-5)
    assert values["global_step"] == 5
    assert said == [
        "warm start: loaded fc1/kernel, fc1/bias, output/bias; "
        "not loaded (missing, or of another shape): fc2/kernel, fc2/bias, output/kernel"
    ]


def test_a_checkpoint_that_does_not_fit_its_network_is_refused(tmp_path):
    save(tmp_path, [1.0, 2.0], (1, 0))
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.get_variable("fc1/kernel", initializer=tf.zeros(3))
        with pytest.raises(RunError, match=r"fc1/kernel has shape \[2\], not \[3\]"):
            checkpoint.restore(checkpoint.newest(tmp_path, "f"), session, tf1.train.Saver())
