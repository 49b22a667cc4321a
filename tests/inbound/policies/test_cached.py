"""``cache=30``: whose answer is whose, and how often it is made."""

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace

import pytest
from asgiref.sync import ThreadSensitiveContext
from django.db import transaction
from django.test import override_settings
from django.utils import translation

from instant import on_publish, on_rpc
from instant.handlers import Call, Refused
from instant.inbound import lease, limiter
from instant.inbound.dispatch import arun, run
from instant.inbound.registry import handlers
from tests.inbound.policies.asking import ANN, BOB, NOBODY, caller, refused, sync


class Count:
    """A function that says how often it has run."""

    def __init__(self, **options):
        self.ran = 0

        @on_rpc("x", anonymous=True, **options)
        def function(call, **arguments):
            self.ran += 1
            return self.ran

        self.function = function


def test_it_is_made_once_for_each_user_and_payload(ask):
    count = Count(cache=30)
    assert [ask(count.function, {"a": 1, "b": 2}) for _ in range(3)] == [1, 1, 1]
    assert ask(count.function, {"b": 2, "a": 1}) == 1
    assert ask(count.function, {"a": 1}) == 2
    assert ask(count.function, {"a": 1.0}) == 3
    assert ask(count.function, {"a": "1"}) == 4
    assert ask(count.function, {"a": 1, "b": 2}, user=BOB) == 5
    assert ask(count.function, {"a": 1, "b": 2}, user=NOBODY, client="x") == 6
    assert ask(count.function, {"a": 1, "b": 2}, user=NOBODY, client="y") == 6
    with translation.override("de"):
        assert ask(count.function, {"a": 1, "b": 2}) == 7


