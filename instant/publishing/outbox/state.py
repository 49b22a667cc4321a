"""How many rows there are, and how long they wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections
from django.db.models import Count, Min, Q

from instant.models import OutboxRow
from instant.publishing.outbox import notes, tables
from instant.publishing.outbox.relay import databases
from instant.tenancy import current as tenancy

__all__ = ["OutboxState", "count", "count_in"]

_LATE = timedelta(minutes=1)


@dataclass(slots=True)
class OutboxState:
    """Numbers of rows."""

    waiting: int = 0
    oldest: datetime | None = None
    """When the row was written that waits for longest."""
    set_aside: int = 0
    kept: int = 0

    def is_late(self, now: datetime) -> bool:
        """Tell whether something has waited for longer than a running relay lets it."""
        return self.oldest is not None and now - self.oldest > _LATE


def count() -> OutboxState:
    """Count the rows of all databases, and of all tenants unless one is active."""
    found = OutboxState()
    for tenant in [here] if (here := tenancy.current()) else list(tenancy.every()):
        with tenancy.activate(tenant):
            for alias in databases():
                if tables.are_in(alias):
                    _add(found, alias)
    return found


def count_in(alias: str) -> OutboxState:
    """Count the rows of a database that has the table, in the current context."""
    found = OutboxState()
    _add(found, alias)
    return found


def _add(found: OutboxState, alias: str) -> None:
    connection = connections[alias]
    due = Q(partition__gte=0)
    aside = Q(partition__lt=0) & ~Q(partition=OutboxRow.KEPT)
    if notes.are_used(connection):
        noted = notes.read(connection)
        due = noted.due()
        aside |= Q(pk__in=[int(id_) for id_ in noted.refused])
    numbers = tables.all_rows(alias).aggregate(
        waiting=Count("pk", filter=due),
        oldest=Min("created_at", filter=due),
        aside=Count("pk", filter=aside),
        kept=Count("pk", filter=Q(partition=OutboxRow.KEPT)),
    )
    found.waiting += numbers["waiting"]
    found.set_aside += numbers["aside"]
    found.kept += numbers["kept"]
    if numbers["oldest"] is not None:
        found.oldest = min(found.oldest or numbers["oldest"], numbers["oldest"])
