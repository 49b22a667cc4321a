"""Stored messages where reads go to a database that lags: the replica here has nothing at all."""

import pytest
from django.contrib.auth import get_user_model

from instant import Namespace, publish
from instant.deliveries import Stored
from instant.messages import acknowledge, collect, mark_read, notify, outstanding, ping, unread
from instant.models import Channel, Message
from tests.rights.test_primary import Replica

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _reads_elsewhere(settings, store):
    store(MESSAGES="cacheall")
    settings.DATABASE_ROUTERS = [f"{Replica.__module__}.{Replica.__qualname__}"]


def test_what_was_written_is_there(make_user, registry):
    ann = make_user("ann")

    class Room(Namespace):
        name, pattern, delivery = "room", "<int:pk>", Stored()

        def can_subscribe(self, user, pk):
            return get_user_model().objects.filter(pk=user.pk).exists()

        def readers(self, pk):
            return list(get_user_model().objects.all())

    Channel.objects.create(name="$team", level="users", answers_pings=True)
    sent = [publish("$team", "x").id, publish("room:1", "y").id]
    assert [one.uuid.hex for one in outstanding(ann)] == sent
    assert [one.uuid.hex for one in outstanding(ann, "$team")] == sent[:1]
    assert len(acknowledge(ann, sent)) == 2
    assert not Message.objects.using("default").exists()
    assert collect() == 0
    notify(ann, "Hello")
    assert unread(ann) == 1
    assert mark_read(ann) == 0
    assert ping("$team")
