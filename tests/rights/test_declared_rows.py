"""``migrate`` makes the rows that code declares."""

import io

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import signals

from instant import Namespace, channel
from instant.models import Channel
from instant.permissions import may
from instant.rights.declared_rows import apply

pytestmark = [pytest.mark.usefixtures("registry"), pytest.mark.django_db]


def migrated(**more):
    out = io.StringIO()
    signals.post_migrate.send(
        apps.get_app_config("instant"),
        app_config=apps.get_app_config("instant"),
        using="default", verbosity=1, interactive=False, stdout=out, **more,
    )  # fmt: skip
    return out.getvalue()


def test_rows_are_made_once():
    channel("news", level="public", description="All news", presence_level="subscribers")
    channel("$desk", level="groups", groups=["desk"], publish_level="listed", publish_groups=["ed"])
    said = migrated()
    assert "Channel news: made, as declared in tests.rights.test_declared_rows:" in said
    news, desk = Channel.objects.get(name="news"), Channel.objects.get(name="$desk")
    assert (news.level, news.description, news.presence_level) == (
        "public",
        "All news",
        "subscribers",
    )
    assert [group.name for group in desk.groups.all()] == ["desk"]
    assert [group.name for group in desk.publish_groups.all()] == ["ed"]
    assert migrated() == ""
    assert Channel.objects.count() == 2


def test_what_differs_is_put_right_and_what_is_not_said_stays(make_user):
    channel("$desk", level="groups", groups=["desk"], store="cache")
    migrated()
    row = Channel.objects.get()
    row.groups.set([Group.objects.create(name="others")])
    row.members.add(ann := make_user())
    Channel.objects.update(level="staff", store="", is_active=False, description="by hand")
    assert "changed" in migrated()
    row.refresh_from_db()
    assert (row.level, row.store) == ("groups", "cache")
    assert (row.is_active, row.description) == (False, "by hand")
    assert [group.name for group in row.groups.all()] == ["desk"]
    assert list(row.members.all()) == [ann]


def test_rights_are_those_that_are_declared(make_user):
    channel("$desk", level="groups", groups=["desk"])
    migrated()
    assert may(make_user("a", groups=["desk"]), "subscribe", "$desk")
    assert not may(make_user("b"), "subscribe", "$desk")


def test_a_name_that_no_row_may_have_stops_no_migration(caplog):
    channel("room:7", level="public")  # no namespace “room” has rows
    channel("news", level="public")
    said = migrated()
    assert "Channel room:7: could not be made" in said
    assert "room:7" in caplog.text
    assert Channel.objects.get().name == "news"


def test_a_name_in_a_namespace_that_has_rows():
    type("Room", (Namespace,), {"name": "room", "rows": True})
    channel("room:7", level="public")
    migrated()
    assert Channel.objects.get().name == "room:7"


def test_tables_of_an_older_migration_are_left_alone():
    channel("news", level="public")
    loader = MigrationLoader(connection)
    old = loader.project_state([("instant", "0013_tickets")], at_end=True).apps
    assert migrated(apps=old) == ""
    assert migrated(apps=loader.project_state([], at_end=False).apps) == ""
    assert not Channel.objects.exists()
    assert "made" in migrated(apps=loader.project_state().apps)


def test_a_database_that_has_no_channels_of_ours(monkeypatch):
    channel("news", level="public")
    monkeypatch.setattr("django.db.router.allow_migrate_model", lambda *_: False)
    assert migrated() == ""


def test_the_command_makes_them():
    channel("news", level="public")
    out = io.StringIO()
    call_command("migrate", stdout=out, no_color=True)
    assert "Channel news: made" in out.getvalue()
    assert Channel.objects.get().name == "news"


def test_quiet(capsys):
    channel("news", level="public")
    call_command("migrate", verbosity=0)
    assert "news" not in capsys.readouterr().out
    assert Channel.objects.exists()


def test_apply_says_what_it_did():
    channel("news", level="public")
    from instant.channels.declared import find_declared

    declared = find_declared("news")
    assert [apply("default", declared), apply("default", declared)] == ["made", ""]
