"""Handlers behind the endpoints that the server asks at."""

import base64
import inspect
import json
import logging
import threading
from dataclasses import dataclass
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections
from django.test import AsyncClient, Client, override_settings
from django.urls import resolve

from instant import Namespace, on_publish, on_rpc
from instant.centrifugo.proxy import HEADER
from instant.handlers import Disconnect, Refused
from tests.inbound.asking import DENIED, SECRET, body, call, error, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


@dataclass
class Total:
    total: int


def test_a_call(make_user):
    seen = []

    @on_rpc("cart.add")
    def add(call, product: int, quantity: int = 1):
        seen.append(call)
        return Total(product * quantity)

    ann = make_user("ann")
    assert call(ann, "cart.add", {"product": 7}) == {"result": {"data": {"total": 7}}}
    [given] = seen
    assert (given.user, given.method) == (ann, "cart.add")
    assert given.client.startswith("c")
    assert (given.transport, given.data) == ("websocket", {"product": 7})
    assert call(ann, "cart.add", {"product": "x"}) == error(
        422, "product: Input should be a valid integer, unable to parse string as an integer"
    )
    assert call("", "cart.add", {"product": 7}) == error(401, "log in first")
    assert call(ann, "cart.ad") == error(404, "there is no such method")
    assert len(seen) == 1


def test_the_secret_comes_first(make_user):
    @on_rpc("x", anonymous=True)
    def handler(call):
        raise AssertionError

    for secret in ("", "another"):
        assert call("", "x", secret=secret) == DENIED


def test_what_a_handler_raises(make_user, caplog):
    raised = []

    @on_rpc("x", anonymous=True)
    def handler(call):
        raise raised.pop()

    def answered(exc):
        raised.append(exc)
        return call("", "x")

    assert answered(Refused(409, "sold out", temporary=True)) == {
        "error": {"code": 409, "message": "sold out", "temporary": True}
    }
    assert answered(Disconnect(4501, "bye")) == {"disconnect": {"code": 4501, "reason": "bye"}}
    assert not caplog.records
    assert answered(KeyError("secret detail")) == error(500, "internal error")
    assert answered(OperationalError("down"))["error"]["code"] == 503
    assert [r.levelno for r in caplog.records if r.name == "instant.proxy"] == [logging.ERROR] * 2


def test_an_answer_that_is_no_json_is_an_internal_error():
    @on_rpc("x", anonymous=True)
    def handler(call):
        return object()

    assert call("", "x") == error(500, "internal error")


@pytest.fixture
def room(registry):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"
        client_publish = "ask"

        def can_publish(self, user, pk):
            return pk == 1

    return Room


def test_what_a_page_publishes_is_seen_before_others_see_it(room, make_user):
    @on_publish(room)
    def moderate(call, pk):
        assert pk == 1
        if call.data["text"] == "spam":
            raise Refused(403, "no spam")
        call.data["text"] = call.data["text"][:5]
        return {"whole": "other"} if call.data["text"] == "other" else None

    ann = make_user("ann")
    assert publish(ann, "room:1", {"text": "hello world"}) == {
        "result": {"data": {"text": "hello"}}
    }
    assert publish(ann, "room:1", {"text": "other"}) == {"result": {"data": {"whole": "other"}}}
    assert publish(ann, "room:1", {"text": "spam"}) == error(403, "no spam")
    assert publish(ann, "room:2", {"text": "hello"}) == DENIED


def test_a_publication_is_checked_by_annotations(room, make_user):
    @on_publish("room:*")
    def moderate(call, text: str):
        return {"text": text.upper()}

    ann = make_user("ann")
    assert publish(ann, "room:1", {"text": "a"}) == {"result": {"data": {"text": "A"}}}
    assert publish(ann, "room:1", {"txt": "a"})["error"]["code"] == 422


def test_what_is_no_dict_is_not_published(room, make_user):
    @on_publish(room)
    def moderate(call, pk):
        return ["x"]

    assert publish(make_user("ann"), "room:1", {}) == error(500, "internal error")


# Who calls


