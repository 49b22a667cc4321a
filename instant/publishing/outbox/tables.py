"""What is done to rows, whoever does it: read in bounds, deleted, set aside, collected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db import connections
from django.db.models import F, Func, IntegerField, QuerySet
from django.utils import timezone

from instant.models import OutboxRow

__all__ = [
    "LIMIT",
    "all_rows",
    "are_in",
    "collect",
    "delete",
    "keep_sent",
    "next_rows",
    "set_aside",
]

Rows = QuerySet[OutboxRow]

LIMIT = 500
"""Rows that are read, or deleted, at a time."""
_MAX_BYTES = 4 * 1024 * 1024
"""And bytes of their payloads that are read, unless one alone has more."""


def all_rows(alias: str) -> Rows:
    """Return all rows of a database."""
    return OutboxRow._base_manager.using(alias)  # noqa: SLF001  Django's documented API


def are_in(alias: str) -> bool:
    """Tell whether a database has the table."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    return OutboxRow._meta.db_table in names  # noqa: SLF001  Django's documented API


def next_rows(rows: Rows) -> list[OutboxRow]:
    """Return the first of them, as many as memory bears."""
    function = "LENGTH" if connections[rows.db].vendor == "sqlite" else "OCTET_LENGTH"
    size = Func(F("payload"), function=function, output_field=IntegerField())
    ids: list[int] = []
    total = 0
    for id_, length in rows.order_by("id").annotate(size=size).values_list("id", "size")[:LIMIT]:
        total += length
        if ids and total > _MAX_BYTES:
            break
        ids.append(id_)
    return list(rows.filter(pk__in=ids).order_by("id")) if ids else []


def delete(rows: Rows) -> None:
    """Delete rows; nobody is told by signal, and nothing depends on them."""
    rows._raw_delete(rows.db)  # noqa: SLF001  one statement, whoever listens to all models


def keep_sent(rows: Rows, keep: int | None) -> None:
    """Delete rows that were sent, or keep them for a while."""
    if keep is None:
        delete(rows)
    else:
        rows.update(partition=OutboxRow.KEPT, sent_at=timezone.now())


def set_aside(rows: Rows, refused: Mapping[int, str]) -> None:
    """Take rows out of the way that the server will never take, with what it said."""
    by_error: dict[str, list[int]] = {}
    for id_, error in refused.items():
        by_error.setdefault(error, []).append(id_)
    for error, ids in by_error.items():
        for start in range(0, len(ids), LIMIT):
            rows.filter(pk__in=ids[start : start + LIMIT], partition__gte=0).update(
                partition=-1 - F("partition"), error=error, attempts=F("attempts") + 1
            )


def collect(rows: Rows, keep: int | None) -> None:
    """Delete rows that were sent and kept long enough, some at a time."""
    until = timezone.now() - timedelta(seconds=keep or 0)
    kept = rows.filter(partition=OutboxRow.KEPT).order_by("id")
    while True:
        first = list(kept.values_list("id", "sent_at")[:LIMIT])
        old = [id_ for id_, sent_at in first if sent_at is None or sent_at <= until]
        if old:
            delete(rows.filter(pk__in=old))
        if len(old) < LIMIT:
            return
