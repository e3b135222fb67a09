"""`fcclf serve` as a process: what it says, how it ends, and that no request is lost while versions come and go."""

import contextlib
import http.client
import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import runs
import served
from sklearn.datasets import load_iris

from fcclf.cli import entry

ROOT = Path(__file__).parent.parent
PATIENCE = 60  # seconds, for a server to do what it should


class Running:
    """A server in a process of its own. said: the lines that it wrote to stderr, as far as they are read."""

    def __init__(self, tmp_path, directory, *flags, port=0):
        pipe = tmp_path / f"errors-{time.monotonic_ns()}"
        os.mkfifo(pipe)
        self.process = runs.start("serve", directory, "--port", port, *flags, stderr=pipe)
        self.errors, self.said = open(pipe), []  # noqa: SIM115
        found = re.search(r"answers at http://.+?:(\d+)/v1/models/(.+):predict", self.until(" answers at "))
        self.port, self.name = (int(found[1]), found[2]) if found else (None, None)

    def until(self, words):
        """The first line from here on that has such words, or "" if it ends without."""
        for line in self.errors:
            self.said.append(line.rstrip("\n"))
            if words in line:
                return line
        return ""

    def ask(self, X, connection=None):
        """(code, what is answered) for rows."""
        connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", f"/v1/models/{self.name}:predict", json.dumps({"instances": X}))
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def get(self, address):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", address)
        return connection.getresponse().read().decode()

    def end(self, number=signal.SIGTERM):
        """The exit code after a signal."""
        os.kill(self.process.pid, number)
        self.until("nothing, so to its end")
        self.process.join(PATIENCE)
        return self.process.exitcode


@pytest.fixture
def start(tmp_path):
    """(flags) -> a server of tmp_path/models/colours, which has version 1."""
    started = []
    directory = tmp_path / "models" / "colours"
    served.write(directory, 1)

    def start(*flags, directory=directory, **settings):
        started.append(Running(tmp_path, directory, *flags, **settings))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.join()


def version_of(X, code, answer):
    """The version that answered, if all of its answer is that version's."""
    assert code == 200, answer
    logits = [row["logits"] for row in answer["predictions"]]
    version = round(logits[0][0] / X[0][0])
    assert logits == served.logits(version, X).tolist(), (X, logits)
    return version


def test_it_says_where_it_listens_and_ends_well_after_a_signal(start):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = start()
        place = f"http://127.0.0.1:{server.port}"
        assert server.said == [
            f"fcclf: version 1 of colours answers at {place}/v1/models/colours:predict; for people {place}/"
        ]
        assert version_of([[1, 2]], *server.ask([[1, 2]])) == 1
        assert server.end(number) == 0
        assert server.said[-1] == "fcclf: stopped: 1 requests are answered, and none is left"


@pytest.mark.slow
def test_what_was_begun_is_answered_after_a_signal_and_nothing_new_is_taken(start):
    server = start()
    begun = socket.create_connection(("127.0.0.1", server.port))
    body = json.dumps({"instances": [[1, 2]]}).encode()
    head = f"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    begun.sendall(head + body[:5])
    while "fcclf_requests_begun 1.0" not in server.get("/metrics"):
        pass
    os.kill(server.process.pid, signal.SIGTERM)
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            socket.create_connection(("127.0.0.1", server.port)).close()
    begun.sendall(body[5:])
    assert b"200 OK" in begun.recv(1000)
    server.process.join(PATIENCE)
    assert server.process.exitcode == 0


def test_a_body_that_does_not_come_is_a_408_and_its_connection_ends(start):
    server = start("--timeout", "0.2")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as slow:
        slow.sendall(b"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        received = b"".join(iter(lambda: slow.recv(1000), b""))
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within 0.2 s: send it faster." in received


def test_whoever_listens_to_all_is_warned(start):
    server = start("--host", "0.0.0.0")
    assert "warning: 0.0.0.0 can be reached from other machines, and whoever reaches it may ask" in server.said[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["nowhere"], "fcclf: error: there is no directory nowhere: make one with fcclf export RUN nowhere."),
        (["."], "has no version folder such as 1: make one with fcclf export RUN ."),
        (["models/colours", "--host", "no.such.host.example"], "cannot listen at no.such.host.example:8501: "),
        (
            ["models/colours", "--name", "a:b"],
            "'a:b' cannot be the name of a model in addresses: give another by --name.",
        ),
        (["models/colours", "--host", "192.0.2.1"], "cannot listen at 192.0.2.1:8501: "),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(tmp_path, monkeypatch, start, flags, words):
    monkeypatch.chdir(tmp_path)
    process = runs.start("serve", *flags, stderr=tmp_path / "errors")
    process.join(PATIENCE)
    said = (tmp_path / "errors").read_text()
    assert (process.exitcode, len(said.splitlines())) == (1, 1)
    assert words in said


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "x"], "--port is 'x', but must be a whole number of at least 0 and at most 65535"),
        (["--timeout", "0"], "--timeout is 0.0, but must be a number above 0"),
        ([], "the following arguments are required: DIR"),
    ],
)
def test_a_wrong_flag_is_a_usage_error(capsys, flags, words):
    with pytest.raises(SystemExit, match="2"):
        entry.main(["serve", *([".", *flags] if flags else [])])
    assert words in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(start):
    first = start()
    second = start(port=first.port)
    second.process.join(PATIENCE)
    assert second.process.exitcode == 1
    assert f"cannot listen at 127.0.0.1:{first.port}: Address already in use" in second.said[-1]


