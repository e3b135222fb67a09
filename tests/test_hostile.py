"""Bodies and directories that mean no good, one after the other to one server: each is a clear error, and it lives."""

import contextlib
import copy
import http.client
import itertools
import json
import os
import random
import shutil
import socket

import pytest
import runs
import served
from test_model import DAMAGES, cut
from test_serve import PATIENCE, Running, version_of

GROWTH = 40_000_000  # bytes that a server may take more after some hundred errors
GOOD = {"signature_name": "serving_default", "instances": [[1, 2], [3, 4], [5, 6]]}
PLACES = [("instances",), ("instances", 0), ("instances", 2), ("instances", 1, 0), ("instances", 2, 1)]
VALUES = [None, True, "x", {}, [], [[1]], {"b64": "eA=="}, float("nan"), float("-inf"), 1e39, 10**400, [1, 2, 3]]
FIXED = [
    (b"", 400),
    (b"\x00" * 1000, 400),
    (b"\xff\xfe\x00", 400),
    (b"[" * 1_000_000, 400),
    (b'{"instances":' * 100_000, 400),
    (b'{"instances": [[' + b"9" * 1_000_000 + b"]]}", 400),
    (b'{"instances": [[1, 2]]} {"instances": [[1, 2]]}', 400),
    (b'{"instances": [' + b"[1, 2], " * 20_000 + b"[1, 2]]}", 413),
    (b" " * 17_000_000, 413),
    (b'{"instances": "' + b"\\ud800" * 1000 + b'"}', 400),
    (b'{"signature_name": "' + b"x" * 1_000_000 + b'", "instances": [[1, 2]]}', 400),
    (json.dumps({"instances": [{str(k): k for k in range(10_000)}]}).encode(), 400),
    (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aa'>]><x>&a;</x>", 400),
    (b"__import__('os').system('true')", 400),
]
REQUESTS = [  # that are no HTTP, or not whole
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /v1/models/colours:predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/models/colours:predict HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx0=1",
]


def bodies():
    """(body, code) without an end: fixed ones, wrong values in every place, and good ones cut short or broken."""
    yield from FIXED
    for place, value in itertools.product(PLACES, VALUES):
        yield json.dumps(changed(place, value)).encode(), 400
    choices, good = random.Random(0), json.dumps(GOOD).encode()
    while True:
        at = choices.randrange(len(good))
        yield good[:at], 400
        yield good[:at] + bytes([choices.randrange(9)]) + good[at:], 400


def changed(place, value):
    body = copy.deepcopy(GOOD)
    *outer, last = place
    inner = body
    for each in outer:
        inner = inner[each]
    inner[last] = value
    return body


@pytest.fixture
def server(tmp_path):
    served.write(tmp_path / "colours")
    server = Running(tmp_path, tmp_path / "colours")
    yield server
    server.process.kill()
    server.process.join()


def resident(server):
    """Bytes of memory that the server has in use."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return 4096 * int(file.read().split()[1])


def assert_answers(server):
    assert version_of([[1, 2]], *server.ask([[1, 2]])) == 1


@pytest.mark.parametrize("count", [60, runs.campaign(200)])
def test_hostile_bodies_are_clear_errors_and_the_server_lives(server, count):
    for number, (body, code) in enumerate(itertools.islice(bodies(), count)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        with contextlib.suppress(BrokenPipeError):  # it has answered before it had all of the body
            connection.request("POST", "/v1/models/colours:predict", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert (response.status, [*answer]) == (code, ["error"]), (body[:200], answer)
        runs.assert_one_sentence(answer["error"])
        if number == len(FIXED) + 5:
            before = resident(server)
    for request in REQUESTS:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request)
    assert_answers(server)
    assert resident(server) - before < GROWTH
    assert server.end() == 0
    assert len(server.said) == 2  # where it listens, and that it has stopped


FOREIGN = {
    "a text": lambda path: (path / "readme.txt").write_text("hello"),
    "a link to itself": lambda path: (path / "saved_model.pb").symlink_to("saved_model.pb"),
    "folders in folders": lambda path: (path / "1" / "1" / "1").mkdir(parents=True),
    "a picture": lambda path: (path / "saved_model.pb").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "an archive": lambda path: (path / "saved_model.pb").write_bytes(b"PK\x03\x04" + os.urandom(1000)),
    "noise": lambda path: (path / "saved_model.pb").write_bytes(os.urandom(10_000)),
    "a folder for a graph": lambda path: (path / "saved_model.pb").mkdir(),
    "text for a graph": lambda path: (path / "saved_model.pbtxt").write_text("meta_graphs { nonsense: 1 }"),
    "a program": lambda path: (path / "saved_model.pb").write_bytes(b"\x7fELF" + bytes(1000)),
    "a device": lambda path: (path / "saved_model.pb").symlink_to("/dev/urandom"),
}


def directories(whole):
    """(what it is, a function that makes it at a path) without an end."""
    for name, damage in DAMAGES.items():
        yield name, damaged(whole, damage)
    for name, make in FOREIGN.items():
        yield name, lambda path, make=make: (path.mkdir(), make(path))
    choices = random.Random(0)
    files = [each.relative_to(whole) for each in sorted(whole.rglob("*")) if each.is_file()]
    while True:
        file, share = choices.choice(files), choices.uniform(0.01, 0.99)
        yield f"{file} cut to {share:.2f}", damaged(whole, lambda path, file=file, share=share: cut(path / file, share))


def damaged(whole, damage):
    return lambda path: (shutil.copytree(whole, path), damage(path))


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, runs.campaign(100)])
def test_damaged_and_foreign_directories_are_refused_and_the_old_version_stays(tmp_path, server, count):
    whole, before = tmp_path / "colours" / "1", 0
    for number, (name, make) in enumerate(itertools.islice(directories(whole), count), start=2):
        make(tmp_path / "hidden")
        (tmp_path / "hidden").rename(tmp_path / "colours" / str(number))
        line = server.until(f"version {number} ")
        assert f"version {number} is refused: " in line, name
        assert line.endswith("; version 1 stays.\n"), name
        runs.assert_one_sentence(line.rstrip("\n"))
        assert_answers(server)
        before = before or (resident(server) if number >= count // 5 else 0)
        shutil.rmtree(tmp_path / "colours" / str(number))
    assert resident(server) - before < GROWTH
    assert server.end() == 0
