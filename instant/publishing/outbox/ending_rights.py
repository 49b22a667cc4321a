"""
Rights that end in the transaction of a publication: they end before it is sent.

The process that made the change ends them right after its commit. Whoever sends the outbox's rows
sees the commit as soon, and would be faster. But with the rows it sees the ``Revocation`` that was
written with them, and whether it is enforced yet. (The view that Centrifugo's consumer reads asks
the same, see the migration that makes it.)
"""

from __future__ import annotations

from datetime import timedelta

from django.db import router
from django.utils import timezone

from instant.models import Revocation

__all__ = ["are_enforced"]

_LONGEST = timedelta(seconds=5)
"""Nothing waits for longer, whatever becomes of who enforces them."""


def are_enforced(alias: str) -> bool:
    """Tell whether nobody works any more on rights that ended with rows that were read before."""
    if router.db_for_write(Revocation) != alias:  # then it was not written with them
        return True
    now = timezone.now()
    pending = Revocation.objects.using(alias).filter(
        is_last=False, due_at__gt=now, created_at__gt=now - _LONGEST
    )
    return not pending.exclude(claim="").exists()
