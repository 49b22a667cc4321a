"""Who looks for what is due: one process of a host, woken, and nobody where nothing can be."""

import os
import select
import socket
import subprocess
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from instant import Namespace
from instant.centrifugo.api.commands import Channels, Disconnect, Presence, Unsubscribe
from instant.exceptions import ServerUnreachable
from instant.models import Channel, Revocation
from instant.revoking import clock, follow_up, host, looker, needed, notes, run
from instant.revoking.affected import Affected
from instant.revoking.looker import Looker
from instant.revoking.sweep import Sweep
from tests import interpreters
from tests.interpreters import Python


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "folder", lambda: tmp_path)
    monkeypatch.setattr(notes, "folder", lambda: tmp_path)
    monkeypatch.setattr(looker.connections, "close_all", lambda: None)
    monkeypatch.setattr(looker.Looker, "_listen", lambda self: None)
    return tmp_path


class Looks:
    def __init__(self, *, answer=None, needed=True):
        self.made = threading.Semaphore(0)
        self.answer, self.needed = answer, needed
        self.looker = Looker(self.look, lambda: self.needed, lambda: "default")

    def look(self):
        self.made.release()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def next(self):
        assert self.made.acquire(timeout=10)


def ended(one):
    thread = one.looker._thread
    thread.join(10)
    return not thread.is_alive()


def test_it_ends_where_nothing_is_needed():
    one = Looks(needed=False)
    one.looker.start()
    assert ended(one)
    assert not one.made.acquire(blocking=False)


def test_it_looks_when_something_is_due_and_when_it_is_called():
    one = Looks(answer=0.001)
    one.looker.start()
    for _ in range(3):
        one.next()
    one.answer = 1000
    while one.made.acquire(timeout=0.2):
        continue
    host.ring()
    one.next()
    one.looker.stop()
    assert ended(one)


def test_it_ends_when_nothing_is_left():
    one = Looks(answer=0.001)
    one.looker.start()
    one.next()
    one.answer, one.needed = None, False
    assert ended(one)
    one.needed = True
    one.looker.start()
    one.next()
    one.looker.stop()


def test_a_second_one_waits_until_the_first_is_gone(monkeypatch):
    monkeypatch.setattr(looker, "_TAKEN_OVER", 0.01)
    first, second = Looks(), Looks()
    first.looker.start()
    first.next()
    second.looker.start()
    assert not second.made.acquire(timeout=0.3)
    first.looker.stop()
    second.next()
    second.looker.stop()


def test_a_database_that_is_away_is_told_once(caplog, monkeypatch):
    monkeypatch.setattr(looker.Looker, "_wait", lambda self, seconds, bell: None)
    one = Looks(answer=RuntimeError("away"))
    one.looker.start()
    for _ in range(5):
        one.next()
    one.looker.stop()
    assert [r.getMessage() for r in caplog.records] == ["Follow-up checks can't be made: away"]


def test_the_first_look_waits_for_the_server_that_starts_beside_it(settings):
    one = Looks()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        settings.CENTRIFUGO_HOST = "http://127.0.0.1"
        settings.CENTRIFUGO_PORT = server.getsockname()[1]
        one.looker.start(with_server=True)
        assert not one.made.acquire(timeout=0.3)
        server.listen()
        one.next()
    one.looker.stop()


def test_a_server_that_does_not_come_is_looked_for_all_the_same(settings, monkeypatch):
    monkeypatch.setattr(looker, "_PATIENCE", 0.1)
    one = Looks()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        settings.CENTRIFUGO_HOST = "http://127.0.0.1"
        settings.CENTRIFUGO_PORT = server.getsockname()[1]
        one.looker.start(with_server=True)
        one.next()
    one.looker.stop()


def test_a_looker_that_is_stopped_waits_for_no_server(settings):
    one = Looks()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        settings.CENTRIFUGO_HOST = "http://127.0.0.1"
        settings.CENTRIFUGO_PORT = server.getsockname()[1]
        one.looker.start(with_server=True)
        assert not one.made.acquire(timeout=0.3)
        one.looker.stop()
    assert not one.made.acquire(blocking=False)


