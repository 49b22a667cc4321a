"""Fixtures that several rooms share, and what is so for all tests."""

import os
from pathlib import Path

import django
import hypothesis
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import signals
from django.test import override_settings

from instant import namespaces
from instant.broadcasting import declaration, receivers
from instant.channels import declared
from instant.inbound import registry as handlers
from instant.models import Channel
from instant.revoking import tables
from tests import real_server

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_xdist_auto_num_workers():
    """Say how many ``-n auto`` means. What takes long here waits, for a browser or a server."""
    return 2 * (os.cpu_count() or 1)


# These take longest, half a minute and more each on two cores. After them: files with such tests.
# The first begins first, then those that share the example's site, which ends with the last of them.
LONGEST = (
    "test_vitest.py",
    "test_exact.py",
    "test_autostart.py",
    "test_outbox.py",
    "test_follow_up.py",
    "test_queue_runners.py",
    "test_sharing.py",
    "test_demo.py",
    "test_queue.py",
    "test_stored.py",
    "test_networks.py",
    "test_idle.py",
    "test_rights.py",
    "test_report.py",
    "test_first_message.py",
    "test_schema_tenants.py",
    "test_calls.py",
    "test_default_backend.py",
    "test_packaging.py",
    "test_state.py",
)
LONG = ("browser", "slow", "conformance")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """After others have shuffled and selected: leave out, and side by side let long files begin."""
    result = yield
    items[:] = [item for item in items if _has_its_database(item) and _has_its_django(item)]
    if os.environ.get("CI"):
        _try_twice(items)
    real_server.leave_out(items)
    if hasattr(config, "workerinput"):
        ranks = {}
        for item in items:
            rank = next(
                (n for n, mark in enumerate(LONG) if item.get_closest_marker(mark)), len(LONG)
            )
            ranks[item.path] = min(rank, ranks.get(item.path, rank))
        longest = {name: n - len(LONGEST) for n, name in enumerate(LONGEST)}

        def place(item):
            path = item.path
            return (
                path.name != LONGEST[0] and path.parent.name != "browser",
                longest.get(path.name, ranks[path]),
            )

        items.sort(key=place)
    return result


def _try_twice(items):
    """Where others share the machine, repeat what drives other processes and failed, once.

    What passes the second time is named in the summary as RERUN: it's a fault to find, but not one of
    the commit that CI judges. ``make test`` and ``make test-under-load`` repeat nothing.
    """
    for item in items:
        if any(item.get_closest_marker(mark) for mark in (*LONG, "timed")):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _has_its_database(item):
    mark = item.get_closest_marker("only_on")
    return mark is None or connections["default"].vendor in mark.args


def _has_its_django(item):
    mark = item.get_closest_marker("django_since")
    return mark is None or mark.args <= django.VERSION


@pytest.fixture(scope="session", autouse=True)
def json_fields_are_known(django_db_setup, django_db_blocker):
    """On SQLite the system check of a JSONField asks each database, once."""
    with django_db_blocker.unblock():
        for connection in connections.all():
            assert connection.features.supports_json_field
        tables.are_there()  # asked until they are, once in a process


@pytest.fixture
def registry(monkeypatch):
    """No namespace, channel or handler but the test's; they, and what listens, are forgotten."""
    found = []
    monkeypatch.setattr(handlers, "_registry", [])
    monkeypatch.setattr(namespaces, "_registry", found)
    monkeypatch.setattr(declared, "_registry", [])
    monkeypatch.setattr(declaration, "_registry", [])
    monkeypatch.setattr(receivers, "_listeners", {})
    monkeypatch.setattr(receivers, "_declared", {})
    sent = (
        signals.post_init,
        signals.pre_save,
        signals.post_save,
        signals.pre_delete,
        signals.m2m_changed,
    )
    before = [list(signal.receivers) for signal in sent]
    yield found
    for signal, listening in zip(sent, before, strict=True):
        signal.receivers = listening
        signal.sender_receivers_cache.clear()


@pytest.fixture
def make_user(db):
    def make(username="ann", **fields):
        groups = fields.pop("groups", ())
        user = get_user_model().objects.create_user(username, password="pw", **fields)
        user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])
        return user

    return make


@pytest.fixture
def make_channel(db):
    def make(name, level="public", *, groups=(), members=(), **fields):
        channel = Channel.objects.create(name=name, level=level, **fields)
        channel.groups.set([Group.objects.get_or_create(name=g)[0] for g in groups])
        channel.members.set(members)
        return channel

    return make


@pytest.fixture
def anonymous():
    return AnonymousUser()


def close_connections():
    """Close those of this thread or task; to close one to a database in memory Django does nothing."""
    for connection in connections.all(initialized_only=True):
        BaseDatabaseWrapper.close(connection)


@pytest.fixture
async def in_threads():
    """Close the connections of the thread where an async test has its sync code run."""
    yield
    await sync_to_async(close_connections)()


@pytest.fixture
def as_vendor(monkeypatch):
    """Let Django's connections say that they are another database: on the class, never on one."""

    def say(vendor):
        # What is undone on an instance stays there as its own and hides what others patch.
        monkeypatch.setattr(type(connections["default"]), "vendor", vendor)

    return say


@pytest.fixture
def server_folder(tmp_path):
    """INSTANT["DIR"], still empty; no other key than those that will be written there."""
    with override_settings(
        INSTANT={"DIR": tmp_path, "ALLOWED_ORIGINS": ["https://site.example"]},
        CENTRIFUGO_API_KEY=None,
        CENTRIFUGO_HMAC_KEY=None,
    ):
        yield tmp_path


@pytest.fixture
def many_files():
    """As in a process with so many connections that select() takes no further one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    files = []
    try:
        while not files or files[-1].fileno() < 1024:
            files.append(Path(os.devnull).open())  # noqa: SIM115  closed below
        yield
    finally:
        for file in files:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
