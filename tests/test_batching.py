"""Requests that are computed together: which are joined, which wait, and who is answered what."""

import asyncio
import threading

import numpy as np
import pytest
import served

from fcclf.serving.server import examples
from fcclf.serving.server.batching import CALLS, Batcher
from fcclf.serving.server.model import Model
from fcclf.serving.server.rest import Question
from fcclf.serving.server.statuses import RequestError

SHORT, LONG = 0.01, 30.0  # seconds; no test waits for the long window


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(served.write(tmp_path_factory.mktemp("models"), 2), 2)


def rows(model, *values):
    X = np.float32(values)
    return Question(model.signatures["serving_default"], [X], len(X))


def answered(model, questions, window=LONG, most_rows=1000, begun=None, computed=None):
    """(what each question is answered, the calls that were made) of questions that are asked at once."""
    calls = []

    async def ask():
        batcher = Batcher(window, most_rows, lambda: begun or len(questions), lambda *sizes: calls.append(sizes))
        try:
            return await asyncio.gather(*(batcher.answer(model, each) for each in questions), return_exceptions=True)
        finally:
            batcher.close()

    return asyncio.run(ask()), calls


def test_all_that_ask_at_once_are_joined_and_each_gets_its_own_rows(model):
    questions = [rows(model, *([number, k] for k in range(number + 1))) for number in range(10)]
    answers, calls = answered(model, questions)
    assert calls == [(10, 55)]
    for question, answer in zip(questions, answers, strict=True):
        np.testing.assert_array_equal(answer["logits"], served.logits(2, question.arrays[0]))


def test_who_is_alone_does_not_wait(model):
    _, calls = answered(model, [rows(model, [1, 2])])
    assert calls == [(1, 1)]


def test_others_are_waited_for_no_longer_than_the_window(model):
    _, calls = answered(model, [rows(model, [1, 2])] * 2, window=SHORT, begun=3)
    assert calls == [(2, 2)]


def test_no_more_rows_are_joined_than_may_be(model):
    _, calls = answered(model, [rows(model, [1, 2], [3, 4])] * 5, window=SHORT, most_rows=4)
    assert sorted(calls) == [(1, 2), (2, 4), (2, 4)]


def test_a_request_of_more_rows_than_a_batch_is_computed_by_itself(model):
    _, calls = answered(model, [rows(model, *[[1, 2]] * 9), rows(model, [1, 2])], window=SHORT, most_rows=4)
    assert sorted(calls) == [(1, 1), (1, 9)]


@pytest.mark.parametrize("limits", [{"window": 0}, {"most_rows": 0}])
def test_nothing_is_joined_where_that_is_turned_off(model, limits):
    answers, calls = answered(model, [rows(model, [1, 2])] * 3, **limits)
    assert calls == [(1, 1)] * 3
    assert [answer["logits"].tolist() for answer in answers] == [[[2, 4, -6]]] * 3


def test_what_is_of_another_signature_or_version_is_not_joined(model, tmp_path):
    other = Model(served.write(tmp_path, 5), 5)
    column = Question(model.signatures["columns"], [np.float32([2]), np.float32([1])], 1)
    asked = [(model, rows(model, [1, 2])), (other, rows(other, [1, 2])), (model, column)]
    calls = []

    async def ask():
        batcher = Batcher(SHORT, 1000, lambda: 3, lambda *sizes: calls.append(sizes))
        return await asyncio.gather(*(batcher.answer(*each) for each in asked))

    answers = asyncio.run(ask())
    assert [answer["logits"][0, 0] for answer in answers] == [2, 5, 2]
    assert calls == [(1, 1)] * 3
    other.close()


def test_nobody_pays_for_anothers_rows(model):
    given = {"examples": [{"width": 1, "height": 2}]}
    good = examples.question(given, model.signatures, "classify", model.notes.example_features)
    bad = Question(model.signatures["classify"], [np.array([b"no example"], object)], 1)
    answers, calls = answered(model, [good, bad, good])
    assert calls == [(3, 3)]
    assert isinstance(answers[1], RequestError)
    assert answers[0]["classes"].tolist() == answers[2]["classes"].tolist() == [[b"red", b"green", b"blue"]]


class Slow:
    """A model that answers when it is let."""

    def __init__(self, model):
        self.model, self.let, self.calls = model, threading.Semaphore(0), 0

    def held(self):
        return self.model.held()

    def answer(self, signature, arrays):
        self.calls += 1
        self.let.acquire()
        return self.model.answer(signature, arrays)


def test_what_waits_for_a_call_goes_on_joining_and_what_nobody_wants_is_not_computed(model):
    slow, calls = Slow(model), []

    async def ask():
        batcher = Batcher(0.001, 1000, lambda: 100, lambda *sizes: calls.append(sizes))
        first = []
        for _ in range(CALLS):
            first.append(asyncio.create_task(batcher.answer(slow, rows(model, [1, 2]))))
            while slow.calls < len(first):
                await asyncio.sleep(0.001)
        later = [asyncio.create_task(batcher.answer(slow, rows(model, [3, 4]))) for _ in range(5)]
        left = asyncio.create_task(batcher.answer(slow, rows(model, [5, 6])))
        await asyncio.sleep(0.01)
        left.cancel()
        slow.let.release(100)
        answers = await asyncio.gather(*first, *later)
        batcher.close()
        return [answer["logits"][0, 0] for answer in answers]

    assert asyncio.run(ask()) == [2] * CALLS + [6] * 5
    assert sorted(calls) == [(1, 1)] * CALLS + [(5, 5)]
