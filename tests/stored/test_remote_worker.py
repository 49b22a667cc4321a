"""A worker on another machine, and a site that answers it, or doesn't."""

import json
import logging
import threading

import pytest
import requests
from django.contrib.auth.models import AnonymousUser
from django.utils import translation

from instant import responder
from instant.handlers import Cancelled, Disconnect, Refused
from instant.stored import remote_worker, wake_up_listener
from instant.stored.remote_worker import Forbidden, RemoteWorker
from instant.stored.responding import find_responder

URL = "https://site.example/instant/"


class Answer:
    def __init__(self, body=None, status=200, text=""):
        self.status_code = status
        self.text = json.dumps(body) if body is not None else text

    def json(self):
        return json.loads(self.text)


class Site:
    """What is asked of it, and what it answers; a request that it raises is one that never arrived."""

    def __init__(self):
        self.asked = []
        self.requests = []
        self.answers = {}
        """By action what is answered next, in turn; after that what is right."""
        self.beaten = threading.Event()

    def post(self, session, url, *, data, **_options):
        assert session.headers["Authorization"] == "Bearer the token"
        assert url.startswith(f"{URL}worker/")
        action, body = url.rstrip("/").rpartition("/")[2], json.loads(data)
        if action == "listen":  # nobody wakes it: it asks often
            return Answer(status=503)
        self.asked.append((action, body))
        try:
            if (waiting := self.answers.get(action)) and (answer := waiting.pop(0)) is not None:
                if isinstance(answer, Exception):
                    raise answer
                return answer
            if action == "claim":
                return Answer({"request": self.requests.pop(0) if self.requests else None})
            return Answer({"is_yours": True})
        finally:
            if action == "beat":
                self.beaten.set()

    def said(self, action):
        return [body for name, body in self.asked if name == action]


@pytest.fixture
def site(monkeypatch):
    site = Site()

    def post(session, url, **options):
        return site.post(session, url, **options)

    monkeypatch.setattr(requests.Session, "post", post)
    for name in ("_PAUSE", "_AWAY", "BETWEEN"):
        monkeypatch.setattr(remote_worker, name, 0.001)
    monkeypatch.setattr(wake_up_listener, "_OFTEN", 0.001)
    return site


@pytest.fixture
def work(site, registry):
    """Run a worker until it has answered so many requests; return it."""

    def work(function, *requests_, most=None):
        registered = responder("predict", anonymous=True)
        registered(function)
        site.requests += [
            {
                "id": f"t{number}", "claim": f"c{number}", "lease": 0.4, "user": "7",
                "language": "de", "attempts": 1, **request,
            }
            for number, request in enumerate(requests_)
        ]  # fmt: skip
        worker = RemoteWorker(
            find_responder("predict"), URL, "the token", most=most or len(requests_)
        )
        worker.run()
        return worker

    return work


def test_it_answers_what_it_claims(site, work):
    seen = []

    def predict(call, x: int):
        seen.append((call.user, x, translation.get_language(), call.transport))
        return {"y": x}

    worker = work(predict, {"data": {"x": "3"}}, {"data": {"x": 4}, "user": "", "language": ""})
    assert worker.ran == 2
    assert site.said("answer") == [
        {"id": "t0", "claim": "c0", "result": {"y": 3}},
        {"id": "t1", "claim": "c1", "result": {"y": 4}},
    ]
    (first, second) = seen
    assert (first[0].pk, *first[1:]) == ("7", 3, "de", "http")
    assert isinstance(second[0], AnonymousUser)


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (Refused(409, "no"), {"code": 409, "message": "no"}),
        (Disconnect(), {"code": 403, "message": "permission denied"}),
        (Disconnect(reason="go"), {"code": 403, "message": "go"}),
        (RuntimeError("secret"), {"code": 500, "message": "internal error"}),
    ],
)
def test_what_the_function_raises(site, work, raised, error, caplog):
    def predict(call):
        raise raised

    work(predict, {"data": None})
    [answer] = site.said("answer")
    assert answer["error"] == error
    assert ("secret" in caplog.text) == isinstance(raised, RuntimeError)


