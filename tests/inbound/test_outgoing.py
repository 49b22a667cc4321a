"""``@before_send``: what Python publishes, before it leaves."""

import json
from datetime import timedelta

import pytest
from django.db import transaction

from instant import (
    Namespace,
    abroadcast,
    apublish,
    batch,
    before_send,
    broadcast,
    publish,
)  # fmt: skip
from instant.backends import replaced
from instant.backends.locmem import LocmemBackend
from instant.handlers import Refused
from instant.inbound import outgoing as module
from instant.publishing.outbox import waiting
from instant.testing import capture_publications, outbox

pytestmark = [pytest.mark.usefixtures("registry")]


class Backend(LocmemBackend):
    def __init__(self):
        super().__init__()
        self.calls = []

    def send(self, envelopes):
        self.calls.append([(list(e.channels), json.loads(e.body)) for e in envelopes])
        super().send(envelopes)


@pytest.fixture
def backend():
    backend = Backend()
    with replaced(backend):
        yield backend


def sent(backend):
    """Return channels and data of each envelope."""
    return [(channels, payload.get("data")) for call in backend.calls for channels, payload in call]


def test_it_rewrites(backend):
    given = {"text": "hello", "tags": ["a"]}

    @before_send("chat:*")
    def replace(outgoing):
        return {**outgoing.data, "first": True}

    @before_send("chat:1")
    def change(outgoing):
        assert outgoing.data["first"]
        outgoing.data["tags"].append("b")
        outgoing.message, outgoing.event_class, outgoing.bucket = "m", "class", "b"

    publication = publish("chat:1", data=given)
    payload = publication.payload
    assert payload["data"] == {"text": "hello", "tags": ["a", "b"], "first": True}
    assert (payload["message"], payload["event_class"], payload["bucket"]) == ("m", "class", "b")
    assert (payload["channel"], payload["id"]) == ("chat:1", publication.id)
    assert backend.calls == [[(["chat:1"], payload)]]
    assert given == {"text": "hello", "tags": ["a"]}  # the caller's own
    assert publish("other:1", data=given).payload["data"] == given


def test_by_class_and_by_namespace(backend, registry):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"

    @before_send(event_class="shipped")
    def stamp(outgoing):
        outgoing.data["stamped"] = True

    @before_send(Room)
    async def number(outgoing, pk):
        outgoing.data["pk"] = pk + 1

    @before_send(Room, event_class="closed")
    def closed(outgoing):
        outgoing.data["closed"] = True

    for channel, event_class in [
        ("room:1", "shipped"), ("room:2", None), ("other", "shipped"), ("room:3", "closed"),
        ("room:04", "x"), ("other", "closed"),
    ]:  # fmt: skip
        publish(channel, data={}, event_class=event_class)
    assert [data for _, data in sent(backend)] == [
        {"stamped": True, "pk": 2}, {"pk": 3}, {"stamped": True}, {"pk": 4, "closed": True}, {}, {},
    ]  # fmt: skip


def test_what_is_refused_is_not_sent(backend, caplog):
    @before_send("chat:*")
    def refuse(outgoing):
        raise Refused(403, "not that")

    caplog.set_level("INFO", "instant.handlers")
    publication = publish("chat:1", data={"a": 1})
    assert (publication.state, publication.offset) == ("refused", None)
    assert publication.payload["data"] == {"a": 1}
    assert backend.calls == []
    [record] = caplog.records
    assert "not that" in record.message
    assert "chat:1" in record.message
    assert refuse.__qualname__ in record.message
    assert publish("other", data={}).state == "sent"


@pytest.mark.parametrize("returned", [["a"], "text", True])
def test_what_is_no_dict_is_an_error(backend, returned):
    @before_send("*")
    def wrong(outgoing):
        return returned

    with pytest.raises(TypeError, match="wrong.* returned"):
        publish("chat:1", data={})
    assert backend.calls == []


def test_a_hook_that_fails_sends_nothing(backend):
    @before_send("*")
    def fail(outgoing):
        raise KeyError("x")

    with pytest.raises(KeyError):
        publish("chat:1", data={})

    assert backend.calls == []


def test_what_a_hook_leaves_has_to_be_something(backend):
    @before_send("chat:*")
    def empty(outgoing):
        outgoing.data = None

    with pytest.raises(ValueError, match="needs a message or data"):
        publish("chat:1", data={})


