"""Rows that were set aside, to be sent again."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connections, transaction

from instant import conf
from instant.models import OutboxRow
from instant.publishing.outbox import rows, settle, tables, wake

__all__ = ["send_again"]


def send_again(alias: str, ids: Collection[int]) -> int:
    """
    Let rows that were set aside be due again, behind all that waits; return how many.

    Each is written anew, as what wakes a relay, and what tells it how far it has come, is a new id.
    """
    connection = connections[alias]
    with transaction.atomic(using=alias):
        settle.settle(connection)
        found = tables.all_rows(alias).filter(pk__in=ids, partition__lt=0, sent_at=None)
        aside = list(found.exclude(partition=OutboxRow.KEPT).order_by("pk").select_for_update())
        lanes = conf.current().outbox_partitions  # they may have been more
        again = [(r.method, r.payload, (-1 - r.partition) % lanes, r.namespace) for r in aside]
        rows.insert(connection, again)
        tables.delete(tables.all_rows(alias).filter(pk__in=[row.pk for row in aside]))
        wake.after_commit(connection)
    return len(again)
