"""A server that can't be reached: who asks it, who doesn't, and for how long."""

import asyncio
import threading
from contextlib import suppress

import pytest

from instant.centrifugo.api import breaker as module
from instant.centrifugo.api.breaker import Breaker
from instant.exceptions import (
    InvalidReply,
    PublishError,
    PublishTimeout,
    ServerNotAsked,
    ServerUnreachable,
)


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def told():
    return []


@pytest.fixture
def breaker(clock, told):
    return Breaker(
        "http://push", 3, lost=lambda error: told.append(type(error)), returned=told.append
    )


def ask(breaker, error=None, *, clock=None, seconds=0.0):
    with breaker.asking():
        if clock:
            clock.now += seconds
        if error:
            raise error


def fail(breaker, clock, times=1, *, seconds=0.0, error=ServerUnreachable):
    for _ in range(times):
        with pytest.raises(error) as info:
            ask(breaker, error("gone"), clock=clock, seconds=seconds)
        assert type(info.value) is error


def test_it_opens_after_so_many_failures_in_a_row(breaker, clock, told):
    fail(breaker, clock, 2)
    ask(breaker)
    fail(breaker, clock, 2, error=PublishTimeout)
    assert not breaker.is_open
    fail(breaker, clock, error=PublishTimeout)
    assert breaker.is_open
    assert told == [PublishTimeout]
    with pytest.raises(ServerNotAsked, match=r"http://push .* 3 times in a row.* runws"):
        ask(breaker)


def test_any_reply_closes_it(breaker, clock, told, caplog):
    fail(breaker, clock, 3)
    for _ in range(7):
        with pytest.raises(ServerNotAsked):
            ask(breaker)
    clock.now += 0.1
    with pytest.raises(InvalidReply):
        ask(breaker, InvalidReply("not Centrifugo"))
    assert (breaker.is_open, breaker.failures, breaker.not_asked) == (False, 0, 0)
    assert told == [ServerUnreachable, 7]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "7 calls failed meanwhile" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0.0001, 0.1), (0.01, 0.2), (0.1, 2.0), (1.0, 5.0), (60.0, 5.0)]
)
def test_the_pause_is_a_multiple_of_what_an_attempt_takes(breaker, clock, seconds, pause):
    fail(breaker, clock, 3, seconds=seconds)
    clock.now += pause - 0.001
    with pytest.raises(ServerNotAsked):
        ask(breaker)
    clock.now += 0.002
    fail(breaker, clock, seconds=seconds)  # tried
    with pytest.raises(ServerNotAsked):
        ask(breaker)


def test_one_at_a_time_tries(breaker, clock):
    fail(breaker, clock, 3)
    clock.now += 1
    with breaker.asking():
        for _ in range(3):
            with pytest.raises(ServerNotAsked):
                ask(breaker)
    ask(breaker)


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyboardInterrupt])
def test_an_attempt_that_is_given_up_leaves_the_turn_to_another(breaker, clock, end):
    fail(breaker, clock, 3)
    clock.now += 1
    with pytest.raises(end):
        ask(breaker, end())
    assert breaker.is_open
    ask(breaker)
    assert not breaker.is_open


def test_an_attempt_of_which_nothing_is_heard_holds_up_nobody_for_ever(breaker, clock):
    fail(breaker, clock, 3)
    clock.now += 1
    breaker.take_turn()  # by a thread that a fork has not
    clock.now += 61
    with pytest.raises(ServerNotAsked):
        ask(breaker)
    ask(breaker)
    assert not breaker.is_open


def test_it_never_opens_without_a_limit(clock):
    breaker = Breaker("http://push", None)
    fail(breaker, clock, 100)
    assert not breaker.is_open


def test_of_many_threads_one_tries(clock):
    breaker = Breaker("http://push", 1)
    fail(breaker, clock)
    clock.now += 1
    tried, barrier = [], threading.Barrier(8)

    def work():
        barrier.wait(60)
        with suppress(PublishError), breaker.asking():
            tried.append(1)
            raise ServerUnreachable("still gone")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(tried) == 1
