"""Bodies and answers, as plain values."""

import json

import pytest
from cent import BatchRequest, BroadcastRequest, PublishRequest

from instant.centrifugo.api import publish
from instant.exceptions import (
    BatchError,
    InvalidAPIKey,
    InvalidReply,
    PayloadTooLarge,
    PublishTimeout,
    ServerRefused,
    UnknownNamespace,
)
from instant.publishing.publication import Envelope, Publication, Publications


def envelope(*channels, body=b'{"x":1}', key="key"):
    publications = (
        (Publication("id", channels[0], {}),)
        if len(channels) == 1
        else Publications("id", channels, {})
    )
    return Envelope(channels, publications, body, key)


def states(*envelopes):
    return [p.state for e in envelopes for p in e.publications]


@pytest.mark.parametrize("channel", ["public", "$users", "user:1", 'a"b', "a\\b", "{x}"])
def test_publish_body_is_that_of_cent(channel):
    [(method, body, _)] = publish.requests_for([envelope(channel)])
    theirs = PublishRequest(channel=channel, data={"x": 1}, idempotency_key="key")
    assert method == theirs.api_method
    assert json.loads(body) == theirs.api_payload


def test_broadcast_body_is_that_of_cent():
    [(method, body, _)] = publish.requests_for([envelope("a", "$b")])
    theirs = BroadcastRequest(channels=["a", "$b"], data={"x": 1}, idempotency_key="key")
    assert method == theirs.api_method
    assert json.loads(body) == theirs.api_payload


@pytest.mark.parametrize("names", [('a"b', "c"), ("a\\", "c"), ('","', "c")])
def test_broadcast_quotes_names(names):
    [(_, body, _)] = publish.requests_for([envelope(*names)])
    assert json.loads(body)["channels"] == list(names)


def test_batch_body_is_that_of_cent():
    [(method, body, _)] = publish.requests_for([envelope("a"), envelope("b", "c", key="other")])
    theirs = BatchRequest(
        requests=[
            PublishRequest(channel="a", data={"x": 1}, idempotency_key="key"),
            BroadcastRequest(channels=["b", "c"], data={"x": 1}, idempotency_key="other"),
        ]
    )
    assert method == theirs.api_method
    # In sequence is the server's default, so we leave the word out.
    assert {**json.loads(body), "parallel": False} == theirs.api_payload


def test_idempotency_key_is_quoted():
    [(_, body, _)] = publish.requests_for([envelope("a", key='"},"x":{"')])
    assert json.loads(body)["idempotency_key"] == '"},"x":{"'


def test_a_large_batch_is_split_in_order():
    envelopes = [envelope(f"c{n}", body=b'"%b"' % (b"x" * 1000)) for n in range(1500)]
    requests = list(publish.requests_for(envelopes))
    assert len(requests) > 2
    names = []
    for method, body, part in requests:
        assert method == "batch"
        assert len(body) < 600_000
        sent = [command["publish"]["channel"] for command in json.loads(body)["commands"]]
        assert sent == [e.publications[0].channel for e in part]
        names += sent
    assert names == [f"c{n}" for n in range(1500)]


def test_published():
    one = envelope("a")
    publish.read_reply("publish", [one], 200, b'{"result":{"offset":7,"epoch":"x"}}')
    assert (one.publications[0].state, one.publications[0].offset) == ("sent", 7)
    assert one.publications[0].epoch == "x"


def test_published_without_history():
    one = envelope("a")
    publish.read_reply("publish", [one], 200, b'{"result":{}}')
    assert (one.publications[0].state, one.publications[0].offset) == ("sent", None)


def test_unknown_namespace_names_the_remedy():
    with pytest.raises(UnknownNamespace, match="'nope'.*channel.namespaces") as info:
        publish.read_reply(
            "publish",
            [envelope("nope:1")],
            200,
            b'{"error":{"code":102,"message":"unknown channel"}}',
        )
    assert (info.value.channel, info.value.code) == ("nope:1", 102)
    assert "syncws --reload" in str(info.value)


def test_other_error_codes():
    with pytest.raises(ServerRefused, match="error 100, internal server error.*log") as info:
        publish.read_reply(
            "publish",
            [envelope("a")],
            200,
            b'{"error":{"code":100,"message":"internal server error"}}',
        )
    assert info.value.code == 100
    assert not isinstance(info.value, UnknownNamespace)


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_broadcast_that_reached_all(looked_at):
    one = envelope("a", "b")
    if looked_at:
        assert states(one) == ["deferred", "deferred"]
    answer = b'{"result":{"responses":[{"result":{"offset":3,"epoch":"x"}},{"result":{}}]}}'
    publish.read_reply("broadcast", [one], 200, answer)
    assert states(one) == ["sent", "sent"]
    assert [(p.offset, p.epoch) for p in one.publications] == [(3, "x"), (None, None)]
    assert one.publications[1].channel == "b"
    assert len(one.publications) == 2
    assert "sent" in repr(one.publications)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"result":{"responses":[{"result":{}}]}}',  # one too few
        b'{"result":{"responses":[{"result":{}},{"result":{}},{"result":{}}]}}',
        b'{"result":{"responses":[{"result":',
        b'{"result":{"responses":[{"result":{}},{"result":{}',
    ],
)
def test_a_broadcast_that_answers_for_others(answer):
    with pytest.raises(InvalidReply):
        publish.read_reply("broadcast", [envelope("a", "b")], 200, answer)


