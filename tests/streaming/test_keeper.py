"""The thread beside streams, with things to look after that a test holds."""

import threading
import time
from math import inf

import pytest
from django.db import DatabaseError

from instant.streaming import keeper as module
from instant.streaming.keeper import Keeper
from instant.streams import cancel, stream
from tests.streaming.conftest import abandoned

PATIENCE = 10


class Kept:
    """Something that is due until it was kept so many times."""

    def __init__(self, times=1, error=None):
        self.left, self.error, self.calls = times, error, 0
        self.done = threading.Event()

    def due(self):
        return 0.0 if self.left else inf

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
