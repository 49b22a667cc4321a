"""What is collected: what nobody waits for any more, and what is kept long enough."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from instant import Namespace, publish
from instant.deliveries import Stored
from instant.messages import acknowledge, collect
from instant.models import Message
from instant.stored import collecting
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
        real(keys)
        Message.objects.all().delete()

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
