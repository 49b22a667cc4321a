"""Object permissions on rows of Channel, and the right to see the status."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from guardian.shortcuts import assign_perm, remove_perm

from instant import permissions
from instant.centrifugo.api.commands import Unsubscribe
from instant.models import Channel
from instant.rights import rows
from tests.revoking.conftest import client, committed  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db

SUBSCRIBE, PUBLISH, STATUS = (
    f"instant.{name}" for name in ("subscribe_channel", "publish_channel", "view_channel_status")
)


@pytest.fixture
def guardian(settings):
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        "guardian.backends.ObjectPermissionBackend",
    ]


@pytest.fixture
def people(make_user):
    return make_user("ann"), make_user("bob", groups=["red"]), make_user("cat")


def red():
    return Group.objects.get(name="red")


def test_f7_consumers_by_object_permission(guardian, people, make_channel):
    ann, bob, cat = people
    row = make_channel("$lab", "superuser")
    make_channel("$other", "superuser")
    assign_perm(SUBSCRIBE, ann, row)
    assign_perm(SUBSCRIBE, red(), row)
    for user, may in ((ann, True), (bob, True), (cat, False), (None, False)):
        assert permissions.may(user, "subscribe", "$lab") is may
        assert permissions.may(user, "history", "$lab") is may
        assert not permissions.may(user, "presence", "$lab")
        assert not permissions.may(user, "subscribe", "$other")
        granted = [grant.name for grant in permissions.grants(user, ["$lab", "$other"])]
        assert granted == ["$lab"] * may
        page, _ = permissions.grants_after(user, "", 10)
        assert ("$lab" in [grant.name for grant in page]) is may
    assert permissions.permitted([ann, bob, cat], "$lab") == {ann.pk, bob.pk}
    assert set(rows.readers(row)) == {ann, bob}
    Channel.objects.update(is_active=False)
    assert not permissions.may(ann, "subscribe", "$lab")
    assert not rows.readers(Channel.objects.get(name="$lab")).exists()


def test_f7_object_permissions_add_to_the_lists(guardian, people, make_channel):
    ann, bob, cat = people
    row = make_channel("$lab", "groups", groups=["red"], members=[cat])
    assign_perm(SUBSCRIBE, ann, row)
    assert permissions.permitted([ann, bob, cat], "$lab") == {ann.pk, bob.pk, cat.pk}
    assert set(rows.readers(row)) == {ann, bob, cat}


@pytest.mark.parametrize(("action", "permission"), [("publish", PUBLISH), ("status", STATUS)])
def test_f7_producers_and_status_viewers(guardian, people, make_channel, action, permission):
    ann = people[0]
    row = make_channel("news")
    assign_perm(permission, ann, row)
    assign_perm(permission, red(), row)
    assert [permissions.may(user, action, "news") for user in people] == [True, True, False]
    if action == "publish":
        by_token = [permissions.grants(user, ["news"])[0].rights for user in people]
        assert ["publish" in rights for rights in by_token] == [True, True, False]


def test_f7_anonymous_visitors_hold_what_guardians_user_does(
    guardian, make_user, make_channel, monkeypatch, anonymous
):
    from guardian.conf import settings as guardians

    monkeypatch.setattr(guardians, "ANONYMOUS_USER_NAME", "AnonymousUser")
    row = make_channel("$lab", "superuser")
    nobody = make_user("AnonymousUser")
    ann = make_user("ann")
    assert not permissions.may(anonymous, "subscribe", "$lab")
    assign_perm(SUBSCRIBE, nobody, row)
    assert permissions.may(anonymous, "subscribe", "$lab")
    assert permissions.permitted([anonymous, ann], "$lab") == {None}
    assert not permissions.may(ann, "subscribe", "$lab")


def test_without_guardians_backend_they_say_nothing(people, make_channel, settings):
    ann = people[0]
    row = make_channel("$lab", "superuser")
    assign_perm(SUBSCRIBE, ann, row)
    assert not permissions.may(ann, "subscribe", "$lab")
    assert not rows.readers(row).exists()


def test_a_permission_for_all_channels_is_none_on_one(guardian, people, make_channel):
    make_channel("$lab", "superuser")
    assign_perm(SUBSCRIBE, people[0])
    assert not permissions.may(people[0], "subscribe", "$lab")


ENDS = {
    "remove_perm": lambda user, row: remove_perm(SUBSCRIBE, user, row),
    "the group's": lambda user, row: remove_perm(SUBSCRIBE, red(), row),
    "left the group": lambda user, row: user.groups.clear(),
    "the group is deleted": lambda user, row: red().delete(),
    "publish only": lambda user, row: remove_perm(PUBLISH, user, row),
}


@pytest.mark.parametrize("end", ENDS)
def test_f7_who_loses_it_is_unsubscribed(guardian, people, make_channel, client, committed, end):  # noqa: F811
    ann, bob, _cat = people
    row = make_channel("$lab", "superuser")
    user = ann if end in {"remove_perm", "publish only"} else bob
    assign_perm(SUBSCRIBE, ann, row)
    assign_perm(PUBLISH, ann, row)
    assign_perm(SUBSCRIBE, red(), row)
    client.inside = {"$lab": {str(ann.pk), str(bob.pk)}}
    with committed():
        ENDS[end](user, row)
    lost = set() if end == "publish only" else {Unsubscribe(str(user.pk), "$lab")}
    assert set(client.changes) == lost


@pytest.mark.parametrize("level", Channel.StatusLevel)
def test_who_may_see_the_status(people, make_user, make_channel, level):
    ann, bob, cat = people
    staff, root = make_user("dan", is_staff=True), make_user("eve", is_superuser=True)
    row = make_channel("$lab", "groups", members=[cat], status_level=level)
    row.status_viewers.add(ann)
    row.status_groups.add(red())
    people = {"ann": ann, "bob": bob, "cat": cat, "dan": staff, "eve": root, "": None}
    may = {name for name, user in people.items() if permissions.may(user, "status", "$lab")}
    assert (
        may
        == {
            "nobody": set(),
            "subscribers": {"cat"},
            "listed": {"ann", "bob"},
            "staff": {"dan", "eve"},
            "superuser": {"eve"},
        }[level]
    )


def test_the_command_says_by_what(guardian, people, make_channel, capsys):
    assign_perm(SUBSCRIBE, people[0], make_channel("$lab", "superuser"))
    call_command("channels", "$lab", "--for", "ann")
    assert "by object permission" in capsys.readouterr().out
