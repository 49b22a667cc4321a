"""Failed logins, counted in every cache that Django brings."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from instant.conf.throttle import parse_limits
from instant.rights.client_address import Address
from instant.views import login_throttle
from instant.views.login_throttle import TooManyFailures
from tests.ports import free_port

pytestmark = pytest.mark.timed

HERE, THERE = Address("203.0.113.1", shared=False), Address("203.0.113.2", shared=False)
SHARED, NOWHERE = Address("10.0.0.1", shared=True), Address(None, shared=True)


class Clock:
    """The time, which tests move on."""

    def __init__(self):
        self.passed = 0
        self._real = time.time

    def __call__(self):
        return self._real() + self.passed


@pytest.fixture
def clock(monkeypatch):
    moved = Clock()
    monkeypatch.setattr(time, "time", moved)
    return moved


ROOM = {"MAX_ENTRIES": 10_000}
BACKENDS = {
    "memory": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "throttles",
        "OPTIONS": ROOM,
    },
    "file": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "OPTIONS": ROOM},
    "database": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "a_cache",
        "OPTIONS": ROOM,
    },
}


SERVERS = {
    "redis": (
        "django.core.cache.backends.redis.RedisCache",
        ["redis-server", "--save", "", "--bind", "127.0.0.1", "--port"],
        "redis://127.0.0.1:{}",
    ),
    "memcached": (
        "django.core.cache.backends.memcached.PyMemcacheCache",
        ["memcached", "-u", "root", "-l", "127.0.0.1", "-p"],
        "127.0.0.1:{}",
    ),
}


@contextlib.contextmanager
def running(kind):
    """Run a cache server, and give the settings for it."""
    backend, command, location = SERVERS[kind]
    port = free_port()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, str(port)], stdout=quiet, stderr=quiet)
    try:
        until_listening(process, port)
        yield {"BACKEND": backend, "LOCATION": location.format(port)}
    finally:
        process.kill()
        process.wait()


def until_listening(process, port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
    raise RuntimeError(f"{process.args} does not listen")


def needs(kind):
    missing = shutil.which(SERVERS[kind][1][0]) is None
    return pytest.param(kind, marks=pytest.mark.skipif(missing, reason=f"no {kind} on PATH"))


@pytest.fixture(params=[*BACKENDS, *map(needs, SERVERS)])
def cache(request, tmp_path):
    """Each kind with a timeout of its own that is too short: a count must not use it."""
    with contextlib.ExitStack() as stack:
        if request.param in SERVERS:
            options = stack.enter_context(running(request.param))
        else:
            options = {"LOCATION": str(tmp_path), **BACKENDS[request.param]}
        if request.param == "database":
            request.getfixturevalue("db")
        stack.enter_context(override_settings(CACHES={"default": options | {"TIMEOUT": 1}}))
        if request.param == "database":
            call_command("createcachetable", verbosity=0)
        yield caches["default"]
        caches["default"].clear()
        caches["default"].close()


@pytest.fixture
def memory():
    with override_settings(CACHES={"default": BACKENDS["memory"]}):
        yield caches["default"]
        caches["default"].clear()


def fail(address, name, limits=None):
    with login_throttle.attempt(limits or parse_limits({}), address, name):
        pass


def succeed(address, name, limits=None):
    with login_throttle.attempt(limits or parse_limits({}), address, name) as tried:
        tried.succeeded()


def failures(address, name, limits=None):
    """Fail till it is refused; return how often that was possible, and the wait."""
    for count in range(1000):
        try:
            fail(address, name, limits)
        except TooManyFailures as exc:
            return count, exc.retry_after
    raise AssertionError("never refused")


def test_ten_failures_of_one_name_at_one_address(cache):
    count, wait = failures(HERE, "ann")
    assert count == 10
    assert 290 <= wait <= 300
    assert failures(HERE, "bob")[0] == 10
    assert failures(THERE, "ann")[0] == 10


def test_a_failure_is_forgotten_when_its_time_is_over(memory, clock):
    fail(HERE, "ann")
    clock.passed = 100
    count, wait = failures(HERE, "ann")
    assert count == 9
    assert 199 <= wait <= 201
    clock.passed = 199
    assert failures(HERE, "ann")[0] == 0
    clock.passed = 301
    assert failures(HERE, "ann")[0] == 1  # the first is over, the other nine are not
    clock.passed = 402
    assert failures(HERE, "ann")[0] == 9


def test_refused_attempts_do_not_prolong_it(memory, clock):
    assert failures(HERE, "ann")[0] == 10
    for clock.passed in range(0, 300, 30):
        assert failures(HERE, "ann")[0] == 0
    clock.passed = 301
    assert failures(HERE, "ann")[0] == 10


def test_thirty_failures_of_one_address(cache):
    for number in range(30):
        fail(HERE, f"name{number}")
    assert failures(HERE, "another")[0] == 0
    assert failures(THERE, "another")[0] == 10


def test_success_forgets_the_names_failures_there_and_no_others(cache):
    for _ in range(9):
        fail(HERE, "ann")
        fail(THERE, "ann")
    succeed(HERE, "ann")
    assert failures(HERE, "ann")[0] == 10
    assert failures(THERE, "ann")[0] == 1


def test_an_account_of_ones_own_clears_no_address(memory):
    """Else a spammer of names would log in between, and never be stopped."""
    for number in range(30):
        fail(HERE, f"name{number}")
    assert failures(HERE, "ann")[0] == 0
    with pytest.raises(TooManyFailures):
        succeed(HERE, "mallory")


def test_success_counts_as_nothing(memory):
    for _ in range(200):
        succeed(HERE, "ann")


def test_a_hundred_failures_of_one_name_from_everywhere(memory):
    for number in range(100):
        fail(Address(f"198.51.100.{number}", shared=False), "ann")
    assert failures(HERE, "ann")[0] == 0
    assert failures(HERE, "bob")[0] == 10


def test_a_botnet_does_not_lock_out_a_user_at_a_known_address(memory, clock):
    succeed(HERE, "ann")
    clock.passed = 13 * 86_400
    for number in range(100):
        fail(Address(f"198.51.100.{number}", shared=False), "ann")
    assert failures(THERE, "ann")[0] == 0
    fail(HERE, "ann")
    succeed(HERE, "ann")
    # Neither for ever nor for others, and there too ten are enough.
    assert failures(HERE, "ann")[0] == 10
    clock.passed += 15 * 86_400
    for number in range(100):
        fail(Address(f"198.51.100.{number}", shared=False), "ann")
    assert failures(HERE, "ann")[0] == 0


def test_an_administrator_is_told_once_of_a_proxy_without_a_name(memory, caplog):
    login_throttle._tell_of_proxy.cache_clear()
    fail(HERE, "ann")
    fail(HERE, "ann", parse_limits({"ADDRESS": None}))
    fail(SHARED, "ann", parse_limits({"ADDRESS": None}))
    assert "TRUSTED_PROXIES" not in caplog.text
    for address in (SHARED, NOWHERE, SHARED):
        fail(address, "ann")
    assert caplog.text.count("TRUSTED_PROXIES") == 1


def test_everybodys_address_locks_nobody_else_out(memory):
    for number in range(200):
        fail(SHARED, f"name{number}")
    assert failures(SHARED, "ann")[0] == 10
    for number in range(200):
        fail(NOWHERE, f"name{number}")
    assert failures(NOWHERE, "bob")[0] == 100


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ann", "ANN", True),
        ("ann", " ann ", True),
        ("ann", "ａｎｎ", True),  # full width
        ("ann", "ánn", True),  # MySQL
        ("ann", "a\u200bnn", True),  # zero width
        ("mike", "mıke", True),  # UPPER() of PostgreSQL
        ("strasse", "STRAßE", True),
        ("istanbul", "İstanbul", True),
        ("süd", "su\u0308d", True),
        ("ann", "anna", False),
        ("a b", "ab", False),
        ("ann", "аnn", False),  # Cyrillic: no database takes it for the other
        ("", "x", False),
    ],
)
def test_other_spellings_of_a_name_find_no_fresh_limit(memory, first, second, same):
    assert failures(HERE, first)[0] == 10
    assert failures(HERE, second)[0] == (0 if same else 10)


def test_keys_suit_every_cache_and_tell_nothing(memory, recwarn):
    name = "ann@example.com\n\t " + "ﷺ" * 5000
    fail(HERE, name)
    succeed(HERE, name)
    fail(HERE, name)
    keys = [key.split(":", 2)[2] for key in memory._cache]
    # A slot of each limit, twice for the address, and that the address is known.
    assert len(keys) == 5
    for key in keys:
        assert key.isascii()
        assert key.isprintable()
        assert " " not in key
        assert len(key) < 200
        assert "ann" not in key
        assert "203" not in key
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["memory", *map(needs, SERVERS)])
def test_attempts_of_the_same_moment_find_no_more_slots(kind):
    """Each waits till all have begun: nobody may look first and count later."""
    allowed, limits = [], parse_limits({})
    begun, ended = threading.Barrier(40), threading.Barrier(40)

    def guess():
        begun.wait(60)
        try:
            with login_throttle.attempt(limits, HERE, "ann"):
                allowed.append(1)
                ended.wait(60)
        except TooManyFailures:
            ended.wait(60)
        finally:
            caches["default"].close()

    with contextlib.ExitStack() as stack:
        options = stack.enter_context(running(kind)) if kind in SERVERS else BACKENDS[kind]
        stack.enter_context(override_settings(CACHES={"default": options}))
        threads = [threading.Thread(target=guess) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        caches["default"].clear()
        caches["default"].close()
    assert len(allowed) == 10


def test_an_exception_is_no_attempt(memory):
    for _ in range(50):
        with pytest.raises(LookupError), login_throttle.attempt(parse_limits({}), HERE, "ann"):
            raise LookupError
    assert failures(HERE, "ann")[0] == 10


def test_where_one_limit_is_reached_no_other_is_charged(memory):
    limits = parse_limits({"PAIR": "10/5m", "ADDRESS": "12/5m"})
    assert failures(HERE, "ann", limits)[0] == 10
    with pytest.raises(TooManyFailures):
        fail(HERE, "ann", limits)
    assert failures(HERE, "bob", limits)[0] == 2
    for _ in range(5):
        with pytest.raises(TooManyFailures):
            fail(HERE, "bob", limits)  # ADDRESS refuses after PAIR has given a slot
    assert len([key for key in memory._cache if ".pair:" in key]) == 12


@pytest.mark.parametrize("key", ["PAIR", "ADDRESS", "NAME"])
def test_each_limit_can_be_left_out(memory, key):
    only = dict.fromkeys(["PAIR", "ADDRESS", "NAME"]) | {key: "3/m"}
    assert failures(HERE, "ann", parse_limits(only))[0] == 3
    off = parse_limits(dict.fromkeys(["PAIR", "ADDRESS", "NAME"]))
    for _ in range(500):
        fail(HERE, "ann", off)


def test_no_throttle_asks_no_cache(memory):
    for _ in range(500):
        with login_throttle.attempt(None, HERE, "ann"):
            pass
    succeed(HERE, "ann", None)
    assert [k for k in memory._cache if "known" not in k] == []


def test_a_cache_of_its_own():
    both = {"default": BACKENDS["memory"], "logins": BACKENDS["memory"] | {"LOCATION": "logins"}}
    with override_settings(CACHES=both):
        limits = parse_limits({"CACHE": "logins"})
        assert failures(HERE, "ann", limits)[0] == 10
        assert not caches["default"]._cache
        caches["logins"].clear()


class Broken:
    """A cache server that is away."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        raise ConnectionError("the cache is away")

    def close(self, **kwargs):
        pass


