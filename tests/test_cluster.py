"""Training on several tasks: the bits of one process, and what becomes of a run when a task is lost."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import runs
from clusters import Cluster, Proxy, errors
from faults import finish, flags

from fcclf.cluster import addresses, server
from fcclf.cluster.launch import free_ports
from fcclf.errors import RunError
from fcclf.settings.sources import Table

SHARDED = {"samples": 87, "shards": 4, "checkpoint_every": 10, "jit": "on"}  # 70 training samples, a short last batch
LONG = {**SHARDED, "epochs": 600, "checkpoint_every": 50}
EVERYTHING = {
    **SHARDED,
    "batch_norm": "before",
    "dropout": 0.2,
    "class_weight": ("0=2",),
    "early_stopping": True,
    "patience": 1000,
    "epochs": 12,
}
LARGE = {**SHARDED, "hidden": (512, 512), "batch_size": 128, "epochs": 3}  # of 784 features and 10 classes
MOST_SECONDS = 30  # until a client has ended that lost a worker


@pytest.fixture
def cluster():
    with Cluster(2) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "settings"),
    [
        (2, EVERYTHING),
        *(runs.campaign(tasks, settings) for tasks in (2, 3, 4) for settings in (SHARDED, EVERYTHING, LARGE)),
        runs.campaign(4, {**EVERYTHING, "patience": 1, "min_delta": 0.3}),  # it stops
        runs.campaign(2, {**EVERYTHING, "jit": "off"}),
        runs.campaign(4, {**SHARDED, "threads": 2}),
    ],
)
def test_a_cluster_ends_with_the_bits_of_one_process(tmp_path, tasks, settings):
    settings = on_table(settings, tmp_path) if settings is LARGE else settings
    with Cluster(tasks) as cluster:
        cluster.start_workers(threads=settings.get("threads", 1))
        cluster.train(tmp_path / "cluster", **settings)
        for worker in cluster.workers.values():
            worker.join(timeout=10)
            assert worker.exitcode == 0  # the training is over
    finish(tmp_path / "alone", **settings)
    runs.assert_same_run(tmp_path / "cluster", tmp_path / "alone")


def on_table(settings, directory):
    """The settings with data of 784 features."""
    generator, file = np.random.default_rng(1), directory / "table.npz"
    np.savez(file, X=generator.normal(size=(1500, 784)).astype(np.float32), y=generator.integers(0, 10, 1500))
    return {**settings, "data": Table(str(file))}


@pytest.mark.campaign
@pytest.mark.parametrize("settings", [EVERYTHING, LARGE])
def test_a_run_goes_on_with_another_number_of_tasks(tmp_path, settings):
    settings = on_table(settings, tmp_path) if settings is LARGE else settings
    for epochs, tasks in ((2, 4), (4, 2)):
        with Cluster(tasks) as cluster:
            cluster.start_workers()
            cluster.train(tmp_path / "moved", **settings | {"epochs": epochs})
    for name in ("moved", "alone"):
        finish(tmp_path / name, **settings | {"epochs": 6})
    runs.assert_same_variables(tmp_path / "moved", tmp_path / "alone")
    assert runs.history(tmp_path / "moved") == runs.history(tmp_path / "alone")


@pytest.mark.campaign
def test_a_killed_worker_is_named_and_the_run_goes_on_without_it(tmp_path, cluster, reference):
    path = tmp_path / "run"
    cluster.start_workers()
    client = cluster.start_client(path, **LONG)
    wait_for(path / "checkpoints" / "epoch-000050")
    cluster.workers[1].kill()
    assert_lost(client, path, f"worker 1 ({cluster.addresses[1]})")
    assert finish(path, **LONG)[-1].startswith("going on after epoch ")
    runs.assert_same_run(path, reference(**LONG))


def assert_lost(client, path, name):
    client.join(timeout=MOST_SECONDS)
    assert client.exitcode == 1
    assert errors(path).read_text().splitlines()[-1] == (
        f"fcclf: error: {name} does not answer any more: all that was saved stays; to go on, start the worker again "
        "and run the same command."
    )


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


@pytest.mark.campaign
def test_a_client_with_patience_goes_on_when_the_worker_is_back(tmp_path, cluster, reference):
    path = tmp_path / "run"
    cluster.start_workers()
    client = cluster.start_client(path, "--wait-for-workers", "60", **LONG)
    wait_for(path / "checkpoints" / "epoch-000050")
    cluster.workers[1].kill()
    cluster.start_workers()
    client.join()
    assert client.exitcode == 0, errors(path).read_text()
    assert "waiting for worker 1" in errors(path).read_text()
    runs.assert_same_run(path, reference(**LONG))


class OtherVersions:
    """A fault: numpy has another version here."""

    def __call__(self):
        from fcclf.runs import run_directory

        versions = run_directory.versions
        run_directory.versions = lambda *given: versions(*given) | {"numpy": "0.9"}


@pytest.mark.slow
def test_a_worker_with_other_versions_or_settings_is_refused_before_anything_is_made(tmp_path, cluster):
    path = tmp_path / "run"
    cluster.start_worker(faults=[OtherVersions()])
    client = cluster.start_client(path, **SHARDED)
    client.join()
    assert client.exitcode == 1
    assert "cannot take part: it has other versions or data (numpy: " in errors(path).read_text()
    assert not path.exists()
    cluster.workers[1].kill()
    cluster.workers[1].join()
    cluster.start_worker(command=flags(tmp_path / "other", **SHARDED | {"seed": 5}))
    client = cluster.start_client(path, **SHARDED)
    client.join()
    assert "it was started with other settings (training.seed: 0 -> 5)" in errors(path).read_text()
    assert not path.exists()


@pytest.mark.slow
def test_a_task_listens_on_the_loopback_device_alone():
    assert runs.elsewhere(devices_listened_on, free_ports(2)) == [b"lo\0"]


def devices_listened_on(ports):
    server.serving(on_ports(*ports), 1, False, print)
    return [each.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) for each in server.listening(ports[0])]


def test_a_port_that_is_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert runs.elsewhere(problem_of_listening, port) == (
            f"cannot listen at 127.0.0.1:{port}: another program may do so: end it, or choose another."
        )


def on_ports(*ports):
    return addresses.Cluster(tuple(f"127.0.0.1:{port}" for port in ports), 0)


def problem_of_listening(port):
    with pytest.raises(RunError) as error:
        server.serving(on_ports(port, 1), 1, False, print)
    return str(error.value)


@pytest.mark.campaign
def test_launch_trains_on_several_processes_and_ends_all(tmp_path, reference):
    settings = {**SHARDED, "epochs": 20}
    command = [sys.executable, "-m", "fcclf", "launch", "--workers", "2", "--", *flags(tmp_path / "run", **settings)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "[0] test loss " in ended.stdout
    assert "[1] fcclf: the training is over" in ended.stderr
    runs.assert_same_run(tmp_path / "run", reference(**settings))


# ---- campaigns -------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("seed", "kills"), [(seed, 10) for seed in range(10)])
def test_runs_killed_at_random_end_with_the_bits_of_one_that_was_not(tmp_path, cluster, reference, seed, kills):
    """A worker or the client is killed at a random moment, again and again. A client that loses its worker ends, or
    waits for the next one; a worker that loses its client waits for the next one."""
    moments, path, number = random.Random(seed), tmp_path / "run-0", itertools.count(1)
    for _ in range(kills):
        if not cluster.workers or not cluster.workers[1].is_alive():
            cluster.start_workers()
        waits = moments.random() < 0.3
        client = cluster.start_client(path, *(["--wait-for-workers", "60"] if waits else []), **LONG)
        client.join(timeout=moments.uniform(0.3, 5))
        if moments.random() < 0.5:
            cluster.workers[1].kill()
            cluster.workers[1].join()
            if waits:
                cluster.start_workers()
                client.join(timeout=moments.uniform(1, 5))
            else:
                client.join(timeout=MOST_SECONDS)
                assert client.exitcode in (0, 1) or "waiting for worker 1" in errors(path).read_text()
        client.kill()
        client.join()
        if client.exitcode == 0:
            runs.assert_same_run(path, reference(**LONG))
            path = tmp_path / f"run-{next(number)}"
    finish(path, **LONG)
    runs.assert_same_run(path, reference(**LONG))


@pytest.mark.campaign
def test_a_signal_to_all_tasks_lets_the_client_save(tmp_path, cluster, reference):
    path = tmp_path / "run"
    cluster.start_workers()
    client = cluster.start_client(path, **LONG)
    wait_for(path / "checkpoints" / "epoch-000050")
    for process in (cluster.workers[1], client):
        os.kill(process.pid, signal.SIGTERM)
    client.join(timeout=10)
    assert client.exitcode == -signal.SIGTERM
    assert errors(path).read_text().splitlines()[-1].startswith("fcclf: interrupted: saved after ")
    cluster.workers[1].join(timeout=10)
    assert cluster.workers[1].exitcode == -signal.SIGTERM
    finish(path, **LONG)
    runs.assert_same_run(path, reference(**LONG))


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_worker_that_hangs_is_named_within_half_a_minute(tmp_path, cluster, reference):
    path = tmp_path / "run"
    cluster.start_workers()
    client = cluster.start_client(path, **LONG)
    wait_for(path / "checkpoints" / "epoch-000050")
    os.kill(cluster.workers[1].pid, signal.SIGSTOP)
    assert_lost(client, path, f"worker 1 ({cluster.addresses[1]})")
    finish(path, **LONG)
    runs.assert_same_run(path, reference(**LONG))


@pytest.mark.campaign
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seconds", "patience"), [(5, None), (60, None), (60, 100)])
def test_a_connection_that_is_cut_comes_back_or_ends_the_client(tmp_path, cluster, reference, seconds, patience):
    path, (there, back) = tmp_path / "run", (Proxy(cluster.ports[1]), Proxy(cluster.ports[0]))
    cluster.start_worker(addresses=[back.address, cluster.addresses[1]])
    more = ["--wait-for-workers", str(patience)] if patience else []
    client = cluster.start_client(path, *more, addresses=[cluster.addresses[0], there.address], **LONG)
    wait_for(path / "checkpoints" / "epoch-000050")
    for each in (there, back):
        each.hold()
    client.join(timeout=seconds)
    if seconds == 60 and patience is None:
        assert_lost(client, path, f"worker 1 ({there.address})")
        return
    for each in (there, back):
        each.release()
    client.join(timeout=120)
    assert client.exitcode == 0, errors(path).read_text()
    runs.assert_same_run(path, reference(**LONG))