def test_a_damaged_version_alone_is_named_at_the_start(tmp_path, start):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    server = start(directory=tmp_path / "broken")
    server.process.join(PATIENCE)
    assert server.process.exitcode == 1
    assert server.said[-1].startswith(f"fcclf: error: cannot serve {tmp_path / 'broken' / '1'}: it has no ")


def test_without_its_packages_it_names_the_extra(tmp_path):
    program = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'uvicorn' else find(name, *rest)\n"
        "from fcclf.cli import entry; print(entry.main(['serve', '.']), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "1 False\n"
    assert done.stderr == "fcclf: error: this needs uvicorn, which is not installed: pip install 'fcclf[serve]'\n"


@pytest.mark.slow
def test_versions_come_and_go_under_load_without_a_wrong_or_a_lost_answer(tmp_path, start):
    server, versions = start(), []
    stop = threading.Event()

    def client(seed):
        connection, choices = http.client.HTTPConnection("127.0.0.1", server.port), random.Random(seed)
        while not stop.is_set():
            X = [[choices.randrange(1, 9), choices.randrange(9)] for _ in range(choices.randrange(1, 4))]
            versions.append(version_of(X, *server.ask(X, connection)))

    clients = [threading.Thread(target=wrapped, args=(client, seed, failures := [])) for seed in range(4)]
    for each in clients:
        each.start()
    for version in (2, 3):
        served.write(tmp_path / "models" / "colours", version)
        assert server.until(f"version {version - 1} is let go")
    stop.set()
    for each in clients:
        each.join()
    assert failures == []
    assert set(versions) == {1, 2, 3}
    assert server.end() == 0


def wrapped(client, seed, failures):
    """A client whose failure is seen."""
    try:
        client(seed)
    except BaseException as error:
        failures.append(repr(error))


# ---- the page of the docs, as it is written --------------------------------------------------------------------------

DOCS = (ROOT / "docs" / "serving.md").read_text()
NAMES = ["setosa", "versicolor", "virginica"]
IMPORTABLE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def commands(page):
    """The lines of the shell's blocks."""
    return [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]


def trained_and_exported(tmp_path):
    """models/iris in a directory, by the page's own commands."""
    X, y = load_iris(return_X_y=True)
    table = [f"{','.join(map(str, row))},{NAMES[label]}" for row, label in zip(X, y, strict=True)]
    (tmp_path / "iris.csv").write_text("\n".join(["sepal_length,sepal_width,petal_length,petal_width,species", *table]))
    for command in commands(DOCS):
        if command.startswith(("fcclf train", "fcclf export")):
            subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=tmp_path, check=True, env=IMPORTABLE)


@pytest.mark.campaign
def test_the_docs_commands_work_as_written(tmp_path):
    trained_and_exported(tmp_path)
    serve, *requests = [shlex.split(line) for line in commands(DOCS) if line.startswith(("fcclf serve", "curl"))]
    assert serve == ["fcclf", "serve", "models/iris", "--port", "8501"]
    server = Running(tmp_path, tmp_path / "models" / "iris")
    try:
        for command in requests:
            place = command[-1].replace(":8501", f":{server.port}")
            done = subprocess.run([*command[:-1], "-sS", place], capture_output=True, text=True, check=True)
            rows = json.loads(done.stdout)["predictions"]
            assert rows[0]["classes"] == "setosa"
    finally:
        server.process.kill()


# ---- a minute of load ------------------------------------------------------------------------------------------------


def load_worker(port, seconds, clients, answered):
    """`clients` threads that ask and check; answered: a queue that gets {version: answers} or what went wrong."""
    counts, failures = {}, []

    def client(seed):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        choices, end = random.Random(os.getpid() * 1000 + seed), time.monotonic() + seconds
        while time.monotonic() < end:
            X = [[choices.randrange(1, 9), choices.randrange(9)] for _ in range(choices.randrange(1, 5))]
            connection.request("POST", "/v1/models/colours:predict", json.dumps({"instances": X}))
            response = connection.getresponse()
            version = version_of(X, response.status, json.loads(response.read()))
            counts[version] = counts.get(version, 0) + 1

    threads = [threading.Thread(target=wrapped, args=(client, seed, failures)) for seed in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    answered.put((counts, failures))


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_minute_of_64_clients_ten_versions_and_a_killed_worker(tmp_path, start):
    server, answered = start(), runs.FORKSERVER.Queue()
    workers = [runs.FORKSERVER.Process(target=load_worker, args=(server.port, 60, 16, answered)) for _ in range(4)]
    for each in workers:
        each.start()
    for version in range(2, 12):
        workers[1].join(timeout=4)
        served.write(tmp_path / "models" / "colours", version)
        if version == 6:
            workers[0].kill()
    results = [answered.get(timeout=200) for _ in workers[1:]]
    assert workers[0].exitcode == -signal.SIGKILL
    assert [failures for _, failures in results] == [[]] * 3
    counts = {}
    for each, _ in results:
        counts = {version: counts.get(version, 0) + each.get(version, 0) for version in {*counts, *each}}
    print(f"{sum(counts.values())} answers of versions {counts}")
    assert set(counts) == set(range(1, 12))
    assert server.end() == 0
    assert sum("is let go" in line for line in server.said) == 10