def test_a_broadcast(backend):
    seen = []

    @before_send(event_class="x")
    def once(outgoing):
        seen.append((outgoing.channels, outgoing.channel))
        outgoing.data["once"] = len(seen)

    @before_send("chat:*")
    def each(outgoing):
        seen.append((outgoing.channels, outgoing.channel))
        if outgoing.channel == "chat:3":
            raise Refused
        outgoing.data["odd"] = outgoing.channel != "chat:2"

    names = ["news", "chat:1", "chat:2", "other", "chat:3", "chat:4", "chat:1"]
    found = broadcast(names, data={}, event_class="x")
    assert [p.channel for p in found] == names[:-1]
    assert [p.state for p in found] == ["sent", "sent", "sent", "sent", "refused", "sent"]
    assert len({p.id for p in found}) == 1
    assert [p.payload["data"].get("odd") for p in found] == [None, True, False, None, None, True]
    assert len(backend.calls) == 1  # in one request
    assert sent(backend) == [
        (["news", "other"], {"once": 1}),
        (["chat:1", "chat:4"], {"once": 1, "odd": True}),
        (["chat:2"], {"once": 1, "odd": False}),
    ]
    assert seen == [
        (tuple(names[:-1]), ""),
        *[((name,), name) for name in ("chat:1", "chat:2", "chat:3", "chat:4")],
    ]


def test_a_broadcast_that_is_refused_or_to_nobody(backend):
    @before_send()
    def refuse(outgoing):
        raise Refused

    assert [p.state for p in broadcast(["a", "b"], "m")] == ["refused", "refused"]
    assert list(broadcast([], "m")) == []
    assert backend.calls == []


async def test_async(backend, in_threads):
    @before_send("chat:*")
    def change(outgoing):
        if outgoing.channel == "chat:2":
            raise Refused
        return {"changed": True}

    @before_send("chat:*")
    async def again(outgoing):
        outgoing.data["again"] = True

    assert (await apublish("chat:1", data={})).payload["data"] == {"changed": True, "again": True}
    assert (await apublish("chat:2", data={})).state == "refused"
    found = await abroadcast(["chat:1", "chat:2", "x"], data={})
    assert [p.state for p in found] == ["sent", "refused", "sent"]


@pytest.mark.django_db(transaction=True)
def test_in_batches_transactions_and_the_outbox(backend):
    @before_send("chat:*")
    def change(outgoing):
        if outgoing.data.get("refuse"):
            raise Refused
        return {"changed": True}

    with batch():
        publish("chat:1", data={})
        assert publish("chat:1", data={"refuse": True}).state == "refused"
        assert backend.calls == []
    assert sent(backend) == [(["chat:1"], {"changed": True})]
    with transaction.atomic():
        publication = publish("chat:2", data={})
        assert publication.state == "deferred"
        assert publish("chat:2", data={"refuse": True}).state == "refused"
        assert len(backend.calls) == 1
    assert sent(backend)[1:] == [(["chat:2"], {"changed": True})]
    with outbox() as rows:
        publish("chat:3", data={})
        publish("chat:3", data={"refuse": True})
        assert [p.payload["data"] for p in rows.publications] == [{"changed": True}]
    waiting.delete()


def test_captures_see_what_is_sent():
    @before_send("chat:*")
    def change(outgoing):
        return {"changed": True}

    with capture_publications() as found:
        publish("chat:1", data={})
    found.assert_published("chat:1", data={"changed": True}, count=1)


def test_what_instant_itself_tells_pages_is_no_hooks(backend):
    @before_send()
    def never(outgoing):
        raise AssertionError

    assert publish("chat:1", data={}, event_class="instant:ticket").state == "sent"


def test_the_same_key_stays(backend):
    @before_send("a")
    def change(outgoing):
        return {"changed": True}

    first, second = broadcast(["a", "b"], data={"n": timedelta(1)}, idempotency_key="key")
    assert first.id == second.id == publish("b", data={}, idempotency_key="key").id


def test_without_hooks_nothing_is_looked_at(backend, monkeypatch):
    monkeypatch.setattr("instant.producers.rewritten", None)
    publish("chat:1", data={})
    assert not module.are_asked()
