"""Policies around each other, in every order."""

import asyncio
import itertools
import threading

import pytest

from instant import (
    before_send,
    on_connect,
    on_message,
    on_refresh,
    on_rpc,
    on_subscribe,
)
from instant.handlers import Refused
from instant.inbound.policies.cached import Cached
from instant.inbound.policies.once import Once
from instant.inbound.policies.rate import RateLimit
from instant.inbound.policies.timeout import Timeout
from instant.inbound.registry import handlers
from tests.inbound.policies.asking import refused
from tests.inbound.policies.test_timeout import OUTSIDE, until

POLICIES = {
    "rate": lambda: RateLimit("3/m"),
    "once": Once,
    "cache": lambda: Cached(60),
    "timeout": lambda: Timeout(60),
}
ORDERS = list(itertools.permutations(POLICIES))


def test_the_order_of_the_options_is_ours(registry):
    options = {"timeout": 1, "cache": 1, "once": True, "rate": "1/m", "policies": [Timeout(9)]}
    on_rpc("x", **options)(lambda call: None)
    said = [str(p) for p in handlers()[-1].policies]
    assert said == ["rate=1/m per user", "once", "cache=1", "timeout=1", "timeout=9"]


def test_what_is_queued_is_not_kept(registry):
    with pytest.raises(TypeError, match=r"cache= and queue="):
        on_rpc("x", cache=1, queue="q")
    assert not handlers()


@pytest.mark.parametrize("options", [{"rate": "1/m"}, {"policies": [Once()]}, {"pool": "heavy"}])
def test_the_others_say_that_they_take_none(registry, options):
    [name] = options
    for declare in (
        on_connect,
        on_refresh,
        lambda **given: on_subscribe("x", **given),
        lambda **given: on_message("x", **given),
        lambda **given: before_send("x", **given),
    ):
        with pytest.raises(TypeError, match=rf"takes no {name}="):
            declare(**options)
    with pytest.raises(TypeError, match="@on_connect stands without"):
        on_connect()
    assert not handlers()


def code_of(ask, function, data):
    """Return with what it is refused, or 0."""
    try:
        ask(function, data, id=str(data))
    except Refused as exc:
        return exc.code
    return 0


@OUTSIDE
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])
def test_every_order(ask, order, is_async):
    ran = []
    policies = [POLICIES[name]() for name in order]

    def function(call):
        ran.append(call.data)
        return {"ran": len(ran)}

    async def afunction(call):
        return function(call)

    declared = on_rpc("x", policies=policies)(afunction if is_async else function)
    counts_repeated = min(order.index("once"), order.index("cache")) > order.index("rate")

    first = ask(declared, 1, id="a")
    assert first == ask(declared, 1, id="a") == {"ran": 1}  # remembered
    assert ask(declared, 1, id="b") == {"ran": 1}  # kept
    if counts_repeated:
        assert refused(ask, declared, 1, id="a").code == 429
        assert ran == [1]
        return
    codes = [code_of(ask, declared, data) for data in range(2, 9)]
    assert codes == sorted(codes)
    assert set(codes) == {0, 429}
    assert len(ran) in {2, 3}
    if order[-1] == "rate" or order.index("rate") > order.index("cache"):
        assert ask(declared, 1, id="a") == {"ran": 1}  # it is answered before it is counted


@OUTSIDE
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_stampede_in_every_order(ask, order):
    begun, end = threading.Event(), threading.Event()
    ran, found = [], []

    @on_rpc("x", policies=[POLICIES[name]() for name in order])
    def function(call):
        ran.append(1)
        begun.set()
        end.wait(60)
        return "made"

    def call():
        try:
            found.append(ask(function, id="a"))
        except Exception as exc:
            found.append(exc.code)

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    begun.wait(60)
    end.set()
    for thread in threads:
        thread.join()
    assert len(ran) == 1
    assert found.count("made") >= 3
    assert set(found) <= {"made", 429}


@OUTSIDE
def test_a_timeout_is_remembered_so_that_nothing_runs_twice(ask):
    ended = threading.Event()
    ran = []

    @on_rpc("x", once=True, timeout=0.05)
    def function(call):
        ran.append(1)
        ended.wait(60)

    assert [refused(ask, function, id="a").code for _ in range(3)] == [504] * 3
    until(lambda: ran)
    ended.set()
    until(lambda: not [t for t in threading.enumerate() if t.name == "instant-handler"])
    assert ran == [1]


@OUTSIDE
def test_what_was_too_slow_is_not_kept(ask):
    waits = [60, 0]

    @on_rpc("x", cache=60, timeout=5)
    async def function(call):
        await asyncio.sleep(waits.pop(0))
        return "made"

    handlers()[0].policies[1].seconds = 0.05
    assert refused(ask, function).code == 504
    handlers()[0].policies[1].seconds = 60
    assert ask(function) == "made"
