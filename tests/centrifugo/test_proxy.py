"""The wire of the proxies: what the server asks, and what it may be told."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.centrifugo.proxy import (
    ENDED,
    MAX_BODY,
    Disconnect,
    MalformedQuestion,
    Question,
    Refusal,
    answer,
    encode,
    granted,
    read_question,
)

ASKED = {
    "client": "c-1", "transport": "websocket", "protocol": "json", "encoding": "json",
    "user": "7", "channel": "order:1",
}  # fmt: skip


def read(**changes):
    fields = {k: v for k, v in {**ASKED, **changes}.items() if v is not ...}
    return read_question(json.dumps(fields).encode())


def test_a_question_of_the_server():
    assert read() == Question(client="c-1", user="7", channel="order:1", data=None)
    assert read(data={"x": 1}).data == {"x": 1}
    assert read(user="").user == ""


def test_what_nobody_knows_is_passed_over():
    assert read(meta={"a": 1}, labels={}, token="x", b64data="eA==") == read()
    assert read(client=...).client == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"user": 7}, {"user": None}, {"user": ...}, {"user": ["7"]}, {"user": True},
        {"channel": ...}, {"channel": None}, {"channel": {"a": 1}}, {"client": 1},
    ],
)  # fmt: skip
def test_wrong_types_are_refused(changes):
    with pytest.raises(MalformedQuestion):
        read(**changes)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 100_000, b"1" * 5000,
        b'{"user":"7","channel":"order:1","data":NaN}',
        b'{"user":"7","channel":"order:1","data":{"n":-Infinity}}',
    ],
)  # fmt: skip
def test_what_is_no_question(body):
    with pytest.raises(MalformedQuestion) as info:
        read_question(body)
    assert "order" not in str(info.value)


def test_the_size():
    body = json.dumps({**ASKED, "data": ""}).encode()
    room = MAX_BODY - len(body)
    assert read(data="x" * room).data == "x" * room
    with pytest.raises(MalformedQuestion):
        read(data="x" * (room + 1))


def test_answers():
    assert answer({}) == {"result": {}}
    assert answer(ENDED) == {"result": {"expired": True}}
    assert answer(Refusal(403, "no")) == {"error": {"code": 403, "message": "no"}}
    assert answer(Refusal(503, "no", temporary=True)) == {
        "error": {"code": 503, "message": "no", "temporary": True}
    }
    assert answer(Disconnect(4500, "bye")) == {"disconnect": {"code": 4500, "reason": "bye"}}
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
        answer(wrong)


@pytest.mark.parametrize("wrong", [None, True, False, [], "x", 1])
def test_what_is_no_answer(wrong):
    """An empty one would be “allowed”."""
    with pytest.raises(TypeError):
        answer(wrong)


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
def test_any_body_is_a_question_or_refused(body):
    with contextlib.suppress(MalformedQuestion):
        assert isinstance(read_question(body), Question)
