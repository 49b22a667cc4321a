"""The wire of the proxies: what the server asks, and what it may be told."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.centrifugo.proxy import (
    ENDED,
    MAX_BODY,
    RPC,
    Disconnect,
    MalformedRequest,
    ProxyRequest,
    Refusal,
    encode,
    granted,
    read_request,
    reply,
)

ASKED = {
    "client": "c-1", "transport": "websocket", "protocol": "json", "encoding": "json",
    "user": "7", "channel": "order:1",
}  # fmt: skip


def read(**changes):
    fields = {k: v for k, v in {**ASKED, **changes}.items() if v is not ...}
    return read_request(json.dumps(fields).encode())


def test_a_request_of_the_server():
    assert read() == ProxyRequest(
        client="c-1", user="7", channel="order:1", data=None, transport="websocket"
    )
    assert read(meta={"a": 1}).meta == {"a": 1}
    assert read(meta=[1]).meta == {}
    assert read(data={"x": 1}).data == {"x": 1}
    assert read(user="").user == ""


def test_a_call_has_a_method_and_no_channel():
    body = json.dumps({**ASKED, "method": "cart.add", "data": 1}).encode()
    found = read_request(body, RPC)
    assert (found.method, found.channel, found.data) == ("cart.add", "", 1)
    with pytest.raises(MalformedRequest, match="method"):
        read_request(json.dumps(ASKED).encode(), RPC)


def test_what_nobody_knows_is_passed_over():
    assert read(labels={}, token="x", method=5) == read()
    assert (read(b64data="eA==").data, read(b64data="eA==").binary) == (b"x", True)
    assert read(client=...).client == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"user": 7}, {"user": None}, {"user": ...}, {"user": ["7"]}, {"user": True},
        {"channel": ...}, {"channel": None}, {"channel": {"a": 1}}, {"client": 1},
    ],
)  # fmt: skip
def test_wrong_types_are_refused(changes):
    with pytest.raises(MalformedRequest):
        read(**changes)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 100_000, b"1" * 5000,
        b'{"user":"7","channel":"order:1","data":NaN}',
        b'{"user":"7","channel":"order:1","data":{"n":-Infinity}}',
    ],
)  # fmt: skip
def test_what_is_no_request(body):
    with pytest.raises(MalformedRequest) as info:
        read_request(body)
    assert "order" not in str(info.value)


def test_the_size():
    body = json.dumps({**ASKED, "data": ""}).encode()
    room = MAX_BODY - len(body)
    assert read(data="x" * room).data == "x" * room
    with pytest.raises(MalformedRequest):
        read(data="x" * (room + 1))


def test_replies():
    assert reply({}) == {"result": {}}
    assert reply(ENDED) == {"result": {"expired": True}}
    assert reply(Refusal(403, "no")) == {"error": {"code": 403, "message": "no"}}
    assert reply(Refusal(503, "no", temporary=True)) == {
        "error": {"code": 503, "message": "no", "temporary": True}
    }
    assert reply(Disconnect(4500, "bye")) == {"disconnect": {"code": 4500, "reason": "bye"}}
    assert encode({"a": [1]}) == b'{"result":{"a":[1]}}'


def test_what_is_granted():
    assert granted(expire_at=9) == {"expire_at": 9}
    assert granted(expire_at=9, info={"name": "Ann"}, pushes_joins=True) == {
        "expire_at": 9,
        "info": {"name": "Ann"},
        "override": {"force_push_join_leave": {"value": True}},
    }


@pytest.mark.parametrize(
    "wrong",
    [
        Refusal(0, "x"), Refusal(103, "x"), Refusal(399, "x"), Refusal(2000, "x"),
        Disconnect(3500, "x"), Disconnect(3999, "x"), Disconnect(5000, "x"),
        Disconnect(4000, "x" * 33), Disconnect(4000, "ö"),
    ],
)  # fmt: skip
def test_codes_that_the_server_would_not_take_as_they_are_meant(wrong):
    with pytest.raises(ValueError):
        reply(wrong)


@pytest.mark.parametrize("wrong", [None, True, False, [], "x", 1])
def test_what_is_no_reply(wrong):
    """An empty one would be “allowed”."""
    with pytest.raises(TypeError):
        reply(wrong)


@pytest.mark.parametrize("wrong", [{"info": float("nan")}, {"info": object()}])
def test_what_is_not_json(wrong):
    with pytest.raises((TypeError, ValueError)):
        encode(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_request_or_refused(body):
    with contextlib.suppress(MalformedRequest):
        assert isinstance(read_request(body), ProxyRequest)
