"""``INSTANT["CALLS"]``: how much one connection may ask."""

import threading
from itertools import repeat

import pytest
from django.core.cache import caches
from django.test import override_settings

from instant import Namespace, on_rpc
from instant.exceptions import InstantConfigError
from instant.handlers import Refused
from instant.inbound import connection_limit
from instant.inbound.connection_limit import check_connection
from tests.inbound import asking
from tests.inbound.asking import SECRET, ask
from tests.views.test_login_throttle_counts import BACKENDS


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """How often the cache was asked, by one process that has counted nothing yet."""
    monkeypatch.setattr(connection_limit, "_connections", connection_limit._Connections())
    with override_settings(CACHES={"default": BACKENDS["memory"] | {"LOCATION": "calls"}}):
        cache = caches["default"]
        seen = []
        for name in ("get_many", "add"):
            real = getattr(cache, name)
            monkeypatch.setattr(
                cache, name, lambda *args, real=real: (seen.append(1), real(*args))[1]
            )
        yield seen
        cache.clear()


def instant(**settings):
    return override_settings(INSTANT={"DIR": "/nonexistent", **settings})


def passed(client):
    for count in range(1000):
        try:
            check_connection(client)
        except Refused as exc:
            return count, exc.retry_after
    return 1000, None


@pytest.mark.parametrize("times", [1, 7, 100, 105, 999])
def test_a_process_lets_so_many_through(times):
    with instant(CALLS=f"{times}/m"):
        count, wait = passed("a")
        assert count == times
        assert 55 <= wait <= 60
        assert passed("a")[0] == 0
        assert passed("b")[0] == times


def test_by_default_a_hundred_in_ten_seconds():
    count, wait = passed("a")
    assert count == 100
    assert wait <= 10


def another_process(monkeypatch):
    monkeypatch.setattr(connection_limit, "_connections", connection_limit._Connections())


def test_processes_count_together_but_for_a_tenth_of_each(monkeypatch):
    counts = []
    for _ in range(5):
        another_process(monkeypatch)
        for _ in range(25):
            check_connection("a")
    for _ in range(3):
        another_process(monkeypatch)
        counts.append(passed("a")[0])
        assert len(connection_limit._connections._known["a"].times) == 9  # not the refused one
    # Ten parts were free, of which the five have taken two each.
    assert counts == [9, 9, 9]


def test_whoever_is_refused_costs_the_cache_nothing(asked, monkeypatch):
    passed("a")
    for _ in range(2):
        before = len(asked)
        for _ in range(100):
            with pytest.raises(Refused):
                check_connection("a")
        assert len(asked) == before
        another_process(monkeypatch)
        passed("a")


def test_none_lifts_it_and_callers_without_a_connection_are_not_counted(asked):
    with instant(CALLS=None):
        assert passed("a")[0] == 1000
    assert passed("")[0] == 1000
    assert not asked


def test_whoever_asks_little_costs_the_cache_nothing(asked):
    for client in range(1000):
        for _ in range(9):
            check_connection(str(client))
    assert not asked
    check_connection("1")
    assert len(asked) == 2


def test_what_is_old_is_forgotten(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for client in range(100):
        check_connection(str(client))
    now[0] += 5
    check_connection("1")
    assert len(connection_limit._connections._known) == 100
    now[0] += 6
    check_connection("new")
    assert set(connection_limit._connections._known) == {"1", "new"}
    monkeypatch.setattr(connection_limit, "_MOST", 50)
    for client in range(200):
        check_connection(f"more {client}")
    assert len(connection_limit._connections._known) == 50


def test_slow_callers_are_never_refused(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: now[0])
    for _ in range(2000):
        now[0] += 0.1001
        check_connection("a")


def test_threads_count_together():
    with instant(CALLS="100/m"):
        counts = []
        threads = [threading.Thread(target=lambda: counts.append(passed("a")[0])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(counts) == 100


def test_where_the_cache_fails_each_process_counts_alone(caplog):
    broken = {"default": {"BACKEND": "tests.views.test_login_throttle_counts.Broken"}}
    with override_settings(CACHES=broken):
        assert passed("a")[0] == 100
    assert "this process counts" in caplog.text


@pytest.mark.django_db
@override_settings(CENTRIFUGO_PROXY_SECRET=SECRET)
def test_calls_and_publications_are_counted_together(registry, make_user, monkeypatch):
    monkeypatch.setattr(asking, "CLIENTS", repeat("c"))

    class Room(Namespace):
        name, pattern = "room", "<int:pk>"
        client_publish = "ask"

        def can_publish(self, user, pk):
            return True

    @on_rpc("x")
    def function(call):
        return 1

    ann = make_user("ann")
    with instant(CALLS="3/m"):
        answers = [
            ask("rpc", ann, method="x", data={}),
            ask("publish", ann, channel="room:1", data={}),
            ask("rpc", ann, method="nothing", data={}),
            ask("publish", ann, channel="room:1", data={}),
        ]
        error = ask("rpc", ann, method="x", data={})["error"]
    assert ["error" in answer for answer in answers] == [False, False, True, True]
    assert answers[2]["error"]["code"] == 404
    assert (error["code"], error["temporary"]) == (429, True)
    assert error["message"].startswith("too many calls; try again in ")


def test_settings_that_cant_be():
    for settings, said in [
        ({"CALLS": "many"}, "INSTANT\\['CALLS'\\] must be like"),
        ({"CACHE": "nowhere"}, "INSTANT\\['CACHE'\\] must be a name in CACHES"),
        ({"CACHE": None}, "INSTANT\\['CACHE'\\] must be a name in CACHES"),
    ]:
        with instant(**settings), pytest.raises(InstantConfigError, match=said):
            check_connection("a")
