"""Why a channel was left out, as developers are told under DEBUG."""

import json
import logging

import pytest
from django.contrib.auth.models import AnonymousUser

from instant import Namespace, permissions
from instant.rights import refusals as module
from instant.rights.refusals import refusals

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture(autouse=True)
def _nothing_logged(monkeypatch):
    monkeypatch.setattr(module, "_logged", set())


def declare(name="order", **attributes):
    return type(name.title(), (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})


def refuse(self, user, pk):
    return False


@pytest.mark.parametrize(
    ("name", "cause", "said"),
    [
        ("two words", "name", "white space. Use 'two-words'"),
        ("nothing-like-it", "missing", "Add it in the admin"),
        ("newz", "misspelt", "there is 'news'"),
        ("staff", "misspelt", "there is '$staff'"),
        ("$news", "misspelt", "there is 'news'"),
        ("ordr:7", "misspelt", "there is 'order:7'"),
        ("order:7a", "missing", "its pattern is '<int:pk>'"),
        ("$off", "inactive", "Tick “active”"),
        ("$staff", "level", "is not staff"),
        ("$root", "level", "is no superuser"),
        ("$red", "level", "to one of its groups or to its members"),
        ("order:7", "rule", "Order.can_subscribe() refuses"),
        ("bare:7", "rule", "Write tests.rights.test_refusals.Bare.can_subscribe()"),
        ("user:0", "rule", "the channel of that user alone"),
    ],
)
def test_causes_for_a_user(make_user, make_channel, name, cause, said):
    user = make_user()
    make_channel("news")
    make_channel("$off", "users", is_active=False)
    make_channel("$staff", "staff")
    make_channel("$root", "superuser")
    make_channel("$red", "groups", groups=["red"])
    declare(can_subscribe=refuse)
    declare("bare")
    assert permissions.grants(user, [name]) == []
    [refusal] = refusals(user, [name]).values()
    assert refusal.cause == cause
    assert said in str(refusal)
    assert repr(name) in str(refusal)


@pytest.mark.parametrize("name", ["$users", "user:7"])
def test_what_needs_a_login(make_channel, name):
    make_channel("$users", "users")
    [refusal] = refusals(AnonymousUser(), [name]).values()
    assert refusal.cause == "login"
    assert "Log in" in str(refusal)


def test_a_row_in_a_namespace_decides_instead_of_the_rule(make_channel):
    declare("room", rows=True, can_subscribe=refuse)
    make_channel("room:1", is_active=False)
    found = refusals(AnonymousUser(), ["room:1", "room:2"])
    assert [refusal.cause for refusal in found.values()] == ["inactive", "rule"]


@pytest.mark.parametrize("endpoint", ["get_token", "subscribe"])
def test_the_page_and_the_log_are_told_under_debug(
    client, make_channel, settings, caplog, endpoint
):
    make_channel("news")

    def ask():
        body = json.dumps({"channels": ["news", "newz"]})
        return client.post(
            f"/instant/{endpoint}/", body, "application/json", HTTP_SEC_FETCH_SITE="same-origin"
        ).json()

    caplog.set_level(logging.WARNING, "instant.permissions")
    assert "refused" not in ask()
    assert caplog.messages == []
    settings.DEBUG = True
    text = "'newz' was left out: there is no such channel; there is 'news'. Correct the name."
    for _ in range(2):
        answer = ask()
        assert answer["refused"] == {"newz": text}
        assert [channel["name"] for channel in answer["channels"]] == ["news"]
    assert caplog.messages == [text]
    make_channel("newz", is_active=False)
    ask()
    assert len(caplog.messages) == 2
