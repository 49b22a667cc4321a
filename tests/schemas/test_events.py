"""What is published is what the namespace declares."""

import asyncio
import datetime

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from instant import Namespace, abroadcast, before_send, broadcast, publish
from instant.conf import isolation
from instant.exceptions import InvalidPayload
from instant.testing import capture_publications
from tests.schemas.declared import GroupSerializer, Item, Shipped, declare

pytestmark = pytest.mark.usefixtures("registry")

NOON = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)


@pytest.fixture
def sent():
    with capture_publications() as found:
        yield found


def test_data_of_the_declared_type_is_published_as_json(sent):
    declare()
    publish("order:1", data=Shipped(NOON, [Item(name="hat")]), event_class="shipped")
    publish("order:1", data={"amount": 2, "note": None}, event_class="paid")
    assert [p.payload["data"] for p in sent] == [
        {
            "at": "2026-11-27T12:00:00Z",
            "items": [{"name": "hat", "count": 1, "size": None}],
            "by": "post",
        },
        {"amount": 2, "note": None},
    ]


@pytest.mark.parametrize(
    ("data", "event", "told"),
    [
        ({"amount": "much"}, "paid", "amount: Input should be a valid number"),
        ({}, "paid", "amount: Field required"),
        ([], "paid", "data: Input should be a valid dictionary"),
        ({"at": NOON, "items": [{}]}, "shipped", "items.0.name: Field required"),
        ({}, "shiped", "declares no 'shiped', only 'shipped', 'paid'"),
    ],
)
def test_what_is_not_as_declared_is_refused_with_the_field(sent, data, event, told):
    declare()
    with pytest.raises(InvalidPayload) as info:
        publish("order:1", data=data, event_class=event)
    assert told in str(info.value)
    assert str(info.value).startswith("order:1: ")
    with pytest.raises(InvalidPayload):
        broadcast(["order:1", "news", "order:2"], data=data, event_class=event)
    with pytest.raises(InvalidPayload):
        asyncio.run(abroadcast(["order:1"], data=data, event_class=event))
    assert not sent


def test_the_channel_that_is_named_is_the_one_that_declares_it():
    declare()
    with pytest.raises(InvalidPayload, match=r"^order:1: "):
        broadcast(["news", "order:1"], data={}, event_class="paid")


def test_what_has_no_declared_event_is_nobodys_business(sent):
    declare()
    publish("order:1", "a text")
    publish("order:x", data=1, event_class="other")  # no channel of the namespace
    publish("news", data=1, event_class="shipped")
    assert len(sent) == 3


def test_in_production_only_where_the_namespace_says_so(sent, monkeypatch):
    monkeypatch.setattr(isolation, "is_test_run", lambda: False)
    cls = declare()
    publish("order:1", data={}, event_class="paid")
    assert len(sent) == 1
    cls.validate = True
    with pytest.raises(InvalidPayload):
        publish("order:1", data={}, event_class="paid")
    cls.validate = False
    with override_settings(DEBUG=True), pytest.raises(InvalidPayload):
        publish("order:1", data={}, event_class="paid")


def test_what_before_send_makes_of_it_is_checked_too(sent):
    declare()

    @before_send("order:*")
    def spoil(outgoing):
        outgoing.data = {"amount": "much"}

    with pytest.raises(InvalidPayload, match="amount"):
        publish("order:1", data={"amount": 1}, event_class="paid")


def test_a_serializer(sent):
    declare(events={"group.updated": GroupSerializer})
    data = {"name": "a", "size": None, "tags": [], "state": "on", "extra": 1}
    publish("order:1", data=data, event_class="group.updated")
    for wrong, told in (
        ({**data, "secret": 1}, "secret: is no field"),
        ({"name": "a"}, "size: is missing"),
        ([], "data: must be an object, not list"),
    ):
        with pytest.raises(InvalidPayload, match=told):
            publish("order:1", data=wrong, event_class="group.updated")


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (7, "must be a class with annotations, or a dict"),
        (type("events", (), {}), "has no annotations"),
        (type("events", (), {"__annotations__": {"a": "Nowhere"}}), "can't be read"),
        ({"a": object()}, "events.a: "),
    ],
)
def test_declarations_that_cannot_work(events, told):
    declare(events=events)
    found = [m.msg for m in run_checks() if m.id == "instant.E003"]
    assert len(found) == 1
    assert told in found[0]


def test_a_right_declaration():
    declare(events={"a": int, "b": GroupSerializer})
    assert [m for m in run_checks() if m.id == "instant.E003"] == []


def test_nobody_else_pays(sent, monkeypatch):
    type("Plain", (Namespace,), {"name": "plain", "pattern": "<int:pk>"})
    monkeypatch.setattr("instant.schemas.checking.checked", None)
    publish("plain:1", data=1, event_class="x")
    assert len(sent) == 1
