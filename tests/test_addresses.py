"""Who is in a cluster."""

import json

import pytest

from fcclf.cli import entry
from fcclf.cluster import addresses
from fcclf.cluster.addresses import Cluster, found, tf_config
from fcclf.errors import ConfigError

TWO = ("a:1", "b:2")


def environment(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_flags_name_a_cluster_and_the_client_is_its_first_task():
    assert found("a:1,b:2", None, {}) == Cluster(TWO, 0)
    assert found("a:1,b:2", 1, environment({"worker": ["c:3", "d:4"]})) == Cluster(TWO, 1)
    assert found("a:1,b:2", 0, {}).is_client
    assert not found("a:1,b:2", 1, {}).is_client


def test_tf_config_names_a_cluster_with_or_without_a_chief():
    assert found(None, None, environment({"worker": TWO}, index=1)) == Cluster(TWO, 1)
    assert found(None, None, environment({"worker": TWO, "chief": ["c:3"]}, index=1)) == Cluster(("c:3", *TWO), 2)
    assert found(None, None, environment({"worker": TWO, "chief": ["c:3"]}, "chief")) == Cluster(("c:3", *TWO), 0)
    assert found(None, None, {"TF_CONFIG": tf_config(Cluster(TWO, 1))}) == Cluster(TWO, 1)


def test_one_task_alone_is_no_cluster():
    assert found(None, None, {}) is None
    assert found(None, None, environment({"worker": ["a:1"]})) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a:1", None, {}), "names 1 tasks, but must name 2 to 64"),
        (("a:1,a:1", None, {}), "names an address twice"),
        (("a,b:1", None, {}), "names 'a', but must name addresses such as node1:2222"),
        (("a:1,b:70000", None, {}), "names 'b:70000'"),
        (("a:1,b:2", 2, {}), "has task 2, but there are tasks 0 to 1"),
        ((None, 1, {}), "has no effect without --cluster"),
        ((None, None, {"TF_CONFIG": "{"}), "cannot be read"),
        ((None, None, {"TF_CONFIG": "[]"}), "cannot be read"),
        ((None, None, environment({"worker": TWO, "ps": ["c:3"]})), "has tasks of the type 'ps'"),
        ((None, None, environment({"worker": TWO}, index=5)), "has task 5"),
    ],
)
def test_what_names_no_cluster_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        found(*arguments)


@pytest.mark.parametrize(
    ("address", "local"),
    [("localhost:1", True), ("127.0.0.1:1", True), ("[::1]:1", True), ("10.0.0.1:1", False), ("node1:1", False)],
)
def test_loopback_addresses_are_known(address, local):
    assert Cluster((address, "127.0.0.1:9"), 0).is_local is local


def test_an_address_is_taken_apart():
    assert Cluster(("[::1]:2222",), 0).host_and_port(0) == ("::1", 2222)
    assert addresses.Cluster(TWO, 0).name(1) == "worker 1 (b:2)"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "train moons --cluster a:1,b:2",
            "--shards is needed, as there are 2 tasks (--cluster, or TF_CONFIG): give 2.",
        ),
        (
            "train moons --shards 2 --cluster a:1,b:2,c:3",
            "--shards is 2, but must be at least the number of tasks, 3: give 4.",
        ),
        ("train moons --expose", "--expose has no effect without --cluster or TF_CONFIG: add that, or leave it out."),
        ("worker", "--cluster is needed, or a TF_CONFIG that names more than one task."),
        ("worker --cluster a:1,b:2", "--task-index is 0, which is the client's: give that of a worker."),
        ("launch --workers 2 -- predict x", "--workers is for training: write -- train and what follows it behind."),
        ("launch --workers 1 -- train moons", "--workers is 1, but must be a whole number from 2 to 64."),
    ],
)
def test_commands_refuse_what_cannot_work_before_tensorflow_is_imported(capsys, monkeypatch, words, sentence):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert entry.main(words.split()) == 2
    assert capsys.readouterr().err == f"fcclf: error: {sentence}\n"
