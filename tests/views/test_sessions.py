"""Sessions that another person has chosen, and users who change under an open session."""

import json

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, override_settings

KEY = "test-hmac-key-0123456789-0123456789-0123456789"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def whose(post):
    """Tell as whom a client gets tokens, from all three endpoints; None: it gets none."""

    def ask(client):
        found = set()
        for send in (
            lambda: client.get("/instant/get_token/"),
            lambda: post(client, "get_token", headers=SAME),
            lambda: post(client, "subscribe", headers=SAME),
        ):
            response = send()
            if response.status_code == 403:
                found.add(None)
                continue
            assert response.status_code == 200
            body = response.json()
            tokens = [c["token"] for c in body["channels"]] + [body.get("ws_token")]
            found |= {
                jwt.decode(token, KEY, algorithms=["HS256"], audience="tests")["sub"]
                for token in filter(None, tokens)
            }
        assert len(found) == 1
        return found.pop()

    return ask


@pytest.fixture
def login(post):
    def send(client, name, password="pw"):
        return post(client, "login", {"username": name, "password": password}, headers=SAME)

    return send


@pytest.fixture(autouse=True)
def channels(make_channel):
    make_channel("public")
    make_channel("$users", "users")


def test_a_session_that_the_attacker_has_chosen(make_user, login, whose):
    """Fixation: the victim's browser was given the attacker's cookie before the login."""
    user = make_user("ann")
    planted = SessionStore()
    planted["from"] = "the attacker"
    planted.create()
    victim, attacker = Client(), Client()
    for client in (victim, attacker):
        client.cookies["sessionid"] = planted.session_key
    assert login(victim, "ann").status_code == 200
    assert victim.cookies["sessionid"].value != planted.session_key
    assert not SessionStore().exists(planted.session_key)
    assert whose(victim) == str(user.pk)
    assert whose(attacker) == ""


def test_a_cookie_that_is_no_session(make_user, login):
    make_user("ann")
    victim = Client()
    victim.cookies["sessionid"] = chosen = "chosen0by0the0attacker0000000000"
    login(victim, "ann")
    assert victim.cookies["sessionid"].value != chosen
    assert not SessionStore().exists(chosen)


def test_the_session_of_another_user_is_not_inherited(make_user, login, whose):
    make_user("mallory")
    victim = make_user("ann")
    client = Client()
    login(client, "mallory")
    session = client.session
    session["cart"] = "the attacker's"
    session.save()
    login(client, "ann")
    assert whose(client) == str(victim.pk)
    assert "cart" not in client.session


def test_a_failed_login_changes_no_session(make_user, login, whose):
    user = make_user("ann")
    make_user("bob")
    client = Client()
    login(client, "ann")
    before = client.session.session_key
    for name in ("bob", "nobody"):
        assert login(client, name, "wrong").status_code == 403
    assert client.session.session_key == before
    assert whose(client) == str(user.pk)


def test_the_csrf_token_changes_at_login(make_user, login, db):
    make_user("ann")
    client = Client()
    before = client.get("/instant/get_token/").cookies["csrftoken"].value
    login(client, "ann")
    assert client.cookies["csrftoken"].value != before


def test_the_cookies_flags_are_the_sites(make_user, login):
    make_user("ann")
    with override_settings(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Strict"):
        cookie = login(Client(), "ann").cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Strict"


def test_logout_ends_the_session_for_whoever_has_its_cookie(make_user, login, post, whose):
    make_user("ann")
    client, thief = Client(), Client()
    login(client, "ann")
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    post(client, "logout", headers=SAME)
    assert whose(thief) == ""


CHANGES = {
    "deleted": lambda user: user.delete(),
    "deactivated": lambda user: _set(user, is_active=False),
    "deactivated in one query": lambda user: _rows(user).update(is_active=False),
    "password changed": lambda user: (user.set_password("new"), user.save()),
    "password made unusable": lambda user: (user.set_unusable_password(), user.save()),
}


def _rows(user):
    return get_user_model().objects.filter(pk=user.pk)


def _set(user, **values):
    for name, value in values.items():
        setattr(user, name, value)
    user.save()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("anonymous", [True, False])
def test_a_user_who_changes_under_an_open_session(make_user, login, whose, change, anonymous):
    user = make_user("ann")
    client = Client()
    login(client, "ann")
    assert whose(client) == str(user.pk)
    CHANGES[change](user)
    with override_settings(INSTANT={"DIR": "/nonexistent", "ANONYMOUS": anonymous}):
        assert whose(client) == ("" if anonymous else None)


@pytest.mark.parametrize("change", ["deleted", "deactivated"])
def test_who_is_gone_gets_no_channel_by_name(make_user, login, post, change):
    user = make_user("ann")
    client = Client()
    login(client, "ann")
    CHANGES[change](user)
    names = {"channels": ["$users", f"user:{user.pk or 1}", "public"]}
    found = post(client, "subscribe", names, headers=SAME).json()["channels"]
    assert [channel["name"] for channel in found] == ["public"]


def test_a_session_backend_that_keeps_inactive_users(make_user, whose):
    backend = "django.contrib.auth.backends.AllowAllUsersModelBackend"
    with override_settings(AUTHENTICATION_BACKENDS=[backend]):
        user, client = make_user("ann"), Client()
        client.force_login(user)
        assert whose(client) == str(user.pk)
        CHANGES["deactivated"](user)
        assert whose(client) == ""


@pytest.mark.parametrize("engine", ["signed_cookies", "cache", "cached_db", "db"])
def test_every_session_engine(make_user, login, whose, engine):
    user, client = make_user("ann"), Client()
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        assert login(client, "ann").status_code == 200
        assert whose(client) == str(user.pk)
        CHANGES["deactivated"](user)
        assert whose(client) == ""


def test_a_body_that_names_another_user_is_not_read(make_user, login, whose, post):
    user, other = make_user("ann"), make_user("bob")
    client = Client()
    login(client, "ann")
    for claim in ("user", "sub", "user_id", "id", "username", "aud", "exp"):
        body = {claim: str(other.pk), "channels": [f"user:{other.pk}", f"user:{user.pk}"]}
        answered = json.dumps(post(client, "get_token", body, headers=SAME).json()["channels"])
        assert f"user:{other.pk}" not in answered
    assert whose(client) == str(user.pk)
