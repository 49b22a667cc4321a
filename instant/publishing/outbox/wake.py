"""Waking whoever sends the outbox's rows on this host; PostgreSQL tells those of others too."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from instant.publishing.commit_hook import wait_for_commit
from instant.revoking.host import ring
from instant.tenancy import current as tenancy

__all__ = ["NAME", "after_commit", "ring_for"]

NAME = "outbox"
"""Of the lock and the bell of a host's relay."""


def after_commit(connection: BaseDatabaseWrapper) -> None:
    """Wake it as soon as what was written on the connection is committed; once a transaction."""
    tenant = tenancy.current()
    if connection.in_atomic_block:
        wait_for_commit(connection, [tenant], _ring)
    elif connection.get_autocommit():
        _ring([tenant])


def ring_for(tenant: str) -> None:
    """Wake it now, for a tenant."""
    _ring([tenant])


def _ring(tenants: Iterable[str]) -> None:
    for tenant in dict.fromkeys(tenants):
        ring(tenant, name=NAME)
