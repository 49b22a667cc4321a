"""
From envelopes to rows of the outbox: what goes into which, and the one INSERT.

A channel's rows are all in one partition, so that whoever sends a partition in the order of its
ids keeps the order of each channel. A row is about one namespace, so that one which the server
doesn't know yet holds up no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from instant.centrifugo.api.publish_requests import command, requests_for
from instant.channels.names import namespace_of
from instant.exceptions import InstantConfigError
from instant.models import OutboxRow
from instant.publishing.publication import Envelope

__all__ = ["check_table", "insert", "rows_for"]

Row = tuple[str, str, int, str]
"""Method, payload, partition and namespace."""

_MAX_STATEMENT = 4 * 1024 * 1024
"""Characters of payloads in one INSERT: MariaDB takes 16 MiB by default."""
_COLUMNS = ("method", "payload", "partition", "namespace", "created_at", "attempts", "error")
_GIVEN = 5
"""So many of them are parameters; the rest is the same for all."""
_PLAIN = ("postgresql", "sqlite", "mysql")
"""Databases that take the SQL of insert(); others get Django's."""


def rows_for(envelopes: Sequence[Envelope], partitions: int) -> Iterator[Row]:
    """Yield the rows of envelopes, in order."""
    for envelope in envelopes:
        names = envelope.channels
        if len(names) == 1:
            method, body = command(names, envelope)
            yield method, body.decode(), _partition(names[0], partitions), namespace_of(names[0])
            continue
        groups: dict[tuple[int, str], list[str]] = {}
        for name in names:
            key = _partition(name, partitions), namespace_of(name)
            groups.setdefault(key, []).append(name)
        for (partition, namespace), group in groups.items():
            part = Envelope(
                group, (), envelope.body, envelope.idempotency_key, passing=envelope.passing
            )
            for method, body, _ in requests_for((part,)):
                yield method, body.decode(), partition, namespace


def _partition(name: str, partitions: int) -> int:
    """Return the same for a name in every process, whatever seed its hashes have."""
    return crc32(name.encode()) % partitions


def check_table(alias: str) -> None:
    """Raise InstantConfigError where the routers leave the database without the table."""
    if not router.allow_migrate_model(alias, OutboxRow):
        raise InstantConfigError(
            f"A publication of a transaction on the database {alias!r} is a row there, and "
            f"DATABASE_ROUTERS keep Instant's tables from it. Let allow_migrate() have them there, "
            f"or publish with on_commit=False."
        )


def insert(
    connection: BaseDatabaseWrapper, rows: Sequence[Row], *, returning: bool = False
) -> list[int]:
    """
    Write rows, in one statement unless they are very large; return their ids if asked to.

    No ids where the database doesn't tell them. Outside a transaction it is committed at once.
    """
    if connection.vendor not in _PLAIN:
        made = [OutboxRow(method=m, payload=p, partition=n, namespace=s) for m, p, n, s in rows]
        OutboxRow._base_manager.using(connection.alias).bulk_create(made)  # noqa: SLF001  documented
        return []
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    returning = returning and connection.features.can_return_rows_from_bulk_insert
    found: list[int] = []
    with connection.cursor() as cursor:
        for part in _parts(rows, connection.features.max_query_params):
            parameters: list[Any] = []
            for row in part:
                parameters += row
                parameters.append(now)
            cursor.execute(_sql(connection.vendor, len(part), returning=returning), parameters)
            if returning:
                found += [id_ for (id_,) in cursor.fetchall()]
    return found


def _parts(rows: Sequence[Row], most: int | None) -> Iterator[Sequence[Row]]:
    """Yield as many as a statement can take, mostly all."""
    limit = len(rows) if most is None else most // _GIVEN
    start = size = 0
    for number, row in enumerate(rows):
        if number > start and (number - start == limit or size + len(row[1]) > _MAX_STATEMENT):
            yield rows[start:number]
            start, size = number, 0
        size += len(row[1])
    if start < len(rows):
        yield rows[start:]


@lru_cache(maxsize=64)
def _sql(vendor: str, count: int, *, returning: bool) -> str:
    quote = "`%s`" if vendor == "mysql" else '"%s"'
    table = quote % OutboxRow._meta.db_table  # noqa: SLF001  Django's documented API
    columns = ", ".join(quote % name for name in _COLUMNS)
    values = ", ".join(["(%s, %s, %s, %s, %s, 0, '')"] * count)
    end = f" RETURNING {quote % 'id'}" if returning else ""
    return f"INSERT INTO {table} ({columns}) VALUES {values}{end}"  # noqa: S608  no text of others
