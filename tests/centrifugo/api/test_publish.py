"""Bodies and answers, as plain values."""

import json

import pytest
from cent import BatchRequest, BroadcastRequest, PublishRequest

from instant.centrifugo.api import publish
from instant.centrifugo.api.publish_requests import requests_for
from instant.exceptions import (
    BatchError,
    InvalidAPIKey,
    InvalidReply,
    PayloadTooLarge,
    PublishTimeout,
    ServerRefused,
    UnknownNamespace,
)
from instant.publishing.publication import Envelope, Part, Publication, Publications


def envelope(*channels, body=b'{"x":1}', key="key"):
    publications = (
        (Publication("id", channels[0], {}),)
        if len(channels) == 1
        else Publications("id", channels, {})
    )
    return Envelope(channels, publications, body, key)


def parts(*envelopes):
    return [Part(one, 0, len(one.channels)) for one in envelopes]


def states(*envelopes):
    return [p.state for e in envelopes for p in e.publications]


@pytest.mark.parametrize("channel", ["public", "$users", "user:1", 'a"b', "a\\b", "{x}"])
def test_publish_body_is_that_of_cent(channel):
    [(method, body, _)] = requests_for([envelope(channel)])
    theirs = PublishRequest(channel=channel, data={"x": 1}, idempotency_key="key")
    assert method == theirs.api_method
    assert json.loads(body) == theirs.api_payload


def test_broadcast_body_is_that_of_cent():
    [(method, body, _)] = requests_for([envelope("a", "$b")])
    theirs = BroadcastRequest(channels=["a", "$b"], data={"x": 1}, idempotency_key="key")
    assert method == theirs.api_method
    assert json.loads(body) == theirs.api_payload


@pytest.mark.parametrize("names", [('a"b', "c"), ("a\\", "c"), ('","', "c")])
def test_broadcast_quotes_names(names):
    [(_, body, _)] = requests_for([envelope(*names)])
    assert json.loads(body)["channels"] == list(names)


def test_batch_body_is_that_of_cent():
    [(method, body, _)] = requests_for([envelope("a"), envelope("b", "c", key="other")])
    theirs = BatchRequest(
        requests=[
            PublishRequest(channel="a", data={"x": 1}, idempotency_key="key"),
            BroadcastRequest(channels=["b", "c"], data={"x": 1}, idempotency_key="other"),
        ]
    )
    assert method == theirs.api_method
    # In sequence is the server's default, so we leave the word out.
    assert {**json.loads(body), "parallel": False} == theirs.api_payload


def test_what_passes_is_in_no_history():
    one, many = envelope("a"), envelope("b", "c")
    for found, request in (
        (one, PublishRequest(channel="a", data={"x": 1}, idempotency_key="key", skip_history=True)),
        (
            many,
            BroadcastRequest(
                channels=["b", "c"], data={"x": 1}, idempotency_key="key", skip_history=True
            ),
        ),
    ):
        found.passing = True
        [(_, body, _)] = requests_for([found])
        assert json.loads(body) == request.api_payload


def test_idempotency_key_is_quoted():
    [(_, body, _)] = requests_for([envelope("a", key='"},"x":{"')])
    assert json.loads(body)["idempotency_key"] == '"},"x":{"'


def test_a_large_batch_is_split_in_order():
    envelopes = [envelope(f"c{n}", body=b'"%b"' % (b"x" * 1000)) for n in range(1500)]
    requests = list(requests_for(envelopes))
    assert len(requests) > 2
    names = []
    for method, body, part in requests:
        assert method == "batch"
        assert len(body) < 600_000
        sent = [command["publish"]["channel"] for command in json.loads(body)["commands"]]
        assert sent == [one.channel(0) for one in part]
        names += sent
    assert names == [f"c{n}" for n in range(1500)]


