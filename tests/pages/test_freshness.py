"""Whether a transaction reads what is committed by now; on files, and on PostgreSQL where it runs."""

import sqlite3

import pytest
from django.db import connection, connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper

from instant.pages import freshness
from instant.pages.freshness import is_fresh


class OnFile:
    """A second database of Django's, in a file, and somebody else who writes to it."""

    def __init__(self, folder, options):
        self.path = str(folder / "db.sqlite3")
        settings = {**connection.settings_dict, "NAME": self.path, "OPTIONS": options}
        self.wrapper = DatabaseWrapper(settings, "file")
        self.other = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        self.other.execute("CREATE TABLE t (n)")
        self.other.execute("INSERT INTO t VALUES (1)")

    def read(self):
        with self.wrapper.cursor() as cursor:
            return cursor.execute("SELECT n FROM t").fetchone()[0]

    def write(self, number):
        self.other.execute("UPDATE t SET n = ?", [number])


@pytest.fixture
def on_file(tmp_path, monkeypatch):
    opened = []

    def open_file(**options):
        found = OnFile(tmp_path, options)
        opened.append(found)
        monkeypatch.setattr(connections, "all", lambda **_options: [found.wrapper])
        return found

    yield open_file
    for one in opened:
        one.wrapper.close()
        one.other.close()


WAL = {"init_command": "PRAGMA journal_mode=WAL"}


@pytest.mark.django_db
def test_outside_of_transactions_it_is(on_file):
    found = on_file(**WAL)
    assert is_fresh()  # not even connected
    found.read()
    assert is_fresh()


@pytest.mark.django_db
def test_a_reader_with_wal_may_see_the_past(on_file):
    found = on_file(**WAL)
    found.wrapper.set_autocommit(False)
    found.wrapper.cursor().execute("BEGIN")
    assert found.read() == 1
    found.write(2)
    assert found.read() == 1  # which is why
    assert not is_fresh()


@pytest.mark.django_db
def test_without_wal_nobody_can_commit_meanwhile(on_file):
    found = on_file()
    found.wrapper.set_autocommit(False)
    found.wrapper.cursor().execute("BEGIN")
    assert found.read() == 1
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        found.write(2)
    assert is_fresh()


@pytest.mark.django_db
def test_a_transaction_that_may_write_sees_the_newest(on_file):
    found = on_file(transaction_mode="IMMEDIATE", **WAL)
    found.wrapper.set_autocommit(False)
    found.wrapper.cursor().execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        found.write(2)
    assert is_fresh()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_broken_is_not_asked():
    connection.ensure_connection()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        transaction.set_rollback(True)
        assert not is_fresh()
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("vendor", "level", "fresh"),
    [
        ("mysql", "read committed", True), ("mysql", "read uncommitted", True),
        ("mysql", "repeatable read", False), ("mysql", "serializable", False), ("mysql", None, False),
        ("oracle", "read committed", False), ("microsoft", None, False), ("cockroachdb", None, False),
    ],
)  # fmt: skip
def test_what_settings_say_and_what_nobody_knows(monkeypatch, vendor, level, fresh):
    class Fake:
        connection, in_atomic_block, autocommit, needs_rollback = object(), True, False, False

    Fake.vendor, Fake.isolation_level = vendor, level
    monkeypatch.setattr(freshness.connections, "all", lambda **_options: [Fake])
    assert is_fresh() is fresh


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("level", "fresh"),
    [("READ COMMITTED", True), ("REPEATABLE READ", False), ("SERIALIZABLE", False)],
)
def test_postgresql_is_asked(level, fresh):
    """Whoever has set it, in whichever way."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        assert is_fresh() is fresh
