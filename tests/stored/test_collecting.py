"""What is collected: what nobody waits for any more, and what is kept long enough."""

from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import Namespace, publish
from instant.deliveries import Stored
from instant.messages import acknowledge, collect
from instant.models import Message
from instant.stored import acknowledging, collecting
from instant.stored.pace import Pace
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(collecting, "_AT_ONCE", 2)


def ids():
    return [one.uuid.hex for one in Message.objects.all()]


def make_old(days):
    Message.objects.update(created_at=timezone.now() - timedelta(days=days))


def test_what_all_who_are_left_acknowledged_goes(make_channel, make_user, store):
    store(MESSAGES="cacheall")
    ann, bob = make_user("ann"), make_user("bob")
    channel = make_channel("$team", "groups", members=[ann, bob])
    sent = [publish("$team", n).id for n in range(1, 6)]
    acknowledge(ann, sent[:3])
    assert collect() == 0
    channel.members.remove(bob)
    out = StringIO()
    call_command("collect_messages", stdout=out)
    assert out.getvalue() == "3 stored messages were deleted.\n"
    assert ids() == sent[3:]


def test_without_limits_nothing_is_too_old(make_channel, store):
    store(MESSAGES="store")
    make_channel("news")
    publish("news", "x")
    make_old(10_000)
    assert collect() == 0
    assert len(ids()) == 1


def test_age_and_count_of_rows(make_channel, store):
    store(MESSAGES="store", MAX_AGE=86_400, MAX_COUNT=3)
    make_channel("news")
    make_channel("other")
    publish("news", "old")
    make_old(2)
    sent = [publish("news", n).id for n in range(1, 7)]
    kept = publish("other", "x").id
    assert collect() == 4
    assert ids() == [*sent[3:], kept]


def test_age_and_count_of_a_namespace(registry):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"
        delivery = Stored("store", max_age=timedelta(hours=1), max_count=1)

    publish("room:1", "old")
    make_old(1)
    first, second = publish("room:1", "a").id, publish("room:1", "b").id
    other = publish("room:2", "c").id
    assert first in ids()
    assert collect() == 2
    assert ids() == [second, other]


def test_what_another_took_meanwhile_is_not_waited_for(make_channel, store, monkeypatch):
    """Two collect at once: the other one's messages are gone before they are counted."""
    store(MESSAGES="store", MAX_COUNT=1)
    make_channel("news")
    for number in range(1, 5):
        publish("news", number)
    real = collecting._delete

    def both(keys):
        deleted = real(keys)
        Message.objects.all().delete()
        return deleted

    monkeypatch.setattr(collecting, "_delete", both)
    assert collect() == 2
    assert not ids()


def test_without_the_setting_rows_have_no_limits(make_channel, store, settings):
    store(MESSAGES="store", MAX_COUNT=1)
    make_channel("news")
    publish("news", 1)
    publish("news", 2)
    settings.INSTANT = {key: value for key, value in settings.INSTANT.items() if key != "STORE"}
    assert collect() == 0


def test_all_tenants_messages_are_collected(make_channel, store, tenants):  # noqa: F811
    store(MESSAGES="store", MAX_COUNT=1)
    make_channel("news")
    for name in ("acme", "globex"):
        with tenants.activate(name):
            for number in range(1, 4):
                publish("news", number)
    assert collect() == 4
    assert sorted(one.tenant for one in Message.objects.all()) == ["acme", "globex"]


class Room(Namespace, abstract=True):
    name, pattern, delivery = "room", "<int:pk>", Stored("cacheall")
    members = ()

    def readers(self, pk):
        return self.members

    def can_subscribe(self, user, pk):
        return True


def test_who_reads_is_asked_without_a_lock(make_channel, make_user, store, monkeypatch):
    store(MESSAGES="cacheall")
    ann, bob = make_user("ann"), make_user("bob")
    channel = make_channel("$team", "groups", members=[ann, bob])
    acknowledge(ann, [publish("$team", "x").id])
    channel.members.remove(bob)
    around, depths = len(connection.savepoint_ids), []
    real = collecting.what_is_over

    def over(some):
        depths.append(len(connection.savepoint_ids))
        return real(some)

    monkeypatch.setattr(collecting, "what_is_over", over)
    with CaptureQueriesContext(connection) as queries:
        assert collect() == 1
    assert depths == [around]
    assert not [query for query in queries if "FOR UPDATE" in query["sql"]]


def test_what_holds_locks_is_short(make_channel, store, monkeypatch):
    """A message takes a hundred thousand acknowledgements along: fewer go at once where it lasts."""
    monkeypatch.setattr(collecting, "_AT_ONCE", 500)
    store(MESSAGES="store", MAX_COUNT=1)
    make_channel("news")
    for number in range(21):
        publish("news", number)
    now, sizes = iter(range(1000)), []  # each step takes a second
    monkeypatch.setattr(collecting, "Pace", partial(Pace, clock=lambda: next(now)))
    real = collecting.writing

    @contextmanager
    def writing():
        before = Message.objects.count()
        with real():
            yield
        sizes.append(before - Message.objects.count())

    monkeypatch.setattr(collecting, "writing", writing)
    assert collect() == 20
    assert sizes == [8, 4, 2, *[1] * 6]


@pytest.mark.parametrize(
    ("seconds", "sizes"), [(0, [8, 16, 20, 20]), (0.3, [8] * 4), (9, [8, 4, 2, 1, 1])]
)
def test_pace(seconds, sizes):
    now = [0.0]
    pace = Pace(20, clock=lambda: now[0])
    for size in sizes:
        assert pace.size == size
        with pace:
            now[0] += seconds
    assert Pace(3).size == 3


def test_readers_whom_a_namespace_lists_are_asked_in_parts(registry, make_user, monkeypatch):
    monkeypatch.setattr(acknowledging, "_READERS", 2)
    users = [make_user(name) for name in ("ann", "bob", "cid", "dan", "eve")]

    class MyRoom(Room):
        members = users

    all_, most, of_last = [publish("room:1", n).id for n in range(3)]
    for user in users:
        acknowledge(user, {users[0]: [most], users[-1]: [of_last]}.get(user, [most]))
    MyRoom.members = users[:-1]
    with CaptureQueriesContext(connection) as queries:
        assert collect() == 1
    assert ids() == [all_, of_last]
    table = "instant_acknowledgement"
    asked = [q["sql"] for q in queries if q["sql"].startswith("SELECT") and "COUNT(" in q["sql"]]
    asked = [sql for sql in asked if table in sql.replace("_message_", "_")]
    assert len(asked) == 2  # of four readers, two at a time


def test_channels_that_have_few_messages_are_not_read(make_channel, store):
    store(MESSAGES="store", MAX_COUNT=2)
    for name, count in (("few", 2), ("many", 3)):
        make_channel(name)
        for number in range(count):
            publish(name, number)
    found = collecting._counts(collecting.own(), "channel", 2)
    assert found == [("many", 3)]
    assert collect() == 1
