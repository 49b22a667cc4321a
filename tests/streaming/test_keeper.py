"""The thread beside streams, with things to look after that a test holds."""

import threading
import time
from math import inf

import pytest
from django.db import DatabaseError

from instant.backends import replaced
from instant.backends.base import BaseBackend
from instant.exceptions import PublishError
from instant.streaming import keeper as module
from instant.streaming import rows
from instant.streaming.keeper import Keeper
from instant.streams import cancel, stream
from tests.streaming.conftest import abandoned, told

PATIENCE = 10


class Kept:
    """Something that is due until it was kept so many times."""

    def __init__(self, times=1, error=None):
        self.left, self.error, self.calls = times, error, 0
        self.done = threading.Event()

    def due(self):
        return 0.0 if self.left else inf

    def is_silent(self):
        return False

    def keep(self):
        self.calls += 1
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.left -= 1
        if not self.left:
            self.done.set()


@pytest.fixture
def keeper():
    return Keeper()


def ended(keeper, thread):
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert keeper._thread is None


def test_it_does_what_is_due_and_ends_with_the_last(keeper):
    one, two = Kept(3), Kept()
    keeper.watch(one)
    thread = keeper._thread
    keeper.watch(two)
    assert one.done.wait(PATIENCE)
    assert two.done.wait(PATIENCE)
    assert keeper._thread is thread
    later = Kept(0)
    keeper.watch(later)
    later.left = 1
    keeper.ring()
    assert later.done.wait(PATIENCE)
    for kept in (one, two, later, Kept()):
        keeper.forget(kept)
    ended(keeper, thread)
    keeper.watch(one)
    assert keeper._thread is not thread
    keeper.forget(one)


def test_a_thread_that_an_exception_has_ended_is_replaced(keeper):
    dead = threading.Thread(target=int)
    dead.start()
    dead.join()
    keeper._thread = dead
    one = Kept()
    keeper.watch(one)
    assert one.done.wait(PATIENCE)
    thread = keeper._thread
    keeper.forget(one)
    ended(keeper, thread)


@pytest.mark.parametrize("error", [DatabaseError("away"), ZeroDivisionError("ours")])
def test_what_fails_is_tried_again_and_holds_up_nobody(keeper, error, monkeypatch, caplog):
    monkeypatch.setattr(module, "_AGAIN", 0.05)
    one, two = Kept(error=error), Kept(5)
    keeper.watch(one)
    keeper.watch(two)
    assert one.done.wait(PATIENCE)
    assert two.done.wait(PATIENCE)
    assert one.calls == 2
    assert ("ZeroDivisionError" in caplog.text) is isinstance(error, ZeroDivisionError)
    thread = keeper._thread
    keeper.forget(one)
    keeper.forget(two)
    ended(keeper, thread)


def test_what_somebody_else_writes_just_now_costs_no_processor(keeper):
    class Busy(Kept):
        def keep(self):
            self.calls += 1

    one = Busy()
    keeper.watch(one)
    time.sleep(0.3)
    keeper.forget(one)
    assert one.calls <= 31


@pytest.mark.django_db
def test_a_stream_that_is_over_is_not_due():
    one = abandoned()
    assert one.due() < inf
    cancel("answer:1")
    one.keep()
    assert one.due() == inf
    assert not threading.enumerate()[-1].name.startswith("instant-streams")


@pytest.mark.django_db
def test_in_a_test_s_transaction_no_thread_meets_the_database():
    with stream("answer:1"):
        assert not [t for t in threading.enumerate() if t.name == "instant-streams"]


def silent(monkeypatch, *channels):
    """Return streams of which pages have heard nothing for long enough."""
    monkeypatch.setattr(rows, "SIGN", 0.0)
    found = [abandoned(channel=channel) for channel in channels]
    for one in found:
        one.keep()
    return found


@pytest.mark.django_db
def test_pages_hear_that_a_silent_writer_is_alive(captured, monkeypatch):
    one = abandoned()
    assert not one.is_silent()  # they have heard of it just now
    monkeypatch.setattr(rows, "SIGN", 0.0)
    assert one.is_silent()
    one.sign()
    assert told(captured)[2:] == [{"at": 4, "text": "", "alive": True}]
    monkeypatch.setattr(rows, "SIGN", 10.0)
    assert not one.is_silent()


@pytest.mark.django_db
def test_who_could_not_renew_the_lease_gives_no_sign(monkeypatch):
    [one] = silent(monkeypatch, "answer:1")
    monkeypatch.setattr(rows, "BEAT", 0.0)
    assert not one.is_silent()
    monkeypatch.setattr(rows, "BEAT", 10.0)
    assert one.is_silent()
    cancel("answer:1")
    one.keep()
    assert not one.is_silent()


@pytest.mark.django_db
def test_all_signs_of_a_process_are_one_request_of_which_no_history_knows(monkeypatch):
    requests = []

    class Keeping(BaseBackend):
        def send(self, envelopes):
            requests.append([(one.channels[0], one.passing, one.on_commit) for one in envelopes])

    found = silent(monkeypatch, "answer:1", "answer:2")
    with replaced(Keeping()):
        module._sign(found)
        module._sign([])
    assert requests == [[("answer:1", True, False), ("answer:2", True, False)]]


@pytest.mark.django_db
@pytest.mark.parametrize("error", [PublishError("away"), ZeroDivisionError("ours")])
def test_a_sign_that_fails_stops_nobody(monkeypatch, error, caplog):
    class Failing(BaseBackend):
        def send(self, envelopes):
            raise error

    found = silent(monkeypatch, "answer:1")
    with replaced(Failing()):
        module._sign(found)
    assert ("ZeroDivisionError" in caplog.text) is isinstance(error, ZeroDivisionError)


def test_the_thread_gives_signs(keeper):
    class Silent(Kept):
        def is_silent(self):
            return True

        def sign(self):
            self.done.set()

    one = Silent(0)
    keeper.watch(one)
    assert one.done.wait(PATIENCE)
    thread = keeper._thread
    keeper.forget(one)
    ended(keeper, thread)
