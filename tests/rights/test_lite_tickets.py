"""Tickets of the lite script: once, within seconds, for one browser."""

import threading

import pytest
from django.core.cache import caches

from instant.rights import lite_tickets

CONNECTION = {"user": "7", "expire_at": 1, "subs": {"news": {}}}


@pytest.fixture(autouse=True)
def cache(settings, tmp_path):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "shared": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": tmp_path,
        },
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    settings.INSTANT = {**settings.INSTANT, "CACHE": "shared", "PROXY_URL": "http://127.0.0.1:8000"}
    return caches["shared"]


def test_it_opens_one_connection():
    ticket = lite_tickets.issue(CONNECTION, None)
    assert lite_tickets.redeem(ticket, None) == CONNECTION
    assert lite_tickets.redeem(ticket, None) is None


def test_each_is_another_and_long():
    first, second = (lite_tickets.issue(CONNECTION, None) for _ in range(2))
    assert first != second
    assert len(first) > 40


@pytest.mark.parametrize("given", [None, 7, "", "x", "acme~x", "a b~x", "\ud800", "~", ["~"]])
def test_what_is_no_ticket_opens_nothing(given):
    assert lite_tickets.redeem(given, None) is None


def test_it_is_the_sessions_that_asked():
    ticket = lite_tickets.issue(CONNECTION, "a-session")
    assert lite_tickets.redeem(ticket, "another") is None
    # It was used, if in vain.
    assert lite_tickets.redeem(ticket, "a-session") is None
    assert lite_tickets.redeem(lite_tickets.issue(CONNECTION, "a-session"), None) is None
    assert lite_tickets.redeem(lite_tickets.issue(CONNECTION, "a-session"), "a-session")
    # A visitor without a session may have one by then.
    assert lite_tickets.redeem(lite_tickets.issue(CONNECTION, None), "a-session")


def test_it_ends_after_seconds(monkeypatch):
    monkeypatch.setattr(lite_tickets, "LIFE", 0)
    assert lite_tickets.redeem(lite_tickets.issue(CONNECTION, None), None) is None


def test_of_two_at_the_same_time_one_is_the_first(monkeypatch, settings):
    """Both have read it before either deletes it."""
    settings.INSTANT = {**settings.INSTANT, "CACHE": "local"}  # whose add() holds a lock
    ticket = lite_tickets.issue(CONNECTION, None)
    both = threading.Barrier(2)
    shared = caches["local"]

    class Slow:
        def get(self, key):
            found = shared.get(key)
            both.wait(20)
            return found

        add, delete = shared.add, shared.delete

    slow = Slow()
    monkeypatch.setattr(lite_tickets, "_cache", lambda: slow)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(lite_tickets.redeem(ticket, None)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(bool, found)) == [False, True]


def test_the_cache_knows_no_ticket(cache, tmp_path):
    ticket = lite_tickets.issue(CONNECTION, "a-session")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert ticket.encode() not in kept
    assert b"a-session" not in kept


@pytest.mark.parametrize(
    ("alias", "proxy", "possible"),
    [
        ("shared", "http://127.0.0.1:8000", True),
        ("shared", None, False),
        ("local", "http://127.0.0.1:8000", False),
        ("default", "http://127.0.0.1:8000", False),
    ],
)
def test_where_they_are_possible(settings, alias, proxy, possible):
    settings.INSTANT = {**settings.INSTANT, "CACHE": alias, "PROXY_URL": proxy}
    assert lite_tickets.are_possible() is possible
