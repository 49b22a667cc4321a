"""``timeout=2.0``: what is answered, and what goes on behind it."""

import asyncio
import logging
import threading
import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone, translation

from instant import on_rpc
from instant.handlers import Policy, Proceed, Refused
from instant.inbound import deadline
from instant.tenancy import current as tenancy
from tests.inbound.policies.asking import refused

OUTSIDE = pytest.mark.django_db(transaction=True)
"""No transaction around the test, in which nothing is cut off."""


@pytest.fixture
def end():
    """What functions wait for that take too long; nothing of them is left behind."""
    event = threading.Event()
    yield event
    event.set()
    until(lambda: not deadline._overdue)
    until(lambda: not [t for t in threading.enumerate() if t.name == "instant-handler"])


def until(holds):
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


@OUTSIDE
def test_what_is_in_time(ask):
    @on_rpc("x", timeout=60)
    def function(call, a: int):
        return [a, threading.current_thread().name]

    @on_rpc("y", timeout=60)
    async def afunction(call, a: int):
        await asyncio.sleep(0)
        return a

    @on_rpc("z", timeout=60)
    def refusing(call):
        raise Refused(409)

    assert ask(function, {"a": 1}) == [1, "instant-handler"]
    assert ask(afunction, {"a": 2}) == 2
    assert refused(ask, refusing).code == 409


@OUTSIDE
def test_who_is_async_is_cancelled(ask):
    seen = []

    @on_rpc("x", timeout=1)
    async def function(call):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    found = refused(ask, function)
    assert (found.code, found.message, found.temporary) == (504, "took too long", False)
    assert seen == ["cancelled"]


@OUTSIDE
def test_who_is_not_goes_on_and_that_is_told(ask, end, caplog):
    @on_rpc("x", timeout=0.05)
    def function(call):
        end.wait(60)

    assert refused(ask, function).code == 504
    assert len(deadline._overdue) == 1
    end.set()
    until(lambda: "nobody waited for it any more" in caplog.text)
    assert "function" in caplog.text
    until(lambda: not deadline._overdue)


@OUTSIDE
@pytest.mark.parametrize("exc", [TimeoutError("a socket's"), KeyError("x")])
def test_what_the_function_raises_is_its_own(ask, exc):
    @on_rpc("x", timeout=60)
    def function(call):
        raise exc

    @on_rpc("y", timeout=60)
    async def afunction(call):
        raise exc

    for each in (function, afunction):
        with pytest.raises(type(exc)) as caught:
            ask(each)
        assert not isinstance(caught.value, deadline.OutOfTime)


@OUTSIDE
def test_it_has_connections_of_its_own_which_are_closed(ask):
    seen, closed = [], []

    @on_rpc("x", timeout=60)
    def function(call):
        own = connections["default"]
        real = own.close
        own.close = lambda: (closed.append(threading.current_thread().name), real())
        seen.append(own)
        return Group.objects.count()

    assert ask(function) == 0
    assert seen[0] is not connections["default"]
    assert closed == ["instant-handler"]


@OUTSIDE
def test_at_its_next_query_it_ends(ask, end, caplog):
    """And its transaction is rolled back."""
    raised, waiting = [], threading.Event()

    @on_rpc("x", timeout=1)
    def function(call):
        try:
            with transaction.atomic():
                Group.objects.create(name="late")
                with transaction.atomic():
                    waiting.set()
                    end.wait(60)
                    Group.objects.create(name="later")
        except OperationalError as exc:
            raised.append(exc)
            raise

    assert refused(ask, function).code == 504
    assert waiting.is_set()
    end.set()
    until(lambda: raised)
    until(lambda: not deadline._overdue)
    assert "took too long" in str(raised[0])
    assert not Group.objects.exists()


@OUTSIDE
def test_a_query_that_takes_too_long_is_cancelled(ask, end, caplog):
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT max(i) FROM (SELECT i FROM n LIMIT 10000000000)",
        "postgresql": "SELECT pg_sleep(60)",
    }
    if connection.vendor not in slow:
        pytest.skip("its queries can't be cancelled")
    began = time.monotonic()

    @on_rpc("x", timeout=0.2)
    def function(call):
        with connection.cursor() as cursor:
            cursor.execute(slow[connection.vendor])

    assert refused(ask, function).code == 504
    until(lambda: not deadline._overdue)
    assert time.monotonic() - began < 30
    until(lambda: "nobody waited for it any more: OperationalError" in caplog.text)


