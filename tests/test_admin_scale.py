"""The admin with 10,000 channels, 10,000 users and 200 groups; and that it takes rights away."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from instant.models import Channel, Revocation

LIST = "/admin/instant/channel/"
MANY = 10_000


@pytest.fixture
def admin(client, make_user):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


def fill(count, groups, *, start=0):
    """Add channels, each with 2 groups, 2 members and 2 of both who may publish, and history."""
    users = get_user_model().objects.bulk_create(
        get_user_model()(username=f"user{n}", password="x") for n in range(start, start + count)
    )
    groups = Group.objects.bulk_create(Group(name=f"group{start}-{n}") for n in range(groups))
    rows = Channel.objects.bulk_create(
        Channel(name=f"$c{n:05}", level="groups", publish_level="listed", description="x")
        for n in range(start, start + count)
    )
    for field, others, column in (
        ("groups", groups, "group"),
        ("publish_groups", groups, "group"),
        ("members", users, "user"),
        ("publishers", users, "user"),
    ):
        through = getattr(Channel, field).through
        through.objects.bulk_create(
            through(channel=row, **{column: others[(n + k) % len(others)]})
            for n, row in enumerate(rows)
            for k in range(2)
        )
    return rows


def form_of(channel, **changes):
    return {
        "name": channel.name,
        "level": channel.level,
        "is_active": "on",
        "description": "changed",
        "publish_level": channel.publish_level,
        "presence_level": channel.presence_level,
        "status_level": channel.status_level,
        **{
            field: list(getattr(channel, field).values_list("pk", flat=True))
            for field in ("groups", "members", "publish_groups", "publishers")
        },
        **changes,
    }


def pages(admin, rows):
    """Visit each page, with as many channels marked as one page shows; return its queries."""
    change = f"{LIST}{rows[0].pk}/"
    group = rows[0].groups.first().pk
    form = form_of(rows[0])
    marked = [row.pk for row in rows[:50]]
    queries = {}

    def visit(name, ask, status=200):
        with CaptureQueriesContext(connection) as captured:
            response = ask()
        assert response.status_code == status, response.content.decode()[-3000:]
        queries[name] = len(captured)
        return response

    def act(action, **more):
        return admin.post(LIST, {"action": action, "_selected_action": marked, **more})

    for name, query in {
        "list": "",
        "last page": "?p=2",
        "filtered": f"?level__exact=groups&groups__id__exact={group}&is_active__exact=1",
        "facets": "?_facets=True",
        "searched": "?q=c000",
        "ordered": "?o=4.5.-1",
    }.items():
        visit(name, lambda query=query: admin.get(LIST + query))
    visit("change form", lambda: admin.get(f"{change}change/"))
    visit("add form", lambda: admin.get(f"{LIST}add/"))
    visit("save", lambda: admin.post(f"{change}change/", form), 302)
    visit("history", lambda: admin.get(f"{change}history/"))
    visit("delete confirmation", lambda: admin.get(f"{change}delete/"))
    visit("the action", lambda: act("publish_test_message"), 302)
    visit("delete these?", lambda: act("delete_selected"))
    visit("delete these", lambda: act("delete_selected", post="yes"), 302)
    return queries


@pytest.mark.slow
def test_every_page_takes_as_many_queries_with_many_as_with_few(admin, publications):
    pages(admin, fill(2, groups=2))  # content types are asked for once and remembered
    few = pages(admin, fill(60, groups=2, start=2)[:3])
    many = pages(admin, fill(MANY, groups=200, start=62))
    assert many == few
    assert max(many.values()) <= 36, many


def test_the_forms_do_not_grow_with_the_users(admin):
    [row, *_more] = fill(300, groups=200)
    page = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert {"user0", "user1"} == set(re.findall(r">(user\d+)<", page))
    assert re.findall(r">(user\d+)<", admin.get(f"{LIST}add/").content.decode()) == []


def test_users_are_found_by_name(admin, make_user):
    ann = make_user("ann")
    row = Channel.objects.create(name="$c", level="groups")
    answer = admin.get(
        "/admin/autocomplete/",
        {"term": "an", "app_label": "instant", "model_name": "channel", "field_name": "members"},
    )
    assert answer.json()["results"] == [{"id": str(ann.pk), "text": "ann"}]
    admin.post(f"{LIST}{row.pk}/change/", form_of(row, members=[ann.pk], publishers=[ann.pk]))
    assert [*row.members.all(), *row.publishers.all()] == [ann, ann]


def test_who_may_not_look_at_users_types_their_keys(client, make_user):
    editor, ann = make_user("editor", is_staff=True), make_user("ann")
    editor.user_permissions.add(Permission.objects.get(codename="change_channel"))
    client.force_login(editor)
    row = Channel.objects.create(name="$c", level="groups")
    change = f"{LIST}{row.pk}/change/"
    assert "admin-autocomplete" not in client.get(change).content.decode()
    assert client.post(change, form_of(row, members=f"{ann.pk}", publishers="")).status_code == 302
    assert list(row.members.all()) == [ann]


@pytest.mark.slow
def test_a_list_of_thousands_can_be_saved(admin):
    """Django refuses a form of more than 1,000 fields."""
    [row, *_more] = fill(1200, groups=2)
    row.members.set(get_user_model().objects.filter(username__startswith="user"))
    page = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    [keys] = re.findall(r'name="members" value="([\d,]+)"', page)
    assert keys.count(",") == 1199
    keys = keys.partition(",")[2]
    assert admin.post(f"{LIST}{row.pk}/change/", form_of(row, members=keys)).status_code == 302
    assert row.members.count() == 1199


# Rights that the admin takes away


@pytest.fixture
def enforced(transactional_db):
    """A backend that has a server, which is away: what is to be enforced stays a row."""
    with override_settings(
        CENTRIFUGO_PORT=1,
        INSTANT={
            "DIR": "/nonexistent",
            "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
            "ENFORCE_IN_BACKGROUND": False,
        },
    ):
        yield


def losses():
    found = [revocation.loss for revocation in Revocation.objects.order_by("pk")]
    Revocation.objects.all().delete()
    return found


def test_a_group_taken_off_in_the_form_is_enforced(enforced, admin):
    red, blue = (Group.objects.create(name=name) for name in ("red", "blue"))
    row = Channel.objects.create(name="$c", level="groups")
    row.groups.set([red, blue])
    losses()
    admin.post(f"{LIST}{row.pk}/change/", form_of(row, description="only words"))
    assert losses() == []
    admin.post(f"{LIST}{row.pk}/change/", form_of(row, groups=[blue.pk]))
    assert losses() == [{"channels": ["$c"]}]


def test_a_member_taken_off_and_another_level_too(enforced, admin, make_user):
    ann, bob = make_user("ann"), make_user("bob")
    row = Channel.objects.create(name="$c", level="groups")
    row.members.set([ann, bob])
    admin.post(f"{LIST}{row.pk}/change/", form_of(row, members=[bob.pk]))
    assert losses() == [{"subscriptions": {str(ann.pk): ["$c"]}}]
    admin.post(f"{LIST}{row.pk}/change/", form_of(row, level="staff"))
    assert losses() == [{"channels": ["$c"]}]


def test_channels_that_are_deleted_together_are_enforced(enforced, admin):
    rows = [Channel.objects.create(name=f"$c{n}", level="users") for n in range(3)]
    marked = [row.pk for row in rows[:2]]
    delete = {"action": "delete_selected", "_selected_action": marked, "post": "yes"}
    assert admin.post(LIST, delete).status_code == 302
    found = losses()
    assert sorted(name for loss in found for name in loss["channels"]) == ["$c0", "$c1"]
    assert Channel.objects.get() == rows[2]
    admin.post(f"{LIST}{rows[2].pk}/delete/", {"post": "yes"})
    assert losses() == [{"channels": ["$c2"]}]
