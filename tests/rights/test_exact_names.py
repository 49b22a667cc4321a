"""Names compare exactly, whatever the database thinks of case, accents and spaces."""

import copy
import json

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from instant import Namespace, namespaces, permissions
from instant.models import Channel

ACTIONS = ("subscribe", "publish", "presence", "history")
OTHERS = ("NEWS", "news", "nEWS", "News ", "Néws", "News\0")


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(namespaces, "_registry", [])


@pytest.fixture
def careless(transactional_db):
    """Let the database compare names as MySQL's, and SQL Server's, default collations do."""
    if connection.vendor != "sqlite":
        pytest.skip("NOCASE is SQLite's")
    # As a migration does: with a model that has no abstract base.
    state = MigrationLoader(connection).project_state().apps.get_model("instant", "Channel")
    exact = state._meta.get_field("name")
    loose = copy.copy(exact)
    loose.db_collation = "NOCASE"
    with connection.schema_editor() as editor:
        editor.alter_field(state, exact, loose)
    Channel.objects.create(name="probe", level="public")
    assert Channel.objects.filter(name="PROBE").exists()
    Channel.objects.all().delete()
    yield
    with connection.schema_editor() as editor:
        editor.alter_field(state, loose, exact)


@pytest.fixture
def granted():
    """Return in how many ways a user has a channel."""

    def ask(user, name):
        web = Client(headers={"Sec-Fetch-Site": "same-origin"})
        if user is not None:
            web.force_login(user)
        body = json.dumps({"channels": [name]})
        answer = web.post("/instant/get_token/", body, content_type="application/json")
        found = [] if answer.status_code == 400 else answer.json()["channels"]
        return {
            *(action for action in ACTIONS if permissions.may(user, action, name)),
            *(f"grant {grant.name}" for grant in permissions.grants(user, [name])),
            *(f"token {channel['name']}" for channel in found),
            *(f"stays {pk}" for pk in permissions.permitted([user] if user else [], name)),
        }

    return ask


def everything(user, name):
    return {*ACTIONS, f"grant {name}", f"token {name}", f"stays {user.pk}"}


def check_exact(user, granted, name, others):
    assert granted(user, name) == everything(user, name)
    for other in others:
        assert granted(user, other) == set()


LEVELS = {"$News": "users", "News": "public"}


@pytest.mark.parametrize("name", LEVELS)
def test_a_row_grants_its_own_name_only(make_user, make_channel, granted, name):
    user = make_user()
    make_channel(name, LEVELS[name], publish_level="subscribers", presence_level="subscribers")
    check_exact(user, granted, name, spelt(name))


@pytest.mark.parametrize("name", LEVELS)
def test_nor_where_the_database_is_careless(careless, make_user, make_channel, granted, name):
    user = make_user()
    make_channel(name, LEVELS[name], publish_level="subscribers", presence_level="subscribers")
    check_exact(user, granted, name, spelt(name))


def spelt(name):
    prefix = name.removesuffix("News")
    return [prefix + other for other in OTHERS]


def test_lists_are_of_one_name_too(careless, make_user, granted):
    user = make_user(groups=["red"])
    row = Channel.objects.create(name="$News", level="groups", publish_level="listed")
    row.groups.set(Group.objects.all())
    row.publish_groups.set(Group.objects.all())
    assert granted(user, "$news") == set()
    assert {"subscribe", "publish"} <= granted(user, "$News")


def test_a_row_decides_for_its_own_name_only(careless, registry, make_user, granted):
    """The namespace decides on room:a, though there is a row room:A that everybody may."""
    type("Room", (Namespace,), {"name": "room", "pattern": "<str:key>", "rows": True})
    user = make_user()
    Channel.objects.create(name="$room:A", level="users")
    Channel.objects.create(name="room:A", level="public")
    assert "subscribe" in granted(user, "room:A")
    assert granted(user, "room:a") == granted(user, "$room:a") == set()


def test_nor_does_it_refuse_for_another(careless, registry, make_user, granted):
    rule = {"can_subscribe": lambda self, user, key: key == "a"}
    type("Room", (Namespace,), {"name": "room", "pattern": "<str:key>", "rows": True, **rule})
    user = make_user()
    Channel.objects.create(name="room:A", level="public", is_active=False)
    assert {"subscribe", "grant room:a", f"stays {user.pk}"} <= granted(user, "room:a")
    assert granted(user, "room:A") == set()


def test_pages_have_every_row_once(careless):
    names = ["a", "B", "c", "D", "e", "Zebra", "zoo"]
    Channel.objects.bulk_create(Channel(name=name, level="public") for name in names)
    found, after = [], ""
    while after is not None:
        page, after = permissions.grants_after(None, after, 2)
        found += [grant.name for grant in page]
    assert found == names


@pytest.mark.django_db
def test_names_that_differ_in_case_are_two_channels(make_user, granted):
    """Also on MySQL, whose column has a collation of its own for it."""
    user = make_user()
    for name, level in (("News", "public"), ("news", "public"), ("$news", "users")):
        Channel.objects.create(name=name, level=level)
    Channel.objects.create(name="$News", level="superuser")
    found, _after = permissions.grants_after(user, "", 9)
    assert {grant.name for grant in found} == {"News", "news", "$news", f"user:{user.pk}"}
    assert "subscribe" in granted(user, "$news")
    assert granted(user, "$News") == set()
    Channel.objects.get(name="news").delete()
    assert Channel.objects.filter(name__in=["news", "News"]).get().name == "News"


def test_only_mysql_is_told_how_to_compare(as_vendor):
    field = Channel._meta.get_field("name")
    here = connections["default"]
    as_vendor("mysql")
    assert field.db_parameters(here)["collation"] == "utf8mb4_bin"
    as_vendor("oracle")
    assert field.db_parameters(here)["collation"] is None
