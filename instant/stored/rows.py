"""The rows of messages, where they are, and those of a tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import QuerySet

from instant.stored.model import Message
from instant.tenancy import current as tenancy

__all__ = ["Messages", "database", "insert", "locked", "own", "writing"]

Messages = QuerySet[Message]

_AT_ONCE = 500
"""Rows that are written in one query."""


def database() -> str:
    """Return where messages are."""
    return router.db_for_write(Message)


def own() -> Messages:
    """Return the current tenant's messages, oldest first."""
    return (
        Message._base_manager.using(database())  # noqa: SLF001  Django's documented API
        .filter(tenant=tenancy.current())
        .order_by("pk")
    )


def insert(rows: QuerySet[Any], made: Sequence[Any], *key: str) -> None:
    """
    Write rows; those that are there already, with the same key, stay as they are.

    MySQL takes any error for such a conflict, and leaves the row out or writes another value. So
    there they are asked for: IntegrityError where one is missing, as others raise by themselves.
    """
    rows.bulk_create(made, batch_size=_AT_ONCE, ignore_conflicts=True)
    if connections[rows.db].vendor != "mysql":
        return
    for start in range(0, len(made), _AT_ONCE):
        wanted = {tuple(getattr(one, name) for name in key) for one in made[start:][:_AT_ONCE]}
        values = dict(zip(key, map(set, zip(*wanted, strict=True)), strict=True))
        there = rows.filter(**{f"{name}__in": found for name, found in values.items()})
        if missing := wanted.difference(there.values_list(*key)):
            raise IntegrityError(
                f"The database left out {len(missing)} of {len(made)} rows, of which one is "
                f"{min(map(str, missing))}: a user or a channel may be gone."
            )


@contextmanager
def writing() -> Iterator[None]:
    """
    Run the body in a transaction that writes.

    Where SQLite has read first it can't wait for another's write, and fails at once: “database is
    locked”. So the lock is taken before anything is read.
    """
    alias = database()
    with transaction.atomic(using=alias):
        if connections[alias].vendor == "sqlite":
            Message._base_manager.using(alias).filter(pk=0).update(is_reply=False)  # noqa: SLF001
        yield


def locked(messages: Messages, keys: Collection[int]) -> list[Message]:
    """
    Return those of the messages that are there still, with their rows and without content.

    Until the end of the transaction they are this one's: who comes second sees what the first
    has written, and one of both deletes a message.
    """
    features = connections[messages.db].features
    found = messages.filter(pk__in=keys).select_related("row").defer("context", "content")
    if features.has_select_for_update:
        found = found.select_for_update(of=("self",) if features.has_select_for_update_of else ())
    return list(found)
