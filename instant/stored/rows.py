"""The rows of messages, where they are, and those of a tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import connections, router, transaction
from django.db.models import QuerySet

from instant.stored.model import Message
from instant.tenancy import current as tenancy

__all__ = ["Messages", "database", "locked", "own", "writing"]

Messages = QuerySet[Message]


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
