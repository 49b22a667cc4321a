"""Pages are told what they missed while the server was away."""

import json
import os
import threading

import pytest
from django.db import transaction

from instant import backends, publish
from instant.backends.centrifugo import CentrifugoBackend
from instant.exceptions import BatchError, PublishTimeout, ServerRefused, ServerUnreachable
from instant.publishing import loss_marks
from instant.publishing.loss_marks import LossMarks

PATIENCE = 60


class Server:
    """Takes envelopes, but for what its errors say; each attempt takes one of these."""

    def __init__(self):
        self.errors = []
        self.got = []
        self.attempts = threading.Semaphore(0)

    def send(self, envelopes):
        try:
            if self.errors and (error := self.errors.pop(0)):
                raise error
            for envelope in envelopes:
                envelope.mark("sent")
                self.got.append(
                    (sorted(envelope.channels), json.loads(envelope.body)["data"]["count"])
                )
        finally:
            self.attempts.release()

    def wait(self, count=1):
        for _ in range(count):
            assert self.attempts.acquire(timeout=PATIENCE)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(loss_marks, "_FIRST", 0.001)
    monkeypatch.setattr(loss_marks, "_LONGEST", 0.002)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def marks(server):
    made = LossMarks(server.send)
    yield made
    made.close()
    _join()


def _threads():
    return [t for t in threading.enumerate() if t.name == "instant-loss-marks"]


def _join():
    for thread in _threads():
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_each_channel_learns_how_many_it_missed(server, marks):
    server.errors = [ServerUnreachable("gone")] * 3
    marks.add(["a", "b"])
    server.wait()
    marks.add(["b"])
    server.wait(3)
    _join()
    told = {}
    for channels, count in server.got:
        told |= {channel: told.get(channel, 0) + count for channel in channels}
    assert told == {"a": 1, "b": 2}


def test_no_thread_is_left_and_another_loss_starts_one(server, marks):
    marks.add(["a"])
    server.wait()
    _join()
    assert not _threads()
    marks.add(["b"])
    server.wait()
    _join()
    assert server.got == [(["a"], 1), (["b"], 1)]


def test_a_server_that_does_not_answer_is_asked_again(server, marks):
    server.errors = [PublishTimeout("late")]
    marks.add(["a"])
    server.wait(2)
    _join()
    assert server.got == [(["a"], 1)]


def test_a_server_without_its_redis_is_asked_again(server, marks):
    server.errors = [BatchError("", errors=[ServerRefused("internal", code=100)])]
    marks.add(["a"])
    server.wait(2)
    _join()
    assert server.got == [(["a"], 1)]


def test_what_the_server_refuses_is_not_told_again(server, marks, caplog):
    server.errors = [BatchError("1 of 1 were refused")]
    marks.add(["unknown:a"])
    server.wait()
    _join()
    assert "1 of 1 were refused" in caplog.text
    assert server.got == []


def test_an_error_of_ours_is_logged_and_ends_nothing(server, marks, caplog):
    server.errors = [RuntimeError("what?")]
    marks.add(["a"])
    server.wait()
    _join()
    assert "what?" in caplog.text
    marks.add(["b"])
    server.wait()
    _join()
    assert server.got == [(["b"], 1)]


def test_what_is_kept_has_a_bound(server, marks, monkeypatch, caplog):
    monkeypatch.setattr(loss_marks, "MOST", 3)
    monkeypatch.setattr(loss_marks, "_FIRST", PATIENCE)
    marks.add(["a", "b", "c", "d", "e", "a"])
    assert marks._counts == {"a": 2, "b": 1, "c": 1}
    assert "the pages of 2 are not told" in caplog.text


def test_a_forked_process_tells_its_own_only(server, marks, monkeypatch):
    monkeypatch.setattr(loss_marks, "_FIRST", PATIENCE)
    marks.add(["a"])
    marks.close()
    monkeypatch.setattr(loss_marks, "_FIRST", 0.001)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    marks.add(["b"])
    server.wait()
    assert server.got == [(["b"], 1)]


class Unreachable(CentrifugoBackend):
    """Notes whom it is to tell."""

    error = ServerUnreachable("gone")

    def __init__(self):
        super().__init__()
        self.told = []

    def send(self, envelopes):
        raise self.error

    def tell_lost(self, channels):
        self.told += channels


@pytest.mark.django_db(transaction=True)
class TestWhatIsLost:
    def test_what_could_not_be_sent_after_the_commit_is_lost(self):
        with backends.replaced(backend := Unreachable()):
            with transaction.atomic():
                publish("a", data=1)
                publish("b", data=2)
            assert backend.told == ["a", "b"]

    def test_who_gets_an_error_may_publish_again_so_nothing_is_lost_yet(self):
        with backends.replaced(backend := Unreachable()):
            with pytest.raises(ServerUnreachable):
                publish("a", data=1)
            assert backend.told == []

    def test_what_the_server_refuses_is_no_loss_of_its_readers(self):
        with backends.replaced(backend := Unreachable()):
            backend.error = BatchError("refused")
            with transaction.atomic():
                publish("a", data=1)
            assert backend.told == []

    def test_a_backend_that_can_not_tell_breaks_no_commit(self, caplog, monkeypatch):
        def fail(self, channels):
            raise RuntimeError("no")

        monkeypatch.setattr(Unreachable, "tell_lost", fail)
        with backends.replaced(Unreachable()), transaction.atomic():
            publish("a", data=1)
        assert "pages are not told" in caplog.text
