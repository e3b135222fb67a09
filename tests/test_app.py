"""The addresses of the server and its limits, asked in this process."""

import contextlib
import json
import threading

import models
import numpy as np
import pytest
import served
from prometheus_client.parser import text_string_to_metric_families

from fcclf.serving import export

ADDRESS = "/v1/models/colours"
ROW = {"instances": [[1, 2]]}
ANSWER = {"class_ids": 1, "classes": "green", "logits": [1.0, 2.0, -3.0]}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "colours"
    served.write(path)
    return path


@pytest.fixture
def serve(directory):
    """(path, settings) -> a client of a new server, as `served.client`."""
    with contextlib.ExitStack() as stack:
        yield lambda path=directory, **settings: stack.enter_context(served.client(path, **settings))


@pytest.fixture(scope="module")
def client(directory):
    """A client of a server that tests only ask."""
    with served.client(directory) as client:
        yield client


def ask(client, body, verb="predict", **settings):
    return client.post(f"{ADDRESS}:{verb}", content=body if isinstance(body, bytes) else json.dumps(body), **settings)


def wrong(response):
    """(code, sentence) of an error, which has nothing else."""
    assert response.json().keys() == {"error"}
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()["error"]


def measured(client):
    """{(name, kind, code and outcome, as far as it has them): value} of all that Prometheus reads."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for each in family.samples:
            if "le" not in each.labels:
                labels = [each.labels[name] for name in ("kind", "code", "outcome") if name in each.labels]
                found[(each.name, *labels)] = each.value
    return found


def test_rows_are_answered_row_by_row(client):
    response = ask(client, ROW)
    (row,) = response.json()["predictions"]
    assert response.headers["content-type"] == "application/json"
    assert sum(row.pop("probabilities")) == pytest.approx(1)
    assert row == ANSWER


def test_columns_are_answered_column_by_column(client):
    body = {"signature_name": "columns", "inputs": {"width": [1, 0], "height": [2, 0]}}
    outputs = ask(client, body).json()["outputs"]
    assert outputs["logits"] == [[1.0, 2.0, -3.0], [0.0, 0.0, 0.0]]
    assert outputs["classes"] == ["green", "red"]


def test_examples_are_classified(client):
    body = {"context": {"width": 1}, "examples": [{"height": 2}, {"height": -5}]}
    first, second = ask(client, body, "classify").json()["results"]
    assert [label for label, _ in first] == ["red", "green", "blue"]
    assert max(second, key=lambda pair: pair[1])[0] == "blue"


@pytest.mark.slow
def test_null_stands_for_a_number_where_the_training_data_lacked_some(serve, tmp_path):
    lacking, trained = models.model("lacking"), models.predictor("lacking").answers
    samples = export.given(np.float32([[np.nan, 1, 0.5], [0.5, 3, np.nan]]), "a test", "float32")
    export.export_model(lacking, trained, tmp_path / "colours", samples=samples)
    client, expected = serve(tmp_path / "colours"), lacking.outputs(trained(samples.X))
    rows = [{"weight": None, "colour": "gr\u00fcn", "width": 0.5}, {"weight": 0.5, "colour": None, "width": None}]
    for body in (
        {"instances": [[None, 1, 0.5], [0.5, 3, None]]},
        {"signature_name": "columns", "instances": rows},
    ):
        found = [row["logits"] for row in ask(client, body).json()["predictions"]]
        np.testing.assert_array_equal(np.float32(found), expected["logits"])
    scores = [[score for _, score in row] for row in ask(client, {"examples": rows}, "classify").json()["results"]]
    np.testing.assert_allclose(scores, expected["probabilities"], rtol=1e-6)


def test_null_is_refused_where_training_data_lacked_nothing(client):
    sentence = "instances[0][1] is null, but must be a number."
    assert wrong(ask(client, {"instances": [[1, None]]})) == (400, sentence)


def test_examples_are_answered_by_numbers(serve, tmp_path):
    served.write(tmp_path / "colours", 4, task="regression")
    client = serve(tmp_path / "colours")
    assert ask(client, {"examples": [{"width": 1, "height": 2}]}, "regress").json() == {"results": [4.0]}
    assert ask(client, ROW).json() == {"predictions": [4.0]}


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
def test_any_content_type_is_taken_as_tensorflow_serving_does(client, kind):
    assert ask(client, ROW, headers={"Content-Type": kind} if kind else {}).status_code == 200


def test_a_version_may_be_named(client):
    body = json.dumps(ROW)
    assert client.post(f"{ADDRESS}/versions/1:predict", content=body).status_code == 200
    response = client.post(f"{ADDRESS}/versions/2:predict", content=body)
    assert wrong(response) == (404, "version 2 of colours is not here: 1 answers.")


def test_the_state_is_told_as_tensorflow_serving_tells_it(client):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for address in (ADDRESS, f"{ADDRESS}/versions/1"):
        assert client.get(address).json() == {"model_version_status": [status]}
    assert wrong(client.get(f"{ADDRESS}/versions/2")) == (404, "version 2 of colours is not here.")


def test_the_signatures_are_told_as_tensorflow_serving_tells_them(client):
    told = client.get(f"{ADDRESS}/metadata").json()
    assert told["model_spec"] == {"name": "colours", "signature_name": "", "version": "1"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert signatures.keys() == {"serving_default", "columns", "classify"}
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"


@pytest.mark.parametrize(
    ("method", "address", "code", "sentence"),
    [
        ("GET", "/v1/models/others", 404, "there is no model 'others' here: ask /v1/models/colours."),
        ("POST", "/v1/models/others:predict", 404, "there is no model 'others' here: ask /v1/models/colours."),
        ("POST", f"{ADDRESS}:guess", 404, f"there is no address '{ADDRESS}:guess': ask {ADDRESS}:predict."),
        ("POST", ADDRESS, 400, f"POST asks :predict, :classify or :regress of a model, not {ADDRESS}."),
        ("GET", f"{ADDRESS}:predict", 405, ":predict is asked by POST, with a JSON body."),
        ("DELETE", ADDRESS, 405, f"DELETE {ADDRESS} is nothing here: see / for what there is."),
        ("GET", f"{ADDRESS}/labels/stable", 404, "version 'stable' of colours is not here."),
        ("GET", f"{ADDRESS}/versions/{'9' * 30}", 404, f"version '{'9' * 30}' of colours is not here."),
        ("GET", "/v1/models", 404, "GET /v1/models is nothing here: see / for what there is."),
        ("GET", "/etc/passwd", 404, "GET /etc/passwd is nothing here: see / for what there is."),
    ],
)
def test_what_is_not_here_is_named(client, method, address, code, sentence):
    assert wrong(client.request(method, address)) == (code, sentence)


def test_a_wrong_method_is_answered_with_the_right_ones(client):
    assert set(client.delete("/healthz").headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_wrong_body_is_a_400_with_a_sentence(client):
    assert wrong(ask(client, b"nonsense"))[0] == 400
    body = {"instances": [{"width": 1, "height": 2}]}
    sentence = "instances[0] lacks 'X' and has 'height', 'width', but serving_default takes 'X': "
    assert wrong(ask(client, body)) == (400, sentence + '"signature_name": "columns" takes these.')


def test_a_body_that_is_too_large_is_a_413_whether_it_says_its_length_or_not(serve):
    client = serve(max_body=1000)
    sentence = "the body is larger than 1000 bytes: ask for fewer rows at once."
    assert wrong(ask(client, b" " * 1001)) == (413, sentence)
    assert wrong(client.post(f"{ADDRESS}:predict", content=iter([b" " * 600] * 2))) == (413, sentence)
    assert ask(client, json.dumps(ROW).encode().ljust(1000)).status_code == 200


def test_too_many_rows_are_a_413(serve):
    client = serve(max_rows=2)
    assert ask(client, {"instances": [[1, 2]] * 2}).status_code == 200
    assert wrong(ask(client, {"instances": [[1, 2]] * 3})) == (413, "3 rows are asked for, but 2 at most are taken.")
    assert wrong(ask(client, {"examples": [{"width": 1, "height": 2}] * 3}, "classify"))[0] == 413


def test_a_compressed_body_is_a_415(client):
    assert wrong(ask(client, ROW, headers={"Content-Encoding": "gzip"}))[0] == 415


def test_too_many_at_once_are_a_429_with_a_time_to_come_back(serve, monkeypatch):
    client = serve(max_concurrent=1)
    begun, let = threading.Event(), threading.Event()
    answer = client.server.versions.current.answer
    monkeypatch.setattr(
        client.server.versions.current, "answer", lambda *asked: (begun.set(), let.wait(), answer(*asked))[-1]
    )
    answers = []
    first = threading.Thread(target=lambda: answers.append(ask(client, ROW)))
    first.start()
    begun.wait()
    response = ask(client, ROW)
    let.set()
    first.join()
    assert wrong(response) == (429, "1 requests are being answered, and no more are allowed: try again.")
    assert response.headers["retry-after"] == "1"
    assert answers[0].status_code == 200


def test_an_answer_that_takes_too_long_is_a_504_and_the_next_is_answered(serve, monkeypatch):
    client, let = serve(timeout=0.2), threading.Event()
    answer = client.server.versions.current.answer
    with monkeypatch.context() as patched:
        patched.setattr(client.server.versions.current, "answer", lambda *asked: (let.wait(), answer(*asked))[-1])
        response = ask(client, ROW)
        let.set()
    assert wrong(response) == (504, "the answer took longer than 0.2 s: ask for fewer rows at once.")
    assert ask(client, ROW).status_code == 200


def test_what_fails_is_a_500_said_on_stderr_and_the_next_is_answered(serve, monkeypatch):
    client = serve()
    with monkeypatch.context() as patched:
        patched.setattr(client.server.versions.current, "answer", lambda *_: 1 / 0)
        assert wrong(ask(client, ROW)) == (500, "the server failed: division by zero.")
    assert client.said == [f"error: POST {ADDRESS}:predict: ZeroDivisionError: division by zero"]
    assert ask(client, ROW).status_code == 200


def test_a_large_body_is_answered_as_a_small_one_is(client):
    rows = ask(client, {"instances": [[k, 1] for k in range(10_000)]}).json()["predictions"]
    assert [row["logits"][0] for row in rows] == list(range(10_000))


def test_it_is_alive_always_and_ready_until_the_end_begins(serve):
    client = serve()
    assert (client.get("/healthz").text, client.get("/readyz").text) == ("alive\n", "ready\n")
    client.server.stopping = True
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_prometheus_reads_what_was_asked(serve):
    client = serve()
    ask(client, ROW)
    ask(client, {"instances": [[1, 2]] * 3})
    ask(client, b"nonsense")
    client.get(ADDRESS)
    found = measured(client)
    assert found["fcclf_requests_total", "predict", "200"] == 2
    assert found["fcclf_requests_total", "predict", "400"] == 1
    assert found["fcclf_requests_total", "status", "200"] == 1
    assert found["fcclf_request_seconds_count", "predict"] == 3
    assert found["fcclf_rows_total",] == 4
    assert found["fcclf_batch_rows_sum",] == 4
    assert found["fcclf_batch_requests_count",] == 2
    assert found["fcclf_version",] == 1
    assert found["fcclf_versions_total", "loaded"] == 1
    assert found["fcclf_requests_begun",] == 0
    assert found["process_resident_memory_bytes",] > 0


def test_addresses_of_all_kinds_are_counted_under_a_few_names(serve):
    client = serve()
    for number in range(20):
        client.get(f"/v1/models/{number}")
        client.post(f"/v1/models/colours:{number}")
    assert len([key for key in measured(client) if key[0] == "fcclf_requests_total"]) == 2
