"""Guessing passwords at login/."""

import time

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, override_settings

from tests.views.test_login_throttle_counts import BACKENDS

SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def guess(db, post):
    """Log in from an address; return the status."""

    def send(name="ann", password="wrong", *, at="203.0.113.1", **headers):
        response = post(
            Client(raise_request_exception=False),
            "login",
            {"username": name, "password": password},
            headers=SITE | headers,
            REMOTE_ADDR=at,
        )
        send.response = response
        return response.status_code

    return send


@pytest.fixture
def asked(monkeypatch):
    """User names that authenticate() was asked for."""
    names = []
    model = get_user_model()
    real = model.check_password

    def check(self, raw):
        names.append(self.get_username())
        return real(self, raw)

    monkeypatch.setattr(model, "check_password", check)
    return names


def instant(**settings):
    return override_settings(INSTANT={"DIR": "/nonexistent", **settings})


def test_the_eleventh_guess_is_429_and_asks_nothing(guess, make_user, asked):
    make_user("ann")
    assert [guess() for _ in range(10)] == [403] * 10
    assert guess(password="pw") == 429  # the right one does not show either
    assert asked == ["ann"] * 10
    response = guess.response
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-store"
    wait = int(response["Retry-After"])
    assert 290 <= wait <= 300
    assert response.json() == {"error": f"Too many failed logins. Try again in {wait} seconds."}
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize(
    "name",
    ["ann", "bob", "ANN", "nobody", "nobody@example.com", "x" * 60_000, "%s\n\t ", "ä" * 300],
)
def test_known_unknown_and_inactive_names_are_answered_alike(guess, make_user, name):
    make_user("ann")
    make_user("bob", is_active=False)
    said = set()
    for _ in range(10):
        assert guess(name) == 403
        said.add(guess.response.content)
    assert len(said) == 1
    assert guess(name) == 429
    assert guess(name.upper()) == 429


def test_when_the_time_is_over_it_may_be_tried_again(guess, make_user, monkeypatch):
    make_user("ann")
    real = time.time
    assert [guess() for _ in range(11)] == [403] * 10 + [429]
    wait = int(guess.response["Retry-After"])
    monkeypatch.setattr(time, "time", lambda: real() + wait - 5)
    assert guess(password="pw") == 429
    monkeypatch.setattr(time, "time", lambda: real() + wait + 1)
    assert guess(password="pw") == 200


def test_success_clears_the_name_and_is_no_failure(guess, make_user):
    make_user("ann")
    for _ in range(3):
        assert [guess() for _ in range(9)] == [403] * 9
        assert guess(password="pw") == 200
        assert guess(password="pw") == 200
    assert [guess() for _ in range(4)] == [403] * 3 + [429]  # the thirtieth of this address


def test_many_names_from_one_address(guess, make_user):
    """Spraying: one password, many names."""
    make_user("ann")
    assert [guess(f"name{n}") for n in range(30)] == [403] * 30
    assert guess("another") == 429
    assert guess("ann", "pw") == 429
    assert guess("ann", "pw", at="203.0.113.2") == 200


def test_one_ipv6_customer_is_one_address(guess):
    assert [guess(at=f"2001:db8::{n:x}") for n in range(11)] == [403] * 10 + [429]
    assert guess(at="2001:db8:0:1::1") == 403


@override_settings(CACHES={"default": BACKENDS["memory"] | {"LOCATION": "victim"}})
def test_a_victim_logs_in_from_elsewhere_and_from_home(guess, make_user):
    make_user("ann")
    assert guess(password="pw", at="198.51.100.7") == 200  # at home, last week
    bots = [f"203.0.113.{n}" for n in range(1, 101)]
    assert [guess(at=bot) for bot in bots] == [403] * 100
    assert guess(at="192.0.2.1") == 429  # the name is closed to addresses nobody knows
    assert guess(password="pw", at="198.51.100.7") == 200
    assert guess("bob", at=bots[0]) == 403


@pytest.mark.parametrize(
    ("proxies", "statuses"),
    [
        # Nobody says who is a proxy: what any client can write is not read.
        (None, [403] * 10 + [429]),
        ([], [403] * 10 + [429]),
        (["192.0.2.0/24"], [403] * 10 + [429]),
        (["10.0.0.0/8"], [403] * 11),
    ],
)
def test_x_forwarded_for_counts_from_trusted_proxies_only(guess, proxies, statuses):
    with instant(TRUSTED_PROXIES=proxies):
        found = [guess(at="10.0.0.1", **{"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(11)]
    assert found == statuses


def test_what_a_client_writes_before_the_proxy_does_not_count(guess):
    with instant(TRUSTED_PROXIES=["10.0.0.0/8"]):
        found = [
            guess(at="10.0.0.1", **{"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.9, 10.0.0.7"})
            for n in range(11)
        ]
    assert found == [403] * 10 + [429]


def test_a_proxy_that_nobody_named_does_not_lock_everybody_out(guess, make_user):
    make_user("ann")
    through = {"X-Forwarded-For": "198.51.100.1"}
    assert {guess(f"name{n}", at="127.0.0.1", **through) for n in range(60)} == {403}
    assert guess("ann", "pw", at="127.0.0.1", **through) == 200


def test_other_limits(guess):
    with instant(THROTTLE={"PAIR": "2/m"}):
        assert [guess() for _ in range(3)] == [403, 403, 429]
        assert 50 <= int(guess.response["Retry-After"]) <= 60
    with instant(THROTTLE=None):
        assert {guess() for _ in range(120)} == {403}


def test_malformed_and_refused_requests_do_not_count(guess, make_user, post):
    make_user("ann")
    for _ in range(40):
        extra = {"headers": SITE, "REMOTE_ADDR": "203.0.113.1"}
        assert post(Client(), "login", {"username": "ann"}, **extra).status_code == 400
    evil = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    for _ in range(40):
        assert guess(**evil) == 403
    assert guess(password="pw") == 200


@override_settings(AUTHENTICATION_BACKENDS=["tests.views.test_identity.Raises"])
def test_a_backend_with_a_bug_is_no_failed_login(guess):
    assert {guess() for _ in range(15)} == {500}


@override_settings(CACHES={"default": {"BACKEND": "tests.views.test_login_throttle_counts.Broken"}})
def test_without_the_cache_logins_go_on(guess, make_user, caplog):
    make_user("ann")
    assert {guess() for _ in range(15)} == {403}
    assert guess(password="pw") == 200
    assert "logins are not throttled" in caplog.text


@override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}})
def test_a_dummy_cache_counts_nothing(guess):
    assert {guess() for _ in range(15)} == {403}


@pytest.mark.django_db(databases=["default"])
def test_failures_survive_atomic_requests(guess, make_user, settings):
    from django.core.management import call_command
    from django.db import connection

    options = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "some_cache"}
    with override_settings(CACHES={"default": options}):
        call_command("createcachetable", verbosity=0)
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            assert [guess() for _ in range(11)] == [403] * 10 + [429]
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_get_token_asks_no_cache(web):
    with override_settings(
        CACHES={"default": {"BACKEND": "tests.views.test_login_throttle_counts.Broken"}}
    ):
        assert web.get("/instant/get_token/").status_code == 200