class Forgetful(Broken):
    """A cache that fails without a word, as Memcached does over quota or a read-only table."""

    def get(self, key):
        return None

    def get_many(self, keys):
        return {}

    def add(self, *args):
        return False

    def set(self, *args):
        pass

    def delete_many(self, keys):
        pass


@pytest.mark.parametrize("kind", ["Broken", "Forgetful"])
def test_a_broken_cache_is_logged_and_lets_logins_go_on(kind, caplog):
    with override_settings(
        CACHES={"default": {"BACKEND": f"tests.views.test_login_throttle_counts.{kind}"}}
    ):
        for _ in range(50):
            fail(HERE, "ann")
            succeed(HERE, "ann")
    assert "logins are not throttled" in caplog.text
    assert "ann" not in caplog.text


def test_a_table_that_is_not_there(db, caplog):
    options = BACKENDS["database"] | {"LOCATION": "nowhere"}
    with override_settings(CACHES={"default": options}):
        fail(HERE, "ann")
        assert connection.is_usable()
    assert "logins are not throttled" in caplog.text


def test_a_refusal_is_logged_with_the_address_and_without_the_name(memory, caplog):
    failures(HERE, "ann")
    assert "A login from 203.0.113.1 is refused" in caplog.text
    assert "ann" not in caplog.text
