"""Acknowledging, and which messages that lets go: by whom, of which channel, and never too early."""

import asyncio
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied

from instant import Namespace, publish
from instant.deliveries import Stored
from instant.messages import (
    aacknowledge,
    acknowledge,
    amark_read,
    aoutstanding,
    collect,
    notify,
    outstanding,
)
from instant.models import Acknowledgement, Message
from instant.stored import acknowledging
from instant.stored import outstanding as looking
from instant.stored.acknowledging import let_go, rule_of
from instant.stored.note import Note, noted
from tests.conftest import close_connections

pytestmark = pytest.mark.django_db


def run(*asking):
    async def all_of_them():
        try:
            return [await one for one in asking]
        finally:
            await sync_to_async(close_connections)()

    return asyncio.run(all_of_them())


def test_visitors_acknowledge_nothing_and_nothing_waits_for_them(make_channel, make_user, store):
    store(MESSAGES="store")
    make_channel("news")
    id_ = publish("news", "x").id
    gone = make_user("gone", is_active=False)
    for nobody in (None, AnonymousUser(), gone):
        with pytest.raises(PermissionDenied):
            acknowledge(nobody, [id_])
        with pytest.raises(PermissionDenied):
            outstanding(nobody)
    assert not Acknowledgement.objects.exists()


@pytest.mark.parametrize("wrong", ["x", 7, None, b"x"])
def test_what_is_no_id_is_an_error(make_user, wrong):
    with pytest.raises(ValueError, match="is not the id of a message"):
        acknowledge(make_user("ann"), [wrong])


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_its_limits(make_user, limit):
    with pytest.raises(ValueError, match="1,000"):
        outstanding(make_user("ann"), limit=limit)


def test_what_was_named_twice_or_is_not_there(make_channel, make_user, store, monkeypatch):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$all", "users")
    first, second = publish("$all", 1).id, publish("$all", 2).id
    done = acknowledge(ann, [second, uuid4(), second, first])
    assert sorted(one.hex for one in done) == sorted([first, second])
    assert acknowledge(ann, [uuid4()]) == []
    monkeypatch.setattr(acknowledging, "_AT_ONCE", 1)
    assert [one.hex for one in acknowledge(ann, [first, second, first])] == [first, second]


def test_a_notification_that_was_read_stays_in_the_list(make_user):
    ann = make_user("ann")
    key = notify(ann, "Hello")
    acknowledge(ann, [key])
    assert collect() == 0
    assert Message.objects.get().uuid.hex == key


@pytest.mark.parametrize("rule", ["cache", "cacheall", "store"])
def test_what_nobody_acknowledged_stays_also_without_readers(make_channel, store, rule):
    """Somebody may become one."""
    store(MESSAGES=rule)
    make_channel("$team", "groups")
    publish("$team", "x")
    assert collect() == 0
    let_go(list(Message.objects.all()))
    assert Message.objects.exists()


def test_each_channel_has_its_own_rule_and_readers(make_channel, make_user, store):
    store()
    ann, bob = make_user("ann"), make_user("bob")
    make_channel("$one", "groups", members=[ann], store="cacheall")
    make_channel("$both", "groups", members=[ann, bob], store="cacheall")
    make_channel("$kept", "groups", members=[ann], store="store")
    sent = [publish(name, "x").id for name in ("$one", "$both", "$kept")]
    assert len(acknowledge(ann, sent)) == 3
    assert [one.uuid.hex for one in Message.objects.all()] == sent[1:]


def test_readers_of_a_namespace_may_be_a_queryset(registry, make_user):
    ann, bob = make_user("ann"), make_user("bob")

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            return True

        def readers(self, pk):
            return get_user_model().objects.order_by("username").filter(pk__in=[ann.pk, bob.pk])

    id_ = publish("room:1", "x").id
    acknowledge(ann, [id_])
    acknowledge(make_user("passer-by"), [id_])
    assert Message.objects.exists()
    acknowledge(bob, [id_])
    assert not Message.objects.exists()


def test_a_namespace_that_nobody_declares_any_more(registry, make_user):
    """Its messages are kept as before for whoever declares it again."""

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored("cache")

    publish("room:1", "x")
    message = Message.objects.get()
    ann = make_user("ann")
    registry.clear()
    assert outstanding(ann) == []
    with pytest.raises(PermissionDenied):
        outstanding(ann, "room:1")
    assert acknowledge(ann, [message.uuid]) == []
    assert rule_of(message).rule == "store"
    Acknowledgement.objects.create(message=message, user=ann)
    assert collect() == 0


def test_replies_have_the_rule_of_responses(make_channel, store):
    store(MESSAGES="store", RESPONSES="cache")
    make_channel("$all", "users")
    with noted(Note(is_reply=True)):
        publish("$all", "answer")
    assert rule_of(Message.objects.get()).rule == "cache"


def test_a_row_is_no_channel_of_a_namespace_and_no_users_own(
    registry, make_channel, make_user, store
):
    """A message of a row is read by whoever may read the row now, whatever its channel was called."""
    store(MESSAGES="store")
    ann = make_user("ann")
    row = make_channel("$hidden", "superuser")
    publish("$hidden", "x")
    Message.objects.update(channel=f"user:{ann.pk}")
    assert Message.objects.get().row == row
    assert outstanding(ann) == []


@pytest.mark.django_db(transaction=True)
def test_async_code_does_the_same(make_channel, make_user, store):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$all", "users")
    id_ = publish("$all", "x").id
    [[message]] = run(aoutstanding(ann, "$all"))
    assert message.uuid.hex == id_
    assert run(aacknowledge(ann, [id_]), aoutstanding(ann)) == [[message.uuid], []]
    key = notify(ann, "Hello")
    assert run(amark_read(ann, [key])) == [0]


def test_how_rows_call_themselves(make_channel, make_user, store):
    store(MESSAGES="store")
    ann = make_user("ann")
    make_channel("$all", "users")
    id_ = publish("$all", "x").id
    acknowledge(ann, [id_])
    message, done = Message.objects.get(), Acknowledgement.objects.get()
    assert (str(message), str(done)) == (f"$all: {id_}", f"{message.pk}: {ann.pk}")


def test_of_many_channels_those_with_the_oldest_messages_are_looked_at(
    registry, make_user, monkeypatch
):
    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored("store")

        def can_subscribe(self, user, pk):
            return True

    asked = []
    real = looking.grants
    monkeypatch.setattr(looking, "MOST", 2)
    monkeypatch.setattr(
        looking, "grants", lambda user, names: asked.append(names) or real(user, names)
    )
    sent = [publish(f"room:{pk}", "x").id for pk in (3, 1, 2)]
    found = outstanding(make_user("ann"), limit=2)
    assert [one.uuid.hex for one in found] == sent[:2]
    assert asked == [["room:3", "room:1"]]
