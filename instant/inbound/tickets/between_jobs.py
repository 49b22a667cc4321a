"""What Django does between two requests, between two jobs."""

from __future__ import annotations

from django.db import connections

__all__ = ["close_old_connections"]


def close_old_connections() -> None:
    """Close what is broken or too old; but not what is in a transaction, as a test case's is."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
