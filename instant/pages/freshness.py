"""
Whether what is read from the databases now is as new as this moment.

A transaction may keep showing what was there when it began to read. State that is read in it may
be older than a position that was read before, and what was published in between is then missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections

__all__ = ["is_fresh"]


def is_fresh() -> bool:
    """
    Tell whether queries of this thread read what is committed by now, on every database.

    Outside of transactions they do. Inside one the database is asked, or Django's settings say
    it; where neither tells, the answer is False. At most one query for each open transaction.
    """
    return all(
        _reads_newest(connection)
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
        and (connection.in_atomic_block or not connection.autocommit)
    )


def _reads_newest(connection: Any) -> bool:
    known = _KNOWN.get(connection.vendor)
    return known is not None and not connection.needs_rollback and known(connection)


def _postgresql(connection: Any) -> bool:
    # “read uncommitted” is the same there. Source: PostgreSQL's manual, “Transaction Isolation”.
    return _first(connection, "SHOW transaction_isolation").startswith("read ")


def _mysql(connection: Any) -> bool:
    # What SET TRANSACTION says of one transaction can't be asked; Django's own setting can. None
    # leaves it to the server, whose default repeats its reads.
    return str(connection.isolation_level).startswith("read ")


def _sqlite(connection: Any) -> bool:
    # Nobody else can commit while a transaction holds the lock for writing, or, without WAL, the
    # one for reading. With WAL one that has read goes on to see what was there then; whether it
    # has read can't be asked. Source: sqlite.org, “Isolation In SQLite”.
    if getattr(connection, "transaction_mode", None) in {"IMMEDIATE", "EXCLUSIVE"}:
        return True
    return _first(connection, "PRAGMA journal_mode").lower() != "wal"


_KNOWN: dict[str, Callable[[Any], bool]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "sqlite": _sqlite,
}


def _first(connection: Any, query: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return str(cursor.fetchone()[0])
