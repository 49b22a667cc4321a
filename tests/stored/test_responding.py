"""Declaring responders, and who may ask them; workers that keep their connections."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from instant import arequest, on_rpc, request, responder
from instant.deliveries import Stored
from instant.handlers import Cancelled, Refused
from instant.inbound.registry import find_handler
from instant.inbound.tickets import bells
from instant.models import Message, Ticket
from instant.namespaces import Namespace
from instant.stored import methods, waiting
from instant.stored.responding import METHOD
from instant.stored.worker import keep_connections
from instant.testing import answered_here, call_rpc, run_jobs
from tests.conftest import close_connections

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"priority": 101}, "priority="),
        ({"priority": "1"}, "priority="),
        ({"priority": True}, "priority="),
        ({"backlog": 0}, "backlog="),
        ({"backlog": 1.5}, "backlog="),
        ({"queue": "x"}, "queue"),
    ],
)
def test_what_a_responder_does_not_take(options, text):
    with pytest.raises((TypeError, ValueError), match=text):
        responder("predict", **options)


@pytest.mark.parametrize("name", ["", None, lambda call: 1])
def test_what_is_no_name(name):
    with pytest.raises(TypeError, match="such as 'predict'"):
        responder(name)


@pytest.mark.parametrize("name", ["a" * 57, "a b", "ä", "a:b"])
def test_a_name_that_no_queue_may_have_is_told_by_a_check(name):
    responder(name)(lambda call: 1)
    handler = find_handler("rpc", f"request:{name}")
    assert any("a responder has a name" in problem for problem in handler.problems())


def test_a_rule_may_be_async(make_user):
    async def may(call):
        return call.user.username == "ann"

    responder("predict", can=may)(lambda call: 1)
    with answered_here():
        assert request("predict", user=make_user("ann")) == 1
        with pytest.raises(Refused, match="permission denied"):
            request("predict", user=make_user("bob"))


def test_the_method_gets_the_session_where_a_responder_has_it():
    responder("one")(lambda call: 1)
    assert not find_handler("rpc", METHOD).session
    responder("two", session=True)(lambda call: 1)
    assert find_handler("rpc", METHOD).session


def test_policies_stand_before_and_behind_the_wait(make_user):
    """A rate is counted when somebody asks, and a timeout when it is answered."""
    responder("predict", rate="1/m", timeout=5)(lambda call: 1)
    ann = make_user("ann")
    call_rpc(ann, METHOD, {"name": "predict"})
    with pytest.raises(Refused) as refused:
        call_rpc(ann, METHOD, {"name": "predict"})
    assert refused.value.code == 429
    assert Ticket.objects.count() == 1


def test_an_answer_from_the_cache_needs_no_ticket(make_user):
    counted = []
    responder("predict", cache=60, shared=True)(lambda call: counted.append(1) or len(counted))
    with answered_here():
        first = request("predict")
        assert request("predict") == first
    assert len(counted) <= 2


@pytest.mark.django_db(transaction=True)
def test_nobody_answers_in_time(monkeypatch):
    """Neither for sync nor for async code; the ticket is cancelled, so that nobody will."""
    responder("predict")(lambda call: 1)

    async def ask():
        try:
            return await arequest("predict", timeout=0.01)
        finally:
            await sync_to_async(close_connections)()

    with pytest.raises(TimeoutError, match="within 0.01 s"):
        request("predict", timeout=0.01)
    with pytest.raises(TimeoutError, match="runworker predict"):
        asyncio.run(ask())
    assert {one.state for one in Ticket.objects.all()} == {"cancelled"}


@pytest.mark.django_db(transaction=True)
def test_async_code_that_is_cancelled_lets_nobody_work_for_it(monkeypatch):
    responder("predict")(lambda call: 1)
    asked = []
    real = waiting._Follower.look

    def look(follower):
        asked.append(1)
        return real(follower)

    monkeypatch.setattr(waiting._Follower, "look", look)

    async def ask():
        task = asyncio.ensure_future(arequest("predict", timeout=60))
        try:
            while not asked:
                await asyncio.sleep(0.001)
            task.cancel()
            await task
        finally:
            await sync_to_async(close_connections)()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ask())
    assert Ticket.objects.get().state == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_where_no_bell_can_be_hung_it_looks_all_the_same(monkeypatch):
    responder("predict")(lambda call: 7)
    monkeypatch.setattr(bells.Bell, "__enter__", lambda bell: bell)

    async def ask():
        try:
            return await arequest("predict")
        finally:
            await sync_to_async(close_connections)()

    with answered_here():
        assert asyncio.run(ask()) == 7


def test_a_request_whose_row_is_deleted_is_cancelled(monkeypatch):
    responder("predict")(lambda call: 1)
    monkeypatch.setattr(waiting, "run_jobs", lambda queue: Ticket.objects.all().delete())
    with answered_here(), pytest.raises(Cancelled, match="deleted"):
        request("predict")


def test_a_timeout_of_the_responder_is_no_timeout_of_the_request(monkeypatch):
    """504 of somebody who has begun is what they refuse; of nobody it is that nobody answered."""

    @responder("predict")
    def predict(call):
        raise Refused(504, "it took too long")

    with answered_here(), pytest.raises(Refused, match="took too long"):
        request("predict")

    def expired(queue):
        Ticket.objects.filter(state="queued").update(state="failed", code=504)

    monkeypatch.setattr(waiting, "run_jobs", expired)
    with answered_here(), pytest.raises(TimeoutError):
        request("predict")


def test_connections_are_kept_where_the_project_says_nothing(monkeypatch):
    saved = {name: connections[name].settings_dict["CONN_MAX_AGE"] for name in connections}
    try:
        connections["default"].settings_dict["CONN_MAX_AGE"] = 0
        connections["other"].settings_dict["CONN_MAX_AGE"] = None
        keep_connections()
        assert connections["default"].settings_dict["CONN_MAX_AGE"] == 60
        assert connections["other"].settings_dict["CONN_MAX_AGE"] is None
    finally:
        for name, age in saved.items():
            connections[name].settings_dict["CONN_MAX_AGE"] = age


def test_methods_of_stored_messages_are_there_where_something_is_stored(settings):
    on_rpc("x")(lambda call: 1)
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "sometimes"}}
    methods.declare()  # a check tells of the setting
    assert find_handler("rpc", "instant.outstanding") is None

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

    methods.declare()
    assert find_handler("rpc", "instant.outstanding") is not None


def test_refusals_of_the_methods(make_user, store):
    on_rpc("x")(lambda call: 1)
    store(MESSAGES="store")
    methods.declare()
    ann = make_user("ann")
    with pytest.raises(Refused) as refused:
        call_rpc(ann, "instant.acknowledge", {"ids": "x"})
    assert refused.value.code == 400
    with pytest.raises(Refused) as refused:
        call_rpc(ann, "instant.outstanding", {"channel": 7})
    assert refused.value.code == 400
    with pytest.raises(Refused) as refused:
        call_rpc(ann, "instant.outstanding", {"channel": "$nobodys"})
    assert refused.value.code == 403


def test_answers_for_visitors_are_not_stored(store):
    """Nobody could ask for them."""
    store(RESPONSES="store")
    responder("predict", anonymous=True)(lambda call: 1)
    call_rpc(None, METHOD, {"name": "predict"})
    assert run_jobs("request:predict") == 1
    assert Ticket.objects.get().state == "done"
    assert not Message.objects.exists()
