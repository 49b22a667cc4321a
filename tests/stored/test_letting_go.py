"""When a message may go: never before the rule allows it, whatever changed in between."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instant import Namespace, publish
from instant.deliveries import Stored
from instant.messages import acknowledge, collect, mark_read, notify
from instant.models import Message
from instant.stored import collecting

pytestmark = pytest.mark.django_db


@pytest.fixture
def read(make_channel, make_user, store):
    """Publish to a channel of two, which one of them acknowledges; return the row and the other."""

    def read(**fields):
        ann, bob = make_user("ann"), make_user("bob")
        row = make_channel("$team", "groups", members=[ann, bob], **fields)
        id_ = publish("$team", "x").id
        assert acknowledge(ann, [id_])
        return row, bob, id_

    return read


def test_a_site_that_no_longer_says_what_is_stored_deletes_nothing(read, store, settings):
    store(MESSAGES="store")
    _, bob, id_ = read(store="store")
    settings.INSTANT = {k: v for k, v in settings.INSTANT.items() if k != "STORE"}
    assert collect() == 0
    acknowledge(bob, [id_])
    assert collect() == 0
    assert Message.objects.exists()


def test_a_channel_that_is_stored_no_longer_waits_for_every_reader(read, store):
    store(MESSAGES="cacheall")
    row, bob, id_ = read()
    row.store = "disabled"
    row.save()
    assert collect() == 0
    acknowledge(bob, [id_])
    assert not Message.objects.exists()


def test_a_channel_that_is_switched_off_for_a_while_loses_nothing(read, store):
    store(MESSAGES="cacheall")
    row, bob, id_ = read()
    row.is_active = False
    row.save()
    assert collect() == 0
    row.is_active = True
    row.save()
    assert acknowledge(bob, [id_])
    assert not Message.objects.exists()


def test_a_namespace_that_cannot_say_who_reads_keeps_its_messages(registry, make_user, caplog):
    ann = make_user("ann")

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            return True

        def readers(self, pk):
            raise KeyError("broken")

    class Other(Namespace):
        name, pattern, delivery = "other", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            return True

        def readers(self, pk):
            return []

    publish("room:1", "x")
    publish("other:1", "y")
    for message in Message.objects.all():
        # The acknowledgement counts, whatever becomes of the message.
        assert acknowledge(ann, [message.uuid]) == [message.uuid]
    assert collect() == 0
    assert [message.channel for message in Message.objects.all()] == ["room:1"]
    assert "Who reads room:1 is not known" in caplog.text


@pytest.mark.parametrize("readers", ["queryset", "users", "keys", "text"])
def test_readers_are_users_or_keys_of_any_form(registry, make_user, readers):
    ann, bob = make_user("ann"), make_user("bob")
    make_user("none of them")

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            return True

        def readers(self, pk):
            return {
                "queryset": get_user_model().objects.filter(pk__in=[ann.pk, bob.pk]),
                "users": [ann, bob],
                "keys": {ann.pk, bob.pk},
                "text": (str(key) for key in (ann.pk, bob.pk)),
            }[readers]

    id_ = publish("room:1", "x").id
    acknowledge(ann, [id_])
    assert Message.objects.exists()
    acknowledge(bob, [id_])
    assert not Message.objects.exists()


def test_what_nobody_acknowledged_is_not_read_again_and_again(
    read, store, django_assert_max_num_queries
):
    store(MESSAGES="cacheall")
    read()
    for number in range(20):
        publish("$team", number)  # nobody has acknowledged these
    with django_assert_max_num_queries(12) as asked:
        collect()
    assert not [q for q in asked.captured_queries if '"content"' in q["sql"]]


def test_archives_and_read_notifications_are_not_looked_at_each_time(
    registry, make_channel, make_user, store, monkeypatch
):
    store(MESSAGES="store", RESPONSES="cacheall")
    ann, bob = make_user("ann"), make_user("bob")

    class Log(Namespace):
        name, pattern, delivery = "log", "<int:pk>", Stored("store")

        def can_subscribe(self, user, pk):
            return True

    class Room(Log):
        name, delivery = "room", Stored()

        def readers(self, pk):
            return [ann, bob]

    make_channel("$archive", "users")
    make_channel("$team", "users", store="cacheall")
    id_ = notify([ann, bob], "Hello")
    sent = [publish(name, "x").id for name in ("$archive", "$team", "log:1", "room:1")]
    assert len(acknowledge(ann, [id_, *sent])) == 5
    looked = []
    monkeypatch.setattr(collecting, "what_is_over", lambda some: looked.extend(some) or [])
    assert collect() == 0
    assert sorted(message.channel for message in looked) == ["$team", "room:1"]


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize("work", ["acknowledge", "mark_read", "collect"])
def test_sqlite_is_locked_before_it_is_read(make_channel, make_user, store, work):
    """Whoever has read first is refused at once where somebody else has written meanwhile."""
    store(MESSAGES="cacheall")
    ann, bob = make_user("ann"), make_user("bob")
    channel = make_channel("$team", "groups", members=[ann, bob])
    id_ = publish("$team", "x").id
    notify(ann, "Hello")
    acknowledge(bob, [id_])
    if work == "collect":
        channel.members.remove(ann)
    with CaptureQueriesContext(connection) as asked:
        {
            "acknowledge": lambda: acknowledge(ann, [id_]),
            "mark_read": lambda: mark_read(ann),
            "collect": collect,
        }[work]()
    said = [query["sql"].split()[0] for query in asked.captured_queries]
    begun = said.index("SAVEPOINT")  # a test case's own transaction is around
    assert said[begun + 1] == "UPDATE"
