"""Rows that were set aside, to be sent again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import connections, transaction

from instant import conf
from instant.models import OutboxRow
from instant.publishing.outbox import rows, settle, tables, wake

__all__ = ["send_again"]


def send_again(alias: str, ids: Collection[int]) -> int:
    """
    Let rows that were set aside be due again, behind all that waits; return how many.

    Each is written anew, as what wakes a relay, and what tells it how far it has come, is a new id.
    Some at a time, each in a transaction of its own: there may be very many, and large ones.
    """
    connection = connections[alias]
    listed = sorted(ids)
    count = 0
    for start in range(0, len(listed), tables.LIMIT):
        part = listed[start : start + tables.LIMIT]
        while sent := _send_some(alias, part):
            count += sent
    wake.after_commit(connection)
    return count


def _send_some(alias: str, ids: Sequence[int]) -> int:
    """Write anew as many of these as memory bears; return how many."""
    connection = connections[alias]
    lanes = conf.current().outbox_partitions  # they may have been more
    with transaction.atomic(using=alias):
        settle.settle(connection)
        aside = tables.all_rows(alias).filter(pk__in=ids, partition__lt=0, sent_at=None)
        aside = aside.exclude(partition=OutboxRow.KEPT)
        some = tables.next_rows(aside.select_for_update())
        rows.insert(
            connection,
            [(r.method, r.payload, (-1 - r.partition) % lanes, r.namespace) for r in some],
        )
        tables.delete(tables.all_rows(alias).filter(pk__in=[row.pk for row in some]))
    return len(some)