def test_each_tenant_has_its_own(ask, monkeypatch):
    count = Count(cache=30)
    seen = []
    for tenant in ("acme", "globex", "acme"):
        monkeypatch.setattr("instant.tenancy.current.current", lambda name=tenant: name)
        seen.append(ask(count.function))
    assert seen == [1, 2, 1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_what_is_rolled_back_is_not_kept(registry, commits, monkeypatch):
    count = Count(cache=30)
    ask = caller(sync)
    with transaction.atomic():
        assert ask(count.function) == 1
        [held] = lease._keeper._held  # others wait for the commit
        transaction.set_rollback(not commits)
    assert held not in lease._keeper._held
    now = time.time()
    monkeypatch.setattr(limiter.time, "time", lambda: now + lease.SECONDS + 1)
    assert ask(count.function) == (1 if commits else 2)


def test_methods_of_one_pattern_are_different(ask):
    @on_rpc("report.*", cache=30)
    def function(call):
        return call.method

    [handler] = handlers()
    assert [run(handler, Call(user=ANN, method=f"report.{m}")) for m in "aba"] == [
        "report.a", "report.b", "report.a",
    ]  # fmt: skip


def test_shared_is_for_all_users(ask):
    count = Count(cache=30, shared=True)
    assert [ask(count.function, user=u) for u in (ANN, BOB, NOBODY)] == [1, 1, 1]
    assert ask(count.function, {"a": 1}) == 2


def test_it_varies_by_more(ask):
    count = Count(cache=30, vary=("user", "client", lambda call: call.meta.get("shop")))
    assert [ask(count.function, client=c) for c in "aba"] == [1, 2, 1]
    assert [ask(count.function, client="a", meta={"shop": s}) for s in (7, 8, 7)] == [3, 4, 3]


def test_by_the_session_where_the_handler_has_it(ask):
    count = Count(cache=30, session=True)
    sessions = [SimpleNamespace(session_key=key) for key in "aba"]
    assert [ask(count.function, user=NOBODY, session=s) for s in sessions] == [1, 2, 1]


def test_rights_are_asked_before(ask):
    """Who has lost the right doesn't get what was made when they had it."""
    allowed = [True]

    @on_rpc("x", can=lambda call: allowed[0], cache=30, shared=True)
    def function(call):
        return "secret"

    assert ask(function) == "secret"
    allowed[0] = False
    assert refused(ask, function).code == 403


def test_exceptions_are_not_kept(ask):
    raised = [Refused(409), KeyError("x")]

    @on_rpc("x", cache=30)
    def function(call):
        if raised:
            raise raised.pop(0)
        return "made"

    assert refused(ask, function).code == 409
    with pytest.raises(KeyError):
        ask(function)
    assert ask(function) == ask(function) == "made"


def test_answers_are_json_for_the_first_too(ask, memory):
    @dataclass
    class Day:
        day: date

    @on_rpc("x", cache=30)
    def function(call):
        return [Day(date(2026, 1, 2)), None]

    @on_rpc("y", cache=30)
    def nothing(call):
        return None

    @on_rpc("z", cache=30)
    def no_json(call):
        return object()

    assert ask(function) == ask(function) == [{"day": "2026-01-02"}, None]
    assert ask(nothing) is ask(nothing) is None
    for _ in range(2):
        with pytest.raises(TypeError):
            ask(no_json)
    kept = [memory.get(key.split(":", 2)[2]) for key in memory._cache]
    assert sorted(kept) == ['[{"day": "2026-01-02"}, null]', "null"]  # and no lease


def test_it_ends(ask, memory, monkeypatch):
    count = Count(cache=30)
    now = [1e9]
    monkeypatch.setattr("time.time", lambda: now[0])
    assert ask(count.function) == 1
    now[0] += 29
    assert ask(count.function) == 1
    now[0] += 2
    assert ask(count.function) == 2


def test_a_stampede_is_one_call(ask):
    begun, end = threading.Event(), threading.Event()
    ran, found = [], []

    @on_rpc("x", cache=30)
    def function(call):
        ran.append(1)
        begun.set()
        end.wait(60)
        return len(ran)

    threads = [threading.Thread(target=lambda: found.append(ask(function))) for _ in range(20)]
    for thread in threads:
        thread.start()
    begun.wait(60)
    end.set()
    for thread in threads:
        thread.join()
    assert found == [1] * 20


def test_what_another_has_just_made_is_taken(ask, monkeypatch):
    """Between looking for the answer and being the one who may make it."""
    count = Count(cache=30)
    real = lease.take
    made = []

    def take(alias, name):
        if not made:
            made.append(1)
            assert caller(sync)(count.function) == 1
        return real(alias, name)

    monkeypatch.setattr(lease, "take", take)
    assert ask(count.function) == 1
    assert not lease._keeper._held


def test_who_is_cancelled_leaves_it_to_another_at_once(registry):
    """As Django cancels a view whose client has gone."""
    begun = asyncio.Event()

    @on_rpc("x", cache=30)
    async def function(call):
        if not begun.is_set():
            begun.set()
            await asyncio.sleep(60)
        return "made"

    async def ask():
        async with ThreadSensitiveContext():
            return await arun(handlers()[0], Call(user=ANN, method="x"))

    async def leave():
        first = asyncio.ensure_future(ask())
        await begun.wait()
        second = asyncio.ensure_future(ask())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.wait_for(second, lease.SECONDS / 2)

    assert asyncio.run(leave()) == "made"
    assert not lease._keeper._held


def test_who_waits_too_long_is_refused(ask, monkeypatch):
    monkeypatch.setattr("instant.inbound.policies.alone.PATIENCE", 0.05)
    begun, end = threading.Event(), threading.Event()

    @on_rpc("x", cache=30)
    def function(call):
        begun.set()
        end.wait(60)

    thread = threading.Thread(target=ask, args=[function])
    thread.start()
    begun.wait(60)
    found = refused(ask, function)
    end.set()
    thread.join()
    assert (found.code, found.temporary) == (503, True)


@pytest.mark.parametrize("kind", ["Broken", "Forgetful"])
def test_where_the_cache_fails_it_is_made(ask, caplog, kind):
    count = Count(cache=30)
    caches = {"default": {"BACKEND": f"tests.views.test_login_throttle_counts.{kind}"}}
    with override_settings(CACHES=caches):
        assert [ask(count.function) for _ in range(3)] == [1, 2, 3]
    assert "x is computed" in caplog.text


def test_odd_payloads_have_keys(ask):
    count = Count(cache=30)
    odd = [{"a": "\ud800"}, {"é\0\n": "ﷺ" * 9999}, {"a": [1e308, -0.0, None]}, {"": {}}]
    assert [ask(count.function, data) for data in odd * 2] == [1, 2, 3, 4] * 2


def test_what_cant_be_is_said(ask):
    for seconds in (0, -1, True, "30", 10**9, float("nan")):
        with pytest.raises(ValueError, match="A handler's cache is a number of seconds"):
            on_rpc("x", cache=seconds)
    with pytest.raises(ValueError, match="not 'users'"):
        on_rpc("x", cache=30, vary=("users",))
    with pytest.raises(ValueError, match="with shared= all have the same"):
        on_rpc("x", cache=30, vary=("user", "client"), shared=True)
    with pytest.raises(TypeError, match="has cache= too"):
        on_rpc("x", shared=True)
    on_rpc("y", cache=30, vary="session")(lambda call: None)
    on_publish("z", cache=30)(lambda call: None)
    found = [" ".join(h.problems()) for h in handlers()]
    assert "doesn't ask for it (session=True)" in found[0]
    assert "for methods that return an answer" in found[1]
    assert str(handlers()[0].policies[0]) == "cache=30"
