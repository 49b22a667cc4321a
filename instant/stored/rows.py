"""The rows of messages, where they are, and those of a tenant."""

from __future__ import annotations

from django.db import router
from django.db.models import QuerySet

from instant.stored.model import Message
from instant.tenancy import current as tenancy

__all__ = ["Messages", "database", "own"]

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