def test_a_method_for_everybody_makes_no_query(make_user, django_assert_num_queries):
    @on_rpc("open", anonymous=True)
    def opened(call):
        return 1

    @on_rpc("who", anonymous=True)
    def who(call):
        return [call.user.username, call.user.is_authenticated, call.user == ann]

    ann = make_user("ann")
    with django_assert_num_queries(0):
        assert call(ann, "open") == call("", "open") == {"result": {"data": 1}}
        assert call("", "who") == {"result": {"data": ["", False, False]}}
    with django_assert_num_queries(1):
        assert call(ann, "who") == {"result": {"data": ["ann", True, True]}}


def test_whoever_is_gone_is_refused_where_they_are_looked_at(make_user):
    @on_rpc("who", anonymous=True)
    def who(call):
        return call.user.username

    @on_rpc("users")
    def users(call):
        raise AssertionError

    ann, bob = make_user("ann"), make_user("bob", is_active=False)
    gone = str(ann.pk)
    ann.delete()
    assert call(gone, "who") == call(gone, "users") == DENIED
    assert call(bob, "who") == {"result": {"data": ""}}  # deactivated: as a visitor
    assert call(bob, "users") == error(401, "log in first")


def test_where_visitors_may_not_connect_they_call_nothing(make_user):
    @on_rpc("open", anonymous=True)
    def opened(call):
        return 1

    bob = make_user("bob", is_active=False)
    with override_settings(INSTANT={"ANONYMOUS": False}):
        assert call("", "open") == call(bob, "open") == DENIED
        assert call(make_user("ann"), "open") == {"result": {"data": 1}}


@pytest.mark.django_db(transaction=True)
async def test_an_async_handler_reads_the_user_of_everybody(make_user, in_threads):
    @on_rpc("who", anonymous=True)
    async def who(call):
        return (await call.auser()).username

    ann = await get_user_model().objects.acreate(username="ann")
    assert await acall(ann, "who") == {"result": {"data": "ann"}}
    assert await acall("", "who") == {"result": {"data": ""}}
    assert await acall("4711", "who") == DENIED


# What is sent


def test_the_name_of_a_call_is_not_in_its_payload(room, make_user):
    seen = []

    @on_rpc("x")
    def handler(call, a: int = 0):
        seen.append((call.id, call.data))

    @on_publish(room)
    def moderate(call, pk):
        seen.append((call.id, call.data))

    ann = make_user("ann")
    call(ann, "x", {"a": 1, "instant:id": "Az_-9"})
    publish(ann, "room:1", {"a": 1, "instant:id": "1"})
    call(ann, "x", {"a": 1})
    assert seen == [("Az_-9", {"a": 1}), ("1", {"a": 1}), ("", {"a": 1})]
    for wrong in ("", "ü", "a" * 65, 1, None, "a\n"):
        assert call(ann, "x", {"instant:id": wrong})["error"]["code"] == 400
    assert len(seen) == 3


def test_methods_of_ours_are_no_patterns(make_user):
    @on_rpc("*")
    def everything(call):
        return call.method

    ann = make_user("ann")
    assert call(ann, "instant.ticket") == error(404, "there is no such method")
    assert call(ann, "instan.ticket") == {"result": {"data": "instan.ticket"}}


def test_a_binary_payload(make_user):
    @on_rpc("x")
    def handler(call, data):
        return data

    ann = make_user("ann")

    def binary(data):
        return call(ann, "x", b64data=base64.b64encode(data).decode())

    assert binary(b'{"a": 1}') == {"result": {"data": {"a": 1}}}
    assert binary(b"\xff\x00") == {"result": {"b64data": "/wA="}}
    assert call(ann, "x", b64data="no base64") == error(400, "bad request")


def test_bytes_are_no_answer_to_json(make_user):
    @on_rpc("x")
    def handler(call):
        return b"\xff"

    assert call(make_user("ann"), "x") == error(500, "internal error")


def test_a_large_body_is_not_read():
    @on_rpc("x", anonymous=True)
    def handler(call):
        raise AssertionError

    class Endless:
        def __init__(self):
            self.given = 0

        def read(self, size=-1):
            assert size > 0
            self.given += size
            return b"x" * size

        readline = read

        def close(self):
            pass

    endless = Endless()
    response = Client().generic(
        "POST", "/instant/proxy/rpc/", "",
        headers={HEADER: SECRET}, **{"wsgi.input": endless, "CONTENT_LENGTH": "900000000"},
    )  # fmt: skip
    assert response.json() == error(400, "bad request")
    assert endless.given == 0


