"""Calls over gRPC: who may, what goes in, what comes out."""

import asyncio
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import grpc
import pytest
from django.contrib.auth import get_user_model
from django.core.signals import request_finished, request_started
from django.db import OperationalError, connection
from django.utils import translation

from instant import on_rpc
from instant.handlers import Disconnect, Refused
from instant.inbound.rpc_server.messages import CallRequest
from instant.inbound.rpc_server.servicer import status_of
from tests.inbound.rpc_server.conftest import ANN, of
from tests.tenancy import fake

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def ann(make_user):
    return make_user("ann")


def test_a_call(call, ann):
    seen = []

    @on_rpc("cart.add")
    def add(call, product: int, quantity: int = 1):
        seen.append(call)
        return {"total": product * quantity}

    assert call("cart.add", {"product": 7}) == {"total": 7}
    [given] = seen
    assert (given.user, given.transport, given.client, given.id) == (ann, "grpc", "", "")
    assert given.data == {"product": 7}
    assert type(given.data["product"]) is int
    assert given.headers["authorization"] == "Bearer ann"
    assert call.refused("cart.ad") == (
        "NOT_FOUND", "there is no such method", {"instant-code": "404"},
    )  # fmt: skip
    status, text, trailing = call.refused("cart.add", {"product": "x"})
    assert (status, trailing["instant-code"]) == ("INVALID_ARGUMENT", "422")
    assert text.startswith("product: Input should be")
    assert '{"product": "Input should' in trailing["instant-fields"]
    assert len(seen) == 1


@pytest.mark.parametrize("metadata", [
    (), (("authorization", "Bearer nobody"),), (("authorization", "Basic YW5uOnB3"),),
    (("cookie", "token=ann"),), (("authorization", "Bearer ann"), ("authorization", "Bearer ann")),
    (("x-api-key", "ann"),), (("remote-user", "ann"),), (("remote_user", "ann"),), (("authorization-bin", b"Bearer ann"),),
])  # fmt: skip
def test_without_credentials_nobody_calls_anything(call, metadata):
    @on_rpc("x", anonymous=True)
    def handler(call):
        raise AssertionError

    assert call.refused("x", metadata=metadata)[0] == "UNAUTHENTICATED"
    # Nor is anybody told what there is.
    assert call.refused("y", metadata=metadata)[0] == "UNAUTHENTICATED"
    with pytest.raises(grpc.RpcError) as caught:
        call.raw(b"\xff", metadata)
    assert of(caught.value)[0] == "UNAUTHENTICATED"


def test_one_header_does_not_pass_for_another(call):
    """What a proxy sets, and takes away from callers, under the name that Python gives both."""

    @on_rpc("x")
    def handler(call):
        return dict(call.headers)

    found = call(
        "x", metadata=(*ANN, ("x_real_ip", "10.0.0.1"), ("x-other", "a"), ("x-other", "b"))
    )
    assert "X-Real-Ip" not in found
    assert found["X-Other"] == "a,b"


def test_an_inactive_user_is_nobody(call):
    @on_rpc("x", anonymous=True)
    def handler(call):
        raise AssertionError

    get_user_model().objects.update(is_active=False)
    assert call.refused("x")[0] == "UNAUTHENTICATED"


def test_rights(call):
    @on_rpc("x", can="auth.view_user")
    def handler(call):
        raise AssertionError

    assert call.refused("x", {"not": "read"})[:2] == ("PERMISSION_DENIED", "permission denied")


def test_an_authenticator_that_fails(serve, settings, caplog):
    _, call = serve()
    settings.INSTANT = {
        **settings.INSTANT, "AUTHENTICATION": ["tests.views.authenticators.buggy"],
    }  # fmt: skip
    assert call.refused("x")[:2] == ("INTERNAL", "internal error")
    assert "secret-in-a-bug" in caplog.text


