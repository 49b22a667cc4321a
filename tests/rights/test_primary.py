"""Sites with a read replica: rights are decided by what has been committed."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import router
from django.test import Client, override_settings

from instant import Namespace
from instant.centrifugo.proxy import HEADER
from instant.models import Channel
from instant.rights.primary import reading_from_primary

pytestmark = pytest.mark.django_db(databases=["default", "other"])
HERE = "tests.rights.test_primary"
SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


class Replica:
    """Reads go to a database that lags."""

    def db_for_read(self, model, **hints):
        return "other"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True


class Knows:
    """A middleware that asks who it is before the view does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        assert request.user.is_authenticated
        return self.get_response(request)


@pytest.fixture
def site(registry, make_user):
    """Ann was staff and in a group when the replica was told last, and has a session."""
    ann = make_user("ann", is_staff=True, groups=["red"])
    row = Channel.objects.create(name="$staff", level="staff")
    client = Client(headers={"Sec-Fetch-Site": "same-origin"})
    client.force_login(ann)
    for one in (ann, row, *Group.objects.all(), *Session.objects.all()):
        one.save(using="other")
    get_user_model().groups.through.objects.using("other").create(
        user_id=ann.pk, group_id=Group.objects.get().pk
    )

    def in_group(self, user, pk):
        return user.groups.filter(name="red").exists()

    for name, authorize in (("red", "token"), ("asked", "proxy")):
        attributes = {"name": name, "pattern": "<int:pk>", "authorize": authorize}
        type(name, (Namespace,), {**attributes, "can_subscribe": in_group})
    with override_settings(DATABASE_ROUTERS=[f"{HERE}.Replica"]):
        yield client, ann


def names(client):
    body = json.dumps({"channels": ["$staff", "red:1"]})
    answer = client.post("/instant/get_token/", body, content_type="application/json").json()
    return [channel["name"] for channel in answer["channels"]]


def asked(user):
    body = {"client": "c", "user": str(user.pk), "channel": "asked:1"}
    with override_settings(CENTRIFUGO_PROXY_SECRET="s" * 20):
        return (
            Client()
            .post("/instant/proxy/subscribe/", body, "application/json", headers={HEADER: "s" * 20})
            .json()
        )


def lose():
    get_user_model().objects.using("default").update(is_staff=False)
    get_user_model().groups.through.objects.using("default").all().delete()


@pytest.mark.parametrize("before", [[], [f"{HERE}.Knows"]], ids=["lazily", "a middleware knows"])
def test_tokens_are_for_what_was_committed(site, before):
    client, _ = site
    with override_settings(MIDDLEWARE=[*SESSIONS, *before]):
        assert names(client) == ["$staff", "red:1"]
        lose()
        assert get_user_model().objects.get().is_staff, "the replica is told"
        assert names(client) == []
        get_user_model().objects.using("default").update(is_active=False)
        answer = client.get("/instant/get_token/").json()
        assert [channel["name"] for channel in answer["channels"]] == []


def test_the_server_is_told_what_was_committed(site):
    _, ann = site
    assert "result" in asked(ann)
    lose()
    assert "error" in asked(ann)


def test_only_within(site):
    assert get_user_model().objects.get().pk
    with reading_from_primary():
        assert get_user_model().objects.all().db == "default"
        with reading_from_primary():
            assert get_user_model().objects.all().db == "default"
        assert get_user_model().objects.using("other").db == "other"
    assert get_user_model().objects.all().db == "other"


def test_a_site_without_routers_pays_nothing():
    with reading_from_primary():
        assert router.routers == []