def test_published():
    one = envelope("a")
    publish.read_reply("publish", parts(one), 200, b'{"result":{"offset":7,"epoch":"x"}}')
    assert (one.publications[0].state, one.publications[0].offset) == ("sent", 7)
    assert one.publications[0].epoch == "x"


def test_published_without_history():
    one = envelope("a")
    publish.read_reply("publish", parts(one), 200, b'{"result":{}}')
    assert (one.publications[0].state, one.publications[0].offset) == ("sent", None)


def test_unknown_namespace_names_the_remedy():
    answer = b'{"error":{"code":102,"message":"unknown channel"}}'
    [error] = publish.read_reply("publish", parts(envelope("nope:1")), 200, answer)
    assert isinstance(error, UnknownNamespace)
    assert (error.channel, error.code) == ("nope:1", 102)
    assert "'nope'" in str(error)
    assert "syncws --reload" in str(error)


def test_other_error_codes():
    answer = b'{"error":{"code":100,"message":"internal server error"}}'
    [error] = publish.read_reply("publish", parts(envelope("a")), 200, answer)
    assert type(error) is ServerRefused
    assert error.code == 100
    assert "error 100, internal server error" in str(error)
    assert "log" in str(error)


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_broadcast_that_reached_all(looked_at):
    one = envelope("a", "b")
    if looked_at:
        assert states(one) == ["deferred", "deferred"]
    answer = b'{"result":{"responses":[{"result":{"offset":3,"epoch":"x"}},{"result":{}}]}}'
    publish.read_reply("broadcast", parts(one), 200, answer)
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
        publish.read_reply("broadcast", parts(envelope("a", "b")), 200, answer)


def test_an_epoch_that_looks_like_an_error():
    one = envelope("a", "b")
    answer = b'{"result":{"responses":[{"result":{"epoch":"error"}},{"result":{}}]}}'
    publish.read_reply("broadcast", parts(one), 200, answer)
    assert one.publications[0].epoch == "error"


def test_refused_items_of_a_broadcast():
    one = envelope("a", "nope:1", "c")
    answer = (
        b'{"result":{"responses":[{"result":{"offset":1,"epoch":"x"}},'
        b'{"error":{"code":102,"message":"unknown channel"}},{"result":{}}]}}'
    )
    [error] = publish.read_reply("broadcast", parts(one), 200, answer)
    assert type(error) is UnknownNamespace
    assert error.channel == "nope:1"
    assert states(one) == ["sent", "failed", "sent"]


def test_refused_items_of_a_batch():
    first, second, third = envelope("a"), envelope("nope:1"), envelope("b", "nope:2")
    answer = (
        b'{"replies":[{"publish":{"offset":1,"epoch":"x"}},'
        b'{"error":{"code":102,"message":"unknown channel"}},'
        b'{"broadcast":{"responses":[{"result":{}},{"error":{"code":102,"message":"u"}}]}}]}'
    )
    errors = publish.read_reply("batch", parts(first, second, third), 200, answer)
    assert [e.channel for e in errors] == ["nope:1", "nope:2"]
    assert states(first, second, third) == ["sent", "failed", "sent", "failed"]


def test_wrong_key():
    with pytest.raises(InvalidAPIKey, match="runws.*CENTRIFUGO_API_KEY") as info:
        publish.read_reply("publish", parts(envelope("a")), 401, b"")
    assert (info.value.channel, info.value.code) == ("a", 401)


def test_too_large_for_a_reverse_proxy():
    with pytest.raises(PayloadTooLarge, match="client_max_body_size"):
        publish.read_reply("publish", parts(envelope("a")), 413, b"<html>")


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
        publish.read_reply("publish", parts(one), status, body)
    assert states(one) != ["sent"]


