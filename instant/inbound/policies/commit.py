"""Keep what a call was answered once all that it did is done for good."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from instant.inbound.lease import Lease

__all__ = ["keep_after_commit"]


def keep_after_commit(lease: Lease, keep: Callable[[], None]) -> None:
    """
    Call ``keep`` and give the lease back, after the commits of all this thread's transactions.

    At once where there are none, and never where one is rolled back: then the lease ends with it.
    """
    waiting = [c for c in connections.all(initialized_only=True) if _in_transaction(c)]
    left = len(waiting)

    def committed() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            keep()
            lease.give_back()

    if not waiting:
        committed()
        return
    lease.end_with(committed)
    for connection in waiting:
        connection.on_commit(committed, robust=True)


def _in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether it may be rolled back; a test case's own transaction always is, and no other."""
    blocks = connection.atomic_blocks
    return not all(getattr(block, "_from_testcase", False) for block in blocks)