HOLDER = """
import sys
from pathlib import Path
from instant.revoking import host
host.folder = lambda: Path(sys.argv[1])
assert host.HostLock().acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_is_free_as_soon_as_its_process_is_killed(place):
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    code = "import django; django.setup()\n" + HOLDER
    child = Python(
        ["-c", code, str(place)],
        env=env, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with child:
        assert child.stdout.readline() == b"held\n"
        lock = host.HostLock()
        assert not lock.acquire()
        child.kill()
        child.wait()
        assert lock.acquire()
        assert not host.HostLock().acquire(), "Once in a process, or closing it would let go."
        lock.release()


SITE = """
import os, sys, threading, time
folder = sys.argv[1]
from django.conf import settings
settings.configure(
    BASE_DIR=folder, SECRET_KEY="x", USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "instant"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder + "/db"}},
    CENTRIFUGO_API_KEY="k", CENTRIFUGO_HMAC_KEY="k" * 32, CENTRIFUGO_PORT=1,
)
from django.core.wsgi import get_wsgi_application
from django.core import management
def names():
    return [t.name for t in threading.enumerate() if t.name == "instant-looker"]
"""


def site(place, code):
    done = interpreters.run(
        ["-c", SITE + textwrap.dedent(code), str(place)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_starts_with_the_web_process_where_there_are_rows_and_never_in_a_command(place):
    migrated = site(
        place,
        """
        import django; django.setup()
        management.call_command("migrate", verbosity=0)
        from instant.models import Channel
        print(names())
        """,
    )
    assert migrated == "[]\n"
    idle = """
    get_wsgi_application()
    for thread in threading.enumerate():
        if thread.name == "instant-looker":
            thread.join(20)
    print(names())
    """
    assert site(place, idle) == "[]\n"
    site(
        place,
        """
        import django; django.setup()
        from instant.models import Channel
        Channel.objects.create(name="news", level="public")
        """,
    )
    working = """
    get_wsgi_application()
    deadline = time.monotonic() + 20
    while not os.path.exists(__import__("instant.revoking.host").revoking.host.folder() / "looker.sock"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    print(names())
    """
    assert site(place, working) == "['instant-looker']\n"
    assert not [name for name in os.listdir(place) if "looker" in name]  # noqa: PTH208  no folder of the server's there


def test_handing_out_a_token_asks_once_where_there_is_nothing(
    client, db, registry, django_assert_num_queries
):
    needed.channels_changed()
    with django_assert_num_queries(1):
        assert not needed.is_needed()
    with django_assert_num_queries(0):
        assert not needed.is_needed()
    Channel.objects.create(name="news", level="public")
    assert needed.is_needed()


def test_channels_that_are_made_in_bulk_are_known_at_once(db, registry):
    needed.channels_changed()
    assert not needed.is_needed()
    Channel.objects.bulk_create([Channel(name="news", level="public")])
    assert needed.is_needed()


def test_the_first_row_of_another_process_is_known_with_its_first_token(
    client, db, registry, make_user, committed
):
    ann, browser = make_user("ann", is_staff=True), Client()
    browser.force_login(ann)
    needed.channels_changed()
    assert not needed.is_needed()
    # As another process does: without a signal in this one.
    QuerySet.bulk_create(Channel.objects.all(), [Channel(name="$staff", level="staff")])
    assert not needed.is_needed()
    [channel] = [
        c for c in browser.get("/instant/get_token/").json()["channels"] if "$" in c["name"]
    ]
    assert channel["level"] == "staff"
    with committed():
        ann.is_staff = False
        ann.save()
    assert client.changes == [Unsubscribe(str(ann.pk), "$staff")]


def test_two_threads_may_note_what_they_have_seen(client, db, monkeypatch):
    """Where a host has no lock each process looks, and runws beside its own web server twice."""

    class Shared(dict):
        def __iter__(self):
            keys = list(super().__iter__())
            self.pop(keys[0])  # so does the other thread
            return iter(keys)

    seen = Shared({("", 1): timezone.now(), ("", 2): timezone.now(), ("other", 3): timezone.now()})
    monkeypatch.setattr(follow_up, "_seen", seen)
    follow_up._note_new_rows()
    assert set(seen.keys()) == {("other", 3)}


def test_a_clock_that_is_behind_delays_the_follow_up_alone(client, db, monkeypatch):
    monkeypatch.setattr(clock, "_measured", (timedelta(seconds=12), time.monotonic() + 60))
    now = timezone.now()
    for is_last in (True, False):
        Revocation.objects.create(loss={}, created_at=now, due_at=now, is_last=is_last)
    assert follow_up.follow_up(now) == 1
    Revocation.objects.filter(is_last=True).update(due_at=now)
    assert follow_up.follow_up(now + timedelta(seconds=11)) == 0
    assert follow_up.follow_up(now + timedelta(seconds=12)) == 2


@pytest.mark.parametrize(
    ("date", "seconds"),
    [(-12, range(11, 14)), (30, range(1)), (None, range(1)), (-9999, range(3600, 3601))],
)
def test_the_servers_clock_is_read_from_its_answers(monkeypatch, date, seconds):
    from email.utils import format_datetime

    class Answer:
        headers = (
            {}
            if date is None
            else {"Date": format_datetime(timezone.now() + timedelta(seconds=date), usegmt=True)}
        )

    monkeypatch.setattr("requests.head", lambda *a, **k: Answer)
    monkeypatch.setattr(clock, "_measured", None)
    clock.measure()
    assert int(clock.behind().total_seconds()) in seconds


@pytest.mark.parametrize(
    ("error", "vendor", "goes_on"),
    [
        (OperationalError("away"), "postgresql", True),
        (InterfaceError("closed"), "postgresql", True),
        (ProgrammingError("no table"), "postgresql", False),
        (OperationalError("no such table"), "sqlite", False),
    ],
)
def test_a_database_that_is_away_at_the_start_is_waited_for(
    client, db, monkeypatch, as_vendor, error, vendor, goes_on
):
    def broken():
        raise error

    monkeypatch.setattr(needed, "is_needed", broken)
    as_vendor(vendor)
    assert follow_up.is_needed() is goes_on


# SQLite: notes instead of writes


@pytest.fixture
def noted(client, ann, monkeypatch):
    monkeypatch.setattr(notes, "are_used", lambda: True)
    ann.groups.clear()  # the test's transaction never commits
    return ann


def test_on_sqlite_a_look_writes_nothing_and_all_is_done(noted, client):
    writes = []

    def watch(execute, sql, *arguments):
        if not sql.startswith("SELECT"):
            writes.append(sql)
        return execute(sql, *arguments)

    row = Revocation.objects.get()
    with connection.execute_wrapper(watch):
        assert follow_up.follow_up(row.due_at, notes.Notes()) == 1
        assert len(client.changes) == 3
        assert follow_up.follow_up(row.due_at, notes.Notes()) == 0
        due = notes.Notes().next_due()
        assert due == row.due_at + timedelta(seconds=32)
        assert follow_up.follow_up(due, notes.Notes()) == 1
        assert len(client.changes) == 6
        assert notes.Notes().next_due() is None
        assert follow_up.follow_up(due + timedelta(hours=1), notes.Notes()) == 0
    assert writes == []
    assert Revocation.objects.count() == 1


def test_what_is_finished_is_deleted_by_who_writes_anyway(noted, client, make_user):
    row = Revocation.objects.get()
    notes.Notes().forget([row])
    other = Revocation.objects.create(loss={}, created_at=timezone.now(), due_at=timezone.now())
    new = run.record(Affected(reconnects={"7"}))
    assert set(Revocation.objects.values_list("pk", flat=True)) == {other.pk, new.pk}
    notes.Notes().claim(timezone.now())
    assert notes.Notes()._rows == {}


def test_notes_about_another_database_or_row_say_nothing(noted, place):
    row = Revocation.objects.get()
    notes.Notes().forget([row])
    Revocation.objects.update(created_at=timezone.now() - timedelta(days=1))
    notes.delete_finished()
    assert Revocation.objects.count() == 1
    assert notes.Notes().next_due() is not None
    (place / "looker.json").write_text("{")
    assert notes.Notes()._rows == {}


def test_a_check_that_fails_is_noted_and_tried_again(noted, client, caplog):
    client.error = ServerUnreachable("away")
    Revocation.objects.update(due_at=timezone.now())
    follow_up.follow_up(None, notes.Notes())
    assert notes.Notes().next_due() < timezone.now() + timedelta(seconds=2)
    client.error = None
    assert follow_up.follow_up(timezone.now() + timedelta(seconds=2), notes.Notes()) == 1
    assert len(client.changes) == 3


# The sweep


@pytest.fixture
def rounds(client, db, registry, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "SWEEP": 300}
    allowed = {str(make_user(f"u{n}").pk) for n in range(3)}
    type(
        "Doc",
        (Namespace,),
        {
            "name": "doc",
            "pattern": "<int:pk>",
            "can_subscribe": lambda self, user, pk: str(user.pk) in allowed,
        },
    )
    client.inside = {f"doc:{n}": set(allowed) for n in range(250)} | {"foreign:1": {"x"}}
    now = [0.0]
    return Sweep(lambda: now[0]), now, allowed


def test_a_round_asks_for_some_at_a_time_and_is_over_within_the_promise(rounds, client):
    sweep, now, _allowed = rounds
    assert sweep.step() == 60
    seen = {}
    gaps = []
    while now[0] < 1500:
        before = len(client.batches)
        now[0] += sweep.step()
        for batch in client.batches[before:]:
            asked = [c.channel for c in batch if isinstance(c, Presence)]
            assert len(asked) <= 100
            for name in asked:
                gaps.append(now[0] - seen.get(name, 0))
                seen[name] = now[0]
    assert len(seen) == 250
    assert max(gaps) <= 300
    assert client.changes == []


def test_who_lost_something_without_a_signal_is_out_after_a_round(rounds, client):
    sweep, _now, allowed = rounds
    gone = allowed.pop()
    assert sweep.all_at_once() == 250
    assert client.changes[0] == Unsubscribe(gone, "doc:0")
    assert len(client.changes) == 250


def test_who_is_deactivated_without_a_signal_is_disconnected(rounds, client):
    from django.contrib.auth import get_user_model

    sweep, _now, allowed = rounds
    gone = min(allowed)
    allowed.discard(gone)
    client.inside = {"doc:1": {gone}}
    get_user_model().objects.filter(pk=gone).update(is_active=False)
    sweep.all_at_once()
    assert client.changes == [Unsubscribe(gone, "doc:1"), Disconnect(gone, 3503, "access ended")]


def test_no_sweep_where_nobody_wants_one(rounds, client, settings):
    settings.INSTANT = {**settings.INSTANT, "SWEEP": None}
    assert rounds[0].step() is None
    assert client.batches == []


def test_a_look_sweeps_and_says_when_it_goes_on(rounds, client, monkeypatch):
    sweep, now, _allowed = rounds
    monkeypatch.setattr(follow_up, "_sweep", sweep)
    assert follow_up.look() == 60
    now[0] = 60
    follow_up.look()
    assert client.batches[0] == [Channels("*")]
    client.error = ServerUnreachable("away")
    now[0] = 1000
    sweep._left = []
    assert follow_up.look() is None


# PostgreSQL


def test_a_notification_is_taken_out():
    """As psycopg 3 has it."""
    left = [SimpleNamespace(extra=b""), SimpleNamespace(extra=b"acme")]

    class Connection:
        class pgconn:  # noqa: N801  psycopg's name
            consume_input = staticmethod(lambda: None)
            notifies = staticmethod(lambda: left.pop() if left else None)

    assert looker._take_notifications(Connection) == {"", "acme"}
    assert left == []


def test_a_bell_that_rings_is_heard(place):
    bell = host.Bell()
    assert not select.select([bell.socket], [], [], 0)[0]
    host.ring()
    host.ring()
    assert select.select([bell.socket], [], [], 5)[0]
    bell.clear()
    assert not select.select([bell.socket], [], [], 0)[0]
    assert (place / "looker.sock").stat().st_mode & 0o077 == 0
    bell.close()
    host.ring()


@pytest.mark.usefixtures("many_files")
def test_a_looker_rests_and_hears_also_in_a_process_with_many_connections(monkeypatch):
    for name in ("_UNHEARD", "_EVERY"):
        monkeypatch.setattr(looker, name, 600)  # it is the bell that it hears
    one = Looks()
    one.looker.start()
    one.next()
    try:
        assert not one.made.acquire(timeout=1)
        host.ring()
        one.next()
    finally:
        one.looker.stop()


def test_a_looker_rests_also_where_nobody_can_be_heard(monkeypatch):
    def closed(_sources, _seconds):
        raise ValueError

    monkeypatch.setattr(looker, "readable", closed)
    one = Looks()
    one.looker.start()
    one.next()
    try:
        assert not one.made.acquire(timeout=0.5)
        one.next()
    finally:
        one.looker.stop()


@pytest.mark.usefixtures("many_files")
def test_what_is_closed_can_not_be_read():
    bell = host.Bell()
    other = bell.socket.dup()
    assert host.readable([bell.socket, other], 0) == []
    host.ring()
    assert set(host.readable([bell.socket, other], 5)) == {bell.socket, other}
    with pytest.raises(OSError, match="Bad file descriptor"):
        host.readable([SimpleNamespace(fileno=lambda: 4095)], 0)
    other.close()
    with pytest.raises((OSError, ValueError)):
        host.readable([other], 0)
    bell.close()
