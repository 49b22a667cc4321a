"""
The rows of one database, as a relay works on them: which are due, and what became of them.

A relay takes a whole partition, and nobody else has it meanwhile: that keeps its order. On
PostgreSQL it is the lock that Centrifugo's consumer takes, so that both may work side by side; it
ends with the transaction, in which the rows are deleted too. On MySQL and MariaDB it is a lock of
the session. (Rows that ``FOR UPDATE SKIP LOCKED`` passes over would be out of order.) Elsewhere
one relay works at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from django.db import connections, transaction
from django.db.models import Min

from instant.centrifugo.config.consumers import CONSUMER
from instant.models import OutboxRow
from instant.publishing.outbox import tables
from instant.publishing.outbox.sending import Result

__all__ = ["LOCKING", "Store"]

LOCKING = frozenset({"postgresql", "mysql"})
"""Databases that lock a partition for a relay: several of them may work at a time."""


class Store:
    """The table of one database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._connection = connections[alias]

    def takes_writes(self) -> bool:
        """Tell whether rows can be deleted: a replica has them too, and lets nobody."""
        question = {
            "postgresql": "SELECT current_setting('transaction_read_only') = 'off'",
            "mysql": "SELECT NOT @@global.read_only",
        }.get(self._connection.vendor)
        if question is None:
            return True
        with self._connection.cursor() as cursor:
            cursor.execute(question)
            return bool(cursor.fetchone()[0])

    def partitions(self, after: int = -1) -> Iterator[int]:
        """Yield the partitions that have rows, a query for each; those behind ``after`` first."""
        yield from self._between(after, None)
        if after >= 0:
            yield from self._between(-1, after)

    def _between(self, after: int, upto: int | None) -> Iterator[int]:
        rows = tables.all_rows(self.alias)
        if upto is not None:
            rows = rows.filter(partition__lte=upto)
        while True:
            found = rows.filter(partition__gt=after).aggregate(next=Min("partition"))["next"]
            if found is None:
                return
            yield found
            after = found

    def holding(self, partition: int) -> AbstractContextManager[bool]:
        """Hold a partition in the block; False where somebody else does."""
        if self._connection.vendor == "postgresql":
            return self._holding_in_transaction(partition)
        return self._holding_in_session(partition)

    @contextmanager
    def _holding_in_transaction(self, partition: int) -> Iterator[bool]:
        is_outermost = not self._connection.in_atomic_block
        with transaction.atomic(using=self.alias), self._connection.cursor() as cursor:
            if is_outermost:
                # Whatever the settings say: at a higher level it would fail where others delete
                # rows, and let transactions fail that write some.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(
                "SELECT pg_try_advisory_xact_lock(hashtext(%s))",
                [f"centrifugo_partition_lock_{CONSUMER}{partition}"],
            )
            yield cursor.fetchone()[0]

    @contextmanager
    def _holding_in_session(self, partition: int) -> Iterator[bool]:
        if self._connection.vendor != "mysql":
            yield True
            return
        # Such locks are the server's, not the database's, and their names have 64 characters.
        database = str(self._connection.settings_dict["NAME"])
        name = f"{CONSUMER}:{hashlib.sha256(database.encode()).hexdigest()[:24]}:{partition}"
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, 0)", [name])
            if cursor.fetchone()[0] != 1:
                yield False
                return
            try:
                yield True
            finally:
                cursor.execute("SELECT RELEASE_LOCK(%s)", [name])
                cursor.fetchone()

    def due(self, partition: int, without: set[str]) -> list[OutboxRow]:
        """Return the next rows, but for those of some namespaces."""
        rows = tables.all_rows(self.alias).filter(partition=partition)
        return tables.next_rows(rows.exclude(namespace__in=without) if without else rows)

    def finish(self, rows: Sequence[OutboxRow], result: Result, keep: int | None) -> None:  # noqa: ARG002  see NotesStore
        """Note what became of rows that due() returned."""
        every = tables.all_rows(self.alias)
        if result.sent:
            tables.keep_sent(every.filter(pk__in=result.sent), keep)
        tables.set_aside(every, result.refused)

    def collect(self, keep: int | None) -> None:
        """Delete rows that were sent and kept long enough."""
        tables.collect(tables.all_rows(self.alias), keep)
