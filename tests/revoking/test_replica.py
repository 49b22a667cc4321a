"""A read replica that lags, between a change and the checks that it causes."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import override_settings

from instant import Namespace
from instant.centrifugo.api.commands import Unsubscribe
from instant.enforcement import recheck
from instant.models import Channel, Revocation
from instant.revoking import follow_up
from instant.revoking.sweep import Sweep

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def lagging(client, make_user):
    """The replica knows a member of “old”, with a row and a rule; of “new” it knows nothing yet."""
    ann = make_user("ann", groups=["old"])
    old = Group.objects.get()
    row = Channel.objects.create(name="$old", level="groups")
    row.groups.add(old)
    for one in (ann, old, row):
        one.save(using="other")
        one.refresh_from_db(using="default")
    membership = get_user_model().groups.through
    membership.objects.using("other").create(user_id=ann.pk, group_id=old.pk)
    Channel.groups.through.objects.using("other").create(channel_id=row.pk, group_id=old.pk)
    new = Group.objects.create(name="new")
    ann.groups.add(new)
    Channel.objects.create(name="$new", level="groups").groups.add(new)

    def in_a_group(self, user, pk):
        return user.groups.exists()

    attributes = {"name": "doc", "pattern": "<int:pk>", "can_subscribe": in_a_group}
    type("Doc", (Namespace,), attributes)
    client.inside = {name: {str(ann.pk)} for name in ("$old", "$new", "doc:1")}
    with override_settings(DATABASE_ROUTERS=["tests.rights.test_primary.Replica"]):
        assert not get_user_model().objects.get().groups.filter(name="new").exists()
        yield ann


def told(client):
    return {(c.user, c.channel) for c in client.changes if isinstance(c, Unsubscribe)}


@pytest.mark.parametrize("seen_from", ["the user", "the group", "the group that goes"])
def test_who_has_just_joined_and_leaves_is_asked_of_the_primary(
    lagging, client, committed, seen_from
):
    new = Group.objects.using("default").get(name="new")
    with committed():
        match seen_from:
            case "the user":
                lagging.groups.clear()
            case "the group":
                new.user_set.clear()
            case _:
                new.delete()
    everything = {"$new"} | ({"$old"} if seen_from == "the user" else set())
    assert told(client) == {(str(lagging.pk), name) for name in everything}


def lose():
    get_user_model().groups.through.objects.using("default").all().delete()


def test_each_check_asks_the_primary(lagging, client, committed):
    sub = str(lagging.pk)
    lose()  # as raw SQL does, without a signal
    with committed():
        recheck("$old")
        recheck("doc:*")
    assert told(client) == {(sub, "$old"), (sub, "doc:1")}
    client.batches.clear()
    [row] = Revocation.objects.using("default").all()
    assert follow_up.follow_up(row.due_at) == 1
    assert told(client) == {(sub, "$old"), (sub, "doc:1")}
    client.batches.clear()
    assert Sweep().all_at_once() == 3
    assert told(client) == {(sub, "$old"), (sub, "$new"), (sub, "doc:1")}
