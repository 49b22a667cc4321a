"""What subscribers are sent of a publication, and who can't be sent it."""

import json

import pytest

from instant.embedded.wire_forms import Form
from tests.embedded.fakes import CONFIG, Client, make_broker

LIMIT = 2000
WRAPPED = '{"push":{"channel":"plain:1","pub":{"data":""}}}'
BARE = '{"channel":"plain:1","pub":{"data":""}}'


@pytest.fixture
def broker():
    return make_broker({**CONFIG, "client": {**CONFIG["client"], "queue_max_size": LIMIT}})


def subscriber(broker, form, channel="plain:1", **more):
    client = Client(broker, Form.LINE)
    client.connect()
    client.subscribe(channel, **more)
    client.session.form = form
    return client


def publish(broker, data, channel="plain:1", **more):
    return broker.publish(channel, json.dumps(data), broker.names.options(channel), **more)


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize(
    ("form", "around"),
    [
        (Form.WEBSOCKET, WRAPPED),
        (Form.LINE, WRAPPED),
        (Form.EVENT, WRAPPED),
        (Form.BARE_WEBSOCKET, BARE),
        (Form.BARE_EVENT, BARE),
        (Form.BARE_LINE, BARE),
    ],
)
def test_a_publication_that_is_longer_than_what_may_wait(broker, form, around, letter):
    client = subscriber(broker, form)
    size = len(letter.encode())
    letters = (LIMIT - len(around)) // size
    rest = "x" * (LIMIT - len(around) - letters * size)
    options = broker.names.options("plain:1")
    broker.publish("plain:1", f'"{letter * letters}{rest}"', options)
    (data,) = client.peer.sent
    assert letter.encode() * letters in data
    assert client.close is None
    client.peer.sent.clear()
    broker.publish("plain:1", f'"{letter * letters}{rest}x"', options)
    assert client.close == (3008, "slow")
    assert not any(letter.encode() * letters in data for data in client.peer.sent)
    assert broker.counts()["num_clients"] == 0


def test_it_is_kept_and_whoever_may_have_more_is_sent_it():
    broker = make_broker(
        {**CONFIG, "client": {**CONFIG["client"], "queue_max_size": LIMIT}, "channel": {
            "namespaces": [{
                "name": "delta", "allow_subscribe_for_client": True, "history_size": 10,
                "history_ttl": "60s", "force_recovery": True, "allowed_delta_types": ["fossil"],
                "allow_history_for_subscriber": True,
            }]}}
    )  # fmt: skip
    whole = subscriber(broker, Form.LINE, "delta:1")
    differences = subscriber(broker, Form.LINE, "delta:1", delta="fossil")
    for count in (10, 1000, 5000):
        publish(broker, "x" * count, "delta:1", delta=True)
    assert whole.close == (3008, "slow")
    assert differences.close is None
    assert len(differences.take()) == 3
    back = subscriber(broker, Form.LINE, "delta:1")
    (reply,) = back.send({"id": 5, "history": {"channel": "delta:1", "limit": -1}})
    assert [len(kept["data"]) for kept in reply["history"]["publications"]] == [10, 1000, 5000]


def test_no_limit():
    broker = make_broker({**CONFIG, "client": {**CONFIG["client"], "queue_max_size": -1}})
    client = subscriber(broker, Form.LINE)
    publish(broker, "x" * 3_000_000)
    assert len(client.take()) == 1
    assert client.close is None