# Transactions of ATOMIC_REQUESTS


@pytest.mark.django_db(transaction=True)
def test_what_refuses_rolls_back(make_user, settings):
    @on_rpc("x")
    def handler(call, fails: bool):
        get_user_model().objects.create(username=f"made-{fails}")
        if fails:
            raise Refused(409, "no")
        assert connection.in_atomic_block

    ann = make_user("ann")
    with patch.dict(connection.settings_dict, {"ATOMIC_REQUESTS": True}):
        assert call(ann, "x", {"fails": True}) == error(409, "no")
        assert call(ann, "x", {"fails": False}) == {"result": {"data": None}}
    names = get_user_model().objects.values_list("username", flat=True)
    assert sorted(names) == ["ann", "made-False"]


# As async views


async def acall(user, method, data=None, **more):
    response = await AsyncClient(raise_request_exception=False).post(
        "/instant/proxy/rpc/",
        json.dumps(body(user, method=method, data=data, **more)),
        content_type="application/json",
        headers={HEADER: SECRET},
    )
    assert response.status_code == 200
    return response.json()


async def test_an_async_handler_runs_on_the_loop(in_threads):
    @on_rpc("async", anonymous=True)
    async def on_loop(call):
        return threading.get_ident()

    @on_rpc("sync", anonymous=True)
    def in_a_thread(call):
        return threading.get_ident()

    here = threading.get_ident()
    assert (await acall("", "async"))["result"]["data"] == here
    assert (await acall("", "sync"))["result"]["data"] != here


async def test_what_an_async_handler_raises(in_threads, caplog):
    raised = []

    @on_rpc("x", anonymous=True)
    async def handler(call):
        raise raised.pop()

    async def answered(exc):
        raised.append(exc)
        return await acall("", "x")

    assert await answered(Refused(409, "sold out")) == error(409, "sold out")
    assert await answered(Disconnect(4501, "bye")) == {
        "disconnect": {"code": 4501, "reason": "bye"}
    }
    assert not caplog.records
    assert await answered(KeyError("secret detail")) == error(500, "internal error")
    assert "secret detail" in caplog.text


def test_a_thread_without_a_loop_gets_the_sync_view():
    assert not inspect.iscoroutinefunction(resolve("/instant/proxy/rpc/").func)


async def test_a_loop_gets_the_async_view():
    """Else a thread would be held while an async handler waits."""
    assert inspect.iscoroutinefunction(resolve("/instant/proxy/rpc/").func)


@pytest.mark.django_db(transaction=True)
async def test_the_async_view_bears_atomic_requests(in_threads):
    @on_rpc("async", anonymous=True)
    async def asynchronous(call):
        return 1

    @on_rpc("sync", anonymous=True)
    def sync(call):
        return connection.in_atomic_block

    # The settings of one thread's connection are those of all.
    with patch.dict(connections.settings["default"], {"ATOMIC_REQUESTS": True}):
        assert await acall("", "async") == {"result": {"data": 1}}
        assert await acall("", "sync") == {"result": {"data": True}}


@pytest.mark.parametrize("debug", [True, False])
def test_the_log_says_which_method_was_meant(debug, make_user, caplog):
    @on_rpc("cart.add")
    def add(call): ...

    @on_rpc("report.build", pool="heavy")
    def build(call): ...

    ann = make_user("ann")
    with override_settings(DEBUG=debug):
        for method in ("cart.ad", "nothing", "report.build"):
            assert call(ann, method) == error(404, "there is no such method")
    assert [r.getMessage() for r in caplog.records if r.name == "instant.handlers"] == debug * [
        "'cart.ad' was called, and no handler has that name. There is 'cart.add'.",
        "'nothing' was called, and no handler has that name. “manage.py handlers” lists those that were found.",
        "'report.build' was called, and belongs to the pool 'heavy': call 'heavy:report.build'.",
    ]


def test_the_log_names_the_handler_that_failed(make_user, caplog):
    @on_rpc("break")
    def fails(call):
        raise ValueError("inside")

    assert call(make_user("ann"), "break") == error(500, "internal error")
    [logged] = [r for r in caplog.records if r.name == "instant.proxy"]
    assert logged.getMessage().startswith("/instant/proxy/rpc/: tests.inbound.test_proxy.")
    assert "fails (" in logged.getMessage()
