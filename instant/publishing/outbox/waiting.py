"""The rows that wait, as the publications that they are: for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.db import connections

from instant.models import OutboxRow
from instant.publishing.outbox import tables
from instant.publishing.outbox.relay import databases
from instant.publishing.publication import Publication
from instant.tenancy import current as tenancy

__all__ = ["delete", "opened", "publications"]


def opened() -> list[str]:
    """Return the databases that the test may ask: Django's TestCase raises for others."""
    found = []
    for alias in databases():
        with suppress(AssertionError):
            connections[alias].cursor().close()
            found.append(alias)
    return found


def publications() -> list[Publication]:
    """Return what waits, in the order in which it was written."""
    return [
        publication
        for alias in opened()
        for row in tables.all_rows(alias).filter(partition__gte=0).order_by("pk")
        for publication in _of(row)
    ]


def delete() -> None:
    """Delete what waits."""
    for alias in opened():
        tables.delete(tables.all_rows(alias).filter(partition__gte=0))


def _of(row: OutboxRow) -> Iterator[Publication]:
    body: dict[str, Any] = json.loads(row.payload)
    payload = body.get("data")
    if not isinstance(payload, dict):
        return
    for name in body["channels"] if "channels" in body else [body["channel"]]:
        yield Publication(payload.get("id", ""), tenancy.from_wire(name), payload, "queued")