def test_a_result_that_is_no_json_is_an_error(site, work):
    work(lambda call: object(), {"data": None})
    assert site.said("answer")[0]["error"]["code"] == 500


def test_progress_renews_the_lease_and_is_said_before_the_end(site, work):
    def predict(call):
        call.progress(0.5, "half")
        assert site.beaten.wait(10)
        call.progress(0.9, "nearly")
        return 1

    work(predict, {"data": None})
    told = [body for body in site.said("beat") if "progress" in body]
    assert (told[0]["progress"], told[0]["message"]) == (0.5, "half")
    assert (told[-1]["progress"], told[-1]["message"]) == (0.9, "nearly")
    assert [name for name, _ in site.asked][-1] == "answer"


def test_a_lease_is_renewed_without_a_word(site, work):
    def predict(call):
        assert site.beaten.wait(10)

    work(predict, {"data": None})
    assert site.said("beat")[0] == {"id": "t0", "claim": "c0"}


def test_a_request_that_is_another_s_ends_it(site, work):
    site.answers["beat"] = [Answer({"is_yours": False})] * 50

    def predict(call):
        call.progress(0.5)
        while True:
            call.check()

    work(predict, {"data": None})
    assert site.said("answer") == site.said("give_back") == []


@pytest.mark.parametrize("answer", [Answer(status=503), requests.ConnectionError("away")])
def test_a_beat_that_fails_ends_nothing(site, work, answer):
    site.answers["beat"] = [answer]

    def predict(call):
        call.progress(0.5)
        assert site.beaten.wait(10)
        call.check()
        return 1

    work(predict, {"data": None})
    assert site.said("answer")[0]["result"] == 1


def test_a_worker_that_is_refused_while_it_works_ends_its_request(site, work):
    site.answers["beat"] = [Answer(status=401)] * 50

    def predict(call):
        call.progress(0.5)
        while True:
            call.check()

    work(predict, {"data": None})
    assert site.said("answer") == []


def test_a_function_that_ends_its_process_gives_the_request_back(site, work):
    def predict(call):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(predict, {"data": None})
    assert site.said("give_back") == [{"id": "t0", "claim": "c0"}]


@pytest.mark.parametrize(
    "answer",
    [
        requests.ConnectionError("nobody listens"),
        Answer(status=502),
        Answer(text="<html>"),
        Answer(status=400, text="bad"),
        Answer([]),
    ],
)
def test_a_site_that_is_away_is_asked_again(site, work, answer, caplog):
    site.answers["claim"] = [answer, answer]
    work(lambda call: 1, {"data": None})
    assert site.said("answer")[0]["result"] == 1
    complaints = [r for r in caplog.records if "can't be claimed" in r.message]
    assert len(complaints) == (0 if answer.__class__ is Answer and answer.text == "[]" else 1)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_token_that_is_wrong_ends_it(site, work, status):
    site.answers["claim"] = [Answer(status=status, text="no")]
    with pytest.raises(Forbidden, match=f"{status} no"):
        work(lambda call: 1, {"data": None})


def test_an_answer_is_sent_again_while_the_lease_lasts(site, work):
    site.answers["answer"] = [Answer(status=502), requests.ConnectionError("away"), None]
    work(lambda call: 1, {"data": None})
    assert len(site.said("answer")) == 3


@pytest.mark.parametrize("answer", [Answer(status=502), Answer(status=413, text="too large")])
def test_an_answer_that_can_not_be_sent_is_given_up(site, work, answer, caplog):
    site.answers["answer"] = [answer] * 100_000
    with caplog.at_level(logging.ERROR):
        work(lambda call: 1, {"data": None})
    assert "can't be answered" in caplog.text
    assert ("too large" in caplog.text) == (answer.status_code == 413)


def test_a_worker_without_its_parent_ends(registry, site):
    responder("predict")(lambda call: 1)
    RemoteWorker(find_responder("predict"), URL, "the token", parent=1).run()
    assert site.asked == []


def test_a_cancelled_function_answers_nothing(site, work):
    def predict(call):
        raise Cancelled

    work(predict, {"data": None})
    assert site.said("answer") == []