def test_what_a_handler_raises(call, caplog):
    raised = []

    @on_rpc("x")
    def handler(call):
        raise raised.pop()

    def answered(exc):
        raised.append(exc)
        status, text, trailing = call.refused("x")
        return status, text, trailing["instant-code"], trailing.get("retry-after")

    assert answered(Refused(409, "sold out")) == ("ABORTED", "sold out", "409", None)
    assert answered(Refused(429, "wait", temporary=True, retry_after=7)) == (
        "RESOURCE_EXHAUSTED", "wait", "429", "7",
    )  # fmt: skip
    assert answered(Refused(1001, "own")) == ("FAILED_PRECONDITION", "own", "1001", None)
    assert answered(Refused(403, "é" * 9000))[1] == "é" * 1024
    assert answered(Refused(422, "all", fields={"f": "x" * 9000}))[0] == "INVALID_ARGUMENT"
    assert answered(Disconnect())[0] == "PERMISSION_DENIED"
    assert not caplog.records
    assert answered(KeyError("secret")) == ("INTERNAL", "internal error", "500", None)
    assert answered(OperationalError("down"))[::2] == ("UNAVAILABLE", "503")
    assert len(caplog.records) == 2


def test_statuses():
    assert status_of(401) is grpc.StatusCode.UNAUTHENTICATED
    assert status_of(599) is grpc.StatusCode.FAILED_PRECONDITION


def test_the_name_of_a_call(call):
    @on_rpc("x")
    def handler(call, **more):
        return [call.id, more]

    assert call("x", {"a": 1}, call_id="n-1") == ["n-1", {"a": 1}]
    assert call("x", {"a": 1, "instant:id": "n-2"}) == ["n-2", {"a": 1}]
    assert call("x") == ["", {}]
    assert call.refused("x", call_id="n 1")[0] == "INVALID_ARGUMENT"
    assert call.refused("x", {"instant:id": 7})[0] == "INVALID_ARGUMENT"


def test_numbers(call):
    @on_rpc("x")
    def handler(call, data):
        return [data, 2**53, 2**53 + 1, -(2**60), 1.5, True, None, "x", [], {}]

    given = {"n": 7, "f": 7.5, "most": 2**53, "l": [{"o": None}], "b": False}
    echoed, *rest = call("x", given)
    assert echoed == given
    # What a double can't tell from its neighbours is a string, both ways.
    assert rest == [2**53, str(2**53 + 1), str(-(2**60)), 1.5, True, None, "x", [], {}]
    for wrong in (2.0**53 * 2, -1e300):
        status, text, _ = call.refused("x", {"order": {"ids": [1, wrong]}})
        assert (status, text.split(":")[0]) == ("INVALID_ARGUMENT", "order.ids.1")
    assert call("x", {"id": str(2**60)})[0] == {"id": str(2**60)}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_has_not(call, number):
    @on_rpc("x")
    def handler(call, data):
        raise AssertionError

    request = CallRequest(method="x")
    request.data.fields["n"].number_value = number
    with pytest.raises(grpc.RpcError) as caught:
        call.raw(request.SerializeToString())
    assert of(caught.value)[:2] == ("INVALID_ARGUMENT", "n: a number must be finite")


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x02\xff\xfe", b"\x12\xff\xff\xff\xff\x0f", b"x" * 100])  # fmt: skip
def test_what_is_no_message_of_ours(call, body, caplog):
    with pytest.raises(grpc.RpcError) as caught:
        call.raw(body)
    assert of(caught.value)[0] in {"INVALID_ARGUMENT", "NOT_FOUND"}
    assert not caplog.records


def test_a_message_that_is_too_large(call):
    with pytest.raises(grpc.RpcError) as caught:
        call.raw(call.request("x", {"text": "x" * 65_536}))
    assert of(caught.value)[0] == "RESOURCE_EXHAUSTED"


def test_another_service(serve):
    server, _ = serve()
    with grpc.insecure_channel(server.where) as channel:
        for path in ("/instant.v1.Gateway/Other", "/x.Y/Call"):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"", metadata=ANN, timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_deadline_ends_an_async_function(call):
    ended = threading.Event()

    @on_rpc("x")
    async def handler(call):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise

    assert call.refused("x", timeout=0.3)[0] == "DEADLINE_EXCEEDED"
    assert ended.wait(10)


def test_a_function_that_is_not_async_ends_by_itself_and_its_caller_waits_no_longer(serve):
    server, call = serve()
    go_on, ended = threading.Event(), threading.Event()

    @on_rpc("x")
    def handler(call):
        go_on.wait(20)
        ended.set()

    assert call.refused("x", timeout=0.3)[0] == "DEADLINE_EXCEEDED"
    assert server.servicer.running == 1
    go_on.set()
    assert ended.wait(10)