@OUTSIDE
def test_too_many_that_nobody_waits_for_are_refused(ask, end, monkeypatch, caplog):
    monkeypatch.setattr(deadline, "MOST_OVERDUE", 3)
    ran = []

    @on_rpc("x", timeout=0.01)
    def function(call):
        ran.append(1)
        end.wait(60)

    assert [refused(ask, function).code for _ in range(5)] == [504, 504, 504, 503, 503]
    until(lambda: len(ran) == 3)
    assert "too many calls run that nobody waits for" in caplog.text


@pytest.mark.django_db
def test_in_a_transaction_it_runs_there_and_isnt_cut_off(ask):
    """As tests with TestCase do, and views with ATOMIC_REQUESTS."""
    get_user_model().objects.create(username="ann")

    @on_rpc("x", timeout=0.001)
    def function(call):
        time.sleep(0.01)
        return get_user_model().objects.count()

    assert asked_in_this_thread(function) == 1


def asked_in_this_thread(function):
    from tests.inbound.policies.asking import caller, sync

    return caller(sync)(function)


@OUTSIDE
def test_it_is_in_the_callers_context(ask, monkeypatch):
    seen = []

    class Tenants:
        def current(self):
            return getattr(here, "tenant", "")

        def all(self):
            return ["acme"]

        def activate(self, name):
            seen.append(name)
            here.tenant = name
            return translation.override("de")

    here = threading.local()
    monkeypatch.setattr(tenancy, "tenants", Tenants())

    @on_rpc("x", timeout=60)
    def function(call):
        return [tenancy.current(), translation.get_language()]

    here.tenant = "acme"
    assert asked_in_this_thread(function) == ["acme", "de"]
    assert seen == ["acme"]


@OUTSIDE
def test_language_and_time_zone_are_the_callers(ask):
    @on_rpc("x", timeout=60)
    def function(call):
        return [translation.get_language(), timezone.get_current_timezone_name()]

    with translation.override("fr"), timezone.override("Asia/Tokyo"):
        assert ask(function) == ["fr", "Asia/Tokyo"]


class Notes(Policy):
    def __init__(self):
        self.seen = []

    def around(self, call, handler):
        try:
            return (yield Proceed())
        finally:
            self.seen.append("left")


@OUTSIDE
def test_policies_of_ones_own_are_left(ask, end):
    """Those that the call has entered already, whether the function is cancelled or goes on."""
    notes = Notes()

    @on_rpc("x", timeout=1, policies=[notes])
    async def afunction(call):
        await asyncio.sleep(60)

    @on_rpc("y", timeout=1, policies=[notes])
    def function(call):
        end.wait(60)

    assert refused(ask, afunction).code == 504
    assert notes.seen == ["left"]
    assert refused(ask, function).code == 504
    end.set()
    until(lambda: notes.seen == ["left"] * 2)


@OUTSIDE
def test_who_waits_may_be_cancelled(registry, end, caplog):
    """As Django does where the browser or the server has gone."""
    from instant.handlers import Call
    from instant.inbound.dispatch import arun
    from instant.inbound.registry import handlers
    from tests.inbound.policies.asking import ANN

    begun = threading.Event()

    @on_rpc("x", timeout=60)
    def function(call):
        begun.set()
        end.wait(60)

    async def leave():
        task = asyncio.ensure_future(arun(handlers()[0], Call(user=ANN, method="x")))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with caplog.at_level(logging.WARNING):
        asyncio.run(leave())
        end.set()
        until(lambda: "nobody waited for it any more" in caplog.text)


def test_what_cant_be_is_said():
    for seconds in (0, True, "2", -1, float("inf")):
        with pytest.raises(ValueError, match="A handler's timeout is a number of seconds"):
            on_rpc("x", timeout=seconds)
