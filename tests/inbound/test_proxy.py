"""Handlers behind the endpoints that the server asks at."""

import json
import logging
from dataclasses import dataclass

import pytest
from django.db import OperationalError
from django.test import Client, override_settings

from instant import Namespace, on_publish, on_rpc
from instant.centrifugo.proxy import HEADER
from instant.handlers import Disconnect, Refused

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]

SECRET = "proxy-secret-0123456789"
DENIED = {"error": {"code": 403, "message": "permission denied"}}


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


def ask(kind, user, *, secret=SECRET, **more):
    body = {
        "client": "c", "transport": "websocket", "protocol": "json", "encoding": "json",
        "user": user if isinstance(user, str) else str(user.pk), **more,
    }  # fmt: skip
    response = Client(raise_request_exception=False).post(
        f"/instant/proxy/{kind}/",
        json.dumps(body),
        content_type="application/json",
        headers={HEADER: secret},
    )
    assert response.status_code == 200
    assert len(response.json()) == 1
    return response.json()


def call(user, method, data=None, **more):
    return ask("rpc", user, method=method, data=data, **more)


def error(code, message):
    return {"error": {"code": code, "message": message}}


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
    assert (given.user, given.client, given.method) == (ann, "c", "cart.add")
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


def publish(user, channel, data):
    return ask("publish", user, channel=channel, data=data)


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

    assert publish(make_user("ann"), "room:1", {}) == DENIED