def test_more_calls_than_may_wait_are_refused(serve):
    _, call = serve(threads=1, waiting=1)
    started, go_on = threading.Event(), threading.Event()

    @on_rpc("x")
    def handler(call):
        started.set()
        go_on.wait(20)
        return 1

    def outcome(_):
        try:
            return call("x")
        except grpc.RpcError as exc:
            return exc.code().name

    with ThreadPoolExecutor(6) as clients:
        calls = [clients.submit(outcome, n) for n in range(6)]
        assert started.wait(10)
        # One is answered and one waits; whoever is refused is told at once.
        done, _ = wait(calls, timeout=10, return_when=FIRST_COMPLETED)
        refused = {one.result() for one in done}
        go_on.set()
        assert refused == {"RESOURCE_EXHAUSTED"}
        assert {one.result(20) for one in calls} == {1, "RESOURCE_EXHAUSTED"}


def test_a_call_is_a_request_to_django(call):
    """Connections to databases and caches are closed, and queries forgotten, as for a request."""
    told = []

    def note(signal, **_):
        told.append((signal, threading.get_ident()))

    @on_rpc("x")
    def handler(call):
        note(None)
        translation.activate("de")

    @on_rpc("y")
    def language(call):
        return translation.get_language()

    request_started.connect(note)
    request_finished.connect(note)
    try:
        call("x")
    finally:
        request_started.disconnect(note)
        request_finished.disconnect(note)
    signals, threads = zip(*told, strict=True)
    assert signals == (request_started, None, request_finished)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    # And what it has changed in its context is not the next one's.
    assert {call("y") for _ in range(20)} == {"en"}


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_requests_is_none_here(call):
    @on_rpc("x")
    def handler(call):
        return connection.in_atomic_block

    assert call("x") is False


def test_a_tenants_caller(serve, settings):
    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.tenancy.fake.ContextTenants"}
    _, call = serve()

    @on_rpc("x")
    def handler(call):
        return fake.CURRENT.get()

    assert call("x", metadata=(*ANN, ("instant-tenant", "acme"))) == "acme"
    for name, status in [("nobody", "UNAUTHENTICATED"), ("a b", "INVALID_ARGUMENT"), ("", "INVALID_ARGUMENT")]:  # fmt: skip
        assert call.refused("x", metadata=(*ANN, ("instant-tenant", name)))[0] == status
    assert call.refused("x")[0] == "INVALID_ARGUMENT"
    # Without a tenant nobody's credentials are looked at: they would be those of another's user.
    assert call.refused("x", metadata=(("instant-tenant", "acme"),))[0] == "UNAUTHENTICATED"


def test_under_load_nothing_is_left(serve):
    server, call = serve(threads=4)

    @on_rpc("x")
    async def handler(call, n: int):
        return n

    @on_rpc("y")
    def query(call):
        return get_user_model().objects.count()

    def work(n):
        return call("x", {"n": n}) if n % 2 else call("y")

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(work, range(400)))
    assert answers == [n if n % 2 else 1 for n in range(400)]
    assert server.servicer.running == 0
    assert len(server._pool._threads) <= 4


def test_where_the_caller_is(serve, settings):
    on_rpc("where")(lambda call: call.address)
    _, call = serve()
    forwarded = (*ANN, ("x-forwarded-for", "192.0.2.7"))
    assert call("where", metadata=forwarded) == "127.0.0.1"
    settings.INSTANT = {**settings.INSTANT, "TRUSTED_PROXIES": ["127.0.0.1"]}
    assert call("where", metadata=forwarded) == "192.0.2.7"


def test_where_the_credentials_can_not_be_looked_up_the_caller_tries_again(
    call, monkeypatch, caplog
):
    def away(request):
        raise OperationalError("server closed the connection")

    on_rpc("x")(lambda call: None)
    monkeypatch.setattr("tests.views.authenticators.bearer", away)
    status, text, trailing = call.refused("x")
    assert (status, text, trailing["retry-after"]) == ("UNAVAILABLE", "not available", "1")
    assert "server closed the connection" in caplog.text


def test_half_a_surrogate_pair_in_an_answer_is_no_failure(call):
    on_rpc("x")(lambda call: {"a\ud800": ["b\udc00", "é\0"]})
    assert call("x") == {"a?": ["b?", "é\0"]}