def test_a_batch_that_answers_too_few_items():
    with pytest.raises(InvalidReply):
        publish.read_reply(
            "batch", parts(envelope("a"), envelope("b")), 200, b'{"replies":[{"publish":{}}]}'
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


def test_each_request_has_its_own_deadline():
    envelopes = [envelope(f"c{n}", body=b'"%b"' % (b"x" * 400_000)) for n in range(3)]
    envelopes[1].timeout = 9
    flow = publish.publishing(envelopes, 5)
    seconds = [next(flow)[2]]
    seconds += [flow.send((200, b'{"replies":[{"publish":{}}]}'))[2] for _ in range(2)]
    assert seconds == [5, 9, 5]


def names(count):
    return [f"order:{n}" for n in range(count)]


def result(count):
    items = ",".join(f'{{"result":{{"offset":{n},"epoch":"x"}}}}' for n in range(count))
    return f'{{"result":{{"responses":[{items}]}}}}'.encode()


def test_a_broadcast_is_split_by_its_channels():
    one = envelope(*names(25_000), key="k")
    requests = list(requests_for([one]))
    bodies = [json.loads(body) for _, body, _ in requests]
    assert [method for method, _, _ in requests] == ["broadcast"] * 3
    assert [name for body in bodies for name in body["channels"]] == names(25_000)
    assert [len(body["channels"]) for body in bodies] == [10_000, 10_000, 5_000]
    assert {body["idempotency_key"] for body in bodies} == {"k"}


@pytest.mark.parametrize("size", [0, 400_000, 999_999])
def test_long_names_are_split_by_their_bytes(size):
    long = [f"order:{n:0>240}" for n in range(9_000)]
    requests = list(requests_for([envelope(*long, body=b'"%b"' % (b"x" * size))]))
    assert [name for _, body, _ in requests for name in json.loads(body)["channels"]] == long
    assert max(len(body) for _, body, _ in requests) <= max(512 * 1024, size + 16 * 1024) + 100


def test_a_name_that_is_left_over_is_published():
    requests = list(requests_for([envelope(*names(10_001))]))
    assert [method for method, _, _ in requests] == ["broadcast", "publish"]
    assert json.loads(requests[1][1])["channel"] == "order:10000"


def test_broadcasts_of_a_transaction_are_split_among_its_batches():
    envelopes = [envelope(*names(1_000)) for _ in range(25)] + [envelope(*names(12_000))]
    requests = list(requests_for(envelopes))
    counts = [sum(map(len, found)) for _, _, found in requests]
    assert sum(counts) == 37_000
    assert max(counts) <= 10_000
    assert len(counts) <= 5


def test_what_a_part_was_answered_is_kept_apart():
    one = envelope(*names(25_000))
    flow = publish.publishing([one], 1)
    _, _, seconds = next(flow)
    assert seconds == pytest.approx(6, abs=0.01)  # 1, and 10,000 times half a millisecond
    flow.send((200, result(10_000)))
    with pytest.raises(PublishTimeout, match="10,000 of 25,000 publications were sent before"):
        flow.throw(PublishTimeout("late"))
    assert one.publications._made is None  # nobody has looked
    assert states(one) == ["sent"] * 10_000 + ["failed"] * 15_000
    assert (one.publications[9_999].offset, one.publications[10_000].offset) == (9_999, None)


def test_a_refused_channel_of_a_later_part():
    one = envelope(*names(10_001))
    flow = publish.publishing([one], 1)
    next(flow)
    flow.send((200, result(10_000)))
    with pytest.raises(BatchError, match="1 of 10001") as info:
        flow.send((200, b'{"error":{"code":102,"message":"unknown channel"}}'))
    assert [error.channel for error in info.value.errors] == ["order:10000"]
    assert states(one) == ["sent"] * 10_000 + ["failed"]


def test_a_batch_that_is_refused_whole():
    envelopes = [envelope("a"), envelope("b", "c")]
    answer = b'{"error":{"code":107,"message":"bad request"}}'
    assert len(publish.read_reply("batch", parts(*envelopes), 200, answer)) == 2
    assert states(*envelopes) == ["failed"] * 3