def test_an_epoch_that_looks_like_an_error():
    one = envelope("a", "b")
    answer = b'{"result":{"responses":[{"result":{"epoch":"error"}},{"result":{}}]}}'
    publish.read_reply("broadcast", [one], 200, answer)
    assert one.publications[0].epoch == "error"


def test_refused_items_of_a_broadcast():
    one = envelope("a", "nope:1", "c")
    with pytest.raises(BatchError) as info:
        publish.read_reply(
            "broadcast",
            [one],
            200,
            b'{"result":{"responses":[{"result":{"offset":1,"epoch":"x"}},'
            b'{"error":{"code":102,"message":"unknown channel"}},{"result":{}}]}}',
        )
    assert [type(e) for e in info.value.errors] == [UnknownNamespace]
    assert info.value.errors[0].channel == "nope:1"
    assert states(one) == ["sent", "failed", "sent"]


def test_refused_items_of_a_batch():
    first, second, third = envelope("a"), envelope("nope:1"), envelope("b", "nope:2")
    with pytest.raises(BatchError) as info:
        publish.read_reply(
            "batch",
            [first, second, third],
            200,
            b'{"replies":[{"publish":{"offset":1,"epoch":"x"}},'
            b'{"error":{"code":102,"message":"unknown channel"}},'
            b'{"broadcast":{"responses":[{"result":{}},{"error":{"code":102,"message":"u"}}]}}]}',
        )
    assert [e.channel for e in info.value.errors] == ["nope:1", "nope:2"]
    assert states(first, second, third) == ["sent", "failed", "sent", "failed"]


def test_wrong_key():
    with pytest.raises(InvalidAPIKey, match="runws.*CENTRIFUGO_API_KEY") as info:
        publish.read_reply("publish", [envelope("a")], 401, b"")
    assert (info.value.channel, info.value.code) == ("a", 401)


def test_too_large_for_a_reverse_proxy():
    with pytest.raises(PayloadTooLarge, match="client_max_body_size"):
        publish.read_reply("publish", [envelope("a")], 413, b"<html>")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<h1>Not Found</h1>"),
        (302, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"result":null}'),
        (200, b'{"error":"no"}'),
        (200, b'{"error":{"code":"x"}}'),
        (200, b"\xff\xfe"),
        (204, b""),
    ],
)
def test_an_answer_that_is_not_centrifugos(status, body):
    one = envelope("a")
    with pytest.raises(InvalidReply, match="CENTRIFUGO_PORT"):
        publish.read_reply("publish", [one], status, body)
    assert states(one) != ["sent"]


def test_a_batch_that_answers_too_few_items():
    with pytest.raises(InvalidReply):
        publish.read_reply(
            "batch", [envelope("a"), envelope("b")], 200, b'{"replies":[{"publish":{}}]}'
        )


def test_publishing_goes_on_after_refused_items_and_stops_after_a_failed_exchange():
    envelopes = [envelope(f"c{n}", body=b'"%b"' % (b"x" * 400_000)) for n in range(3)]
    flow = publish.publishing(envelopes, 5)
    next(flow)
    refusal = b'{"replies":[{"error":{"code":107,"message":"bad request"}}]}'
    _, body, _ = flow.send((200, refusal))
    assert b'"c1"' in body
    flow.send((200, b'{"replies":[{"publish":{}}]}'))
    with pytest.raises(PublishTimeout):
        flow.throw(PublishTimeout("late"))
    assert states(*envelopes) == ["failed", "sent", "failed"]


def test_publishing_raises_the_refused_items_at_the_end():
    envelopes = [envelope(f"c{n}", body=b'"%b"' % (b"x" * 400_000)) for n in range(2)]
    flow = publish.publishing(envelopes, 5)
    next(flow)
    flow.send((200, b'{"replies":[{"error":{"code":107,"message":"bad request"}}]}'))
    with pytest.raises(BatchError, match="1 of 2"):
        flow.send((200, b'{"replies":[{"publish":{}}]}'))


def test_publishing_has_one_deadline():
    envelopes = [envelope(f"c{n}", body=b'"%b"' % (b"x" * 400_000)) for n in range(2)]
    flow = publish.publishing(envelopes, 5)
    first = next(flow)[2]
    second = flow.send((200, b'{"replies":[{"publish":{}}]}'))[2]
    assert 5 >= first > second
