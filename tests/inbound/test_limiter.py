"""At most so many in any period, by the clock and in every cache that Django brings."""

import time

import pytest
from django.core.cache import caches
from django.test import override_settings

from instant.conf.throttle import Rate
from instant.inbound.limiter import Full, KeepsNothing, Limit, cache_key
from tests.views.test_login_throttle_counts import BACKENDS, cache  # noqa: F401  a fixture

BASE = 1_000_000_020.0
"""The beginning of a period of 60 seconds."""


@pytest.fixture
def clock(monkeypatch):
    now = [BASE]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


@pytest.fixture
def memory():
    with override_settings(CACHES={"default": BACKENDS["memory"]}):
        yield caches["default"]
        caches["default"].clear()


def limit(store, times=3, seconds=60, name="x"):
    return Limit(store, cache_key("test", name), Rate(times, seconds))


def taken(found):
    """Take till it is full; return how many that were, and the wait."""
    for count in range(2000):
        try:
            found.take()
        except Full as exc:
            return count, exc.retry_after
    raise AssertionError("never full")


@pytest.mark.parametrize("times", [1, 3, 16, 17, 100])
def test_no_more_than_so_many(cache, times):  # noqa: F811
    count, wait = taken(limit(cache, times))
    assert count == times
    assert 1 <= wait <= 60
    assert taken(limit(cache, times, name="y"))[0] == times


def test_they_end_one_by_one(memory, clock):
    clock(50)
    limit(memory).take()
    clock(20)  # another period of the clock
    assert taken(limit(memory)) == (2, 40)
    clock(39.9)
    assert taken(limit(memory)) == (0, 1)
    clock(0.2)
    assert taken(limit(memory)) == (1, 20)


def test_in_no_window_are_more(memory, clock):
    """Whenever they come."""
    passed = []
    for step in range(2000):
        clock(0.37 + step % 7 / 10)
        try:
            limit(memory, 5, 10).take()
        except Full:
            continue
        passed.append(time.time())
    assert len(passed) > 500
    assert all(later - first >= 10 for first, later in zip(passed, passed[5:], strict=False))


def test_what_is_given_back_is_free(memory):
    found = limit(memory)
    keys = [found.take() for _ in range(3)]
    found.give_back(keys[1])
    assert taken(found)[0] == 1
    found.forget()
    assert not found.is_held()
    assert taken(found)[0] == 3


def test_what_is_renewed_is_held_on(memory, clock):
    found = limit(memory, 1, 10)
    key = found.take()
    for _ in range(10):
        clock(7)
        key = found.renew(key)
        assert taken(found)[0] == 0
    clock(10.1)
    assert taken(found)[0] == 1


@pytest.mark.parametrize("jump", [-86_400, -3, 3, 86_400])
def test_a_clock_that_jumps_locks_nobody_out(memory, clock, jump):
    assert taken(limit(memory))[0] == 3
    clock(jump)
    count, wait = taken(limit(memory))
    assert count == (0 if abs(jump) == 3 else 3)
    assert 1 <= wait <= 60
    clock(64)
    assert taken(limit(memory))[0] == 3


def test_one_that_looked_in_the_last_period_gives_back(memory, clock, monkeypatch):
    """The other may have looked already, and not seen it."""
    found = limit(memory, 1)
    real = memory.add
    periods = []

    def late(key, *args):
        periods.append(key.rpartition(":")[2])
        if len(periods) == 1:
            clock(60)
            real(f"{found.name}:0:{int(time.time() // 60)}", time.time() + 60, 121)
        return real(key, *args)

    monkeypatch.setattr(type(memory), "add", lambda self, *args: late(*args))
    with pytest.raises(Full):
        found.take()
    assert len(periods) == 1
    assert len(memory._cache) == 1


def test_a_cache_that_keeps_nothing_is_told():
    dummy = {"default": {"BACKEND": "tests.views.test_login_throttle_counts.Forgetful"}}
    with override_settings(CACHES=dummy), pytest.raises(KeepsNothing):
        limit(caches["default"]).take()


def test_others_who_take_and_give_back_in_between_are_no_broken_cache(memory, monkeypatch):
    """Each time that one looks the slot is free, and each time somebody else is faster."""
    found = limit(memory, 1)
    real, faster = memory.add, [True] * 20

    def late(key, *args):
        if key.count(":") == found.name.count(":") + 2 and faster and faster.pop():
            return False
        return real(key, *args)

    monkeypatch.setattr(type(memory), "add", lambda self, *args: late(*args))
    assert found.take()
    assert faster == []
    found.forget()
    faster.extend([True] * 1000)
    with pytest.raises(Full) as full:
        found.take()
    assert full.value.retry_after == 1


def test_keys_suit_every_cache(memory, recwarn):
    key = cache_key("test", "\0 é\n" * 1000, "ﷺ")
    Limit(memory, key, Rate(1000, 86_400)).take()
    [found] = memory._cache
    assert len(found) < 200
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
    assert cache_key("test", "a", "b") != cache_key("test", "ab") != cache_key("other", "ab")
