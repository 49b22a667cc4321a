"""Streams that ended long enough ago, and those whose writer is gone."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from instant import conf
from instant.streaming import rows
from instant.streaming.reading import tell_interrupted
from instant.tenancy import current as tenancy

__all__ = ["collect"]

_AT_ONCE = 100


def collect() -> tuple[int, int]:
    """Return how many streams were found to be interrupted, and how many old ones were deleted."""
    interrupted = deleted = 0
    for tenant in tenancy.every() if tenancy.are_used() else [""]:
        with tenancy.activate(tenant):
            interrupted += tell_interrupted(rows.own())
            deleted += _delete_old()
    return interrupted, deleted


def _delete_old() -> int:
    keep = conf.current().stream_keep
    if keep is None:
        return 0
    deleted = last = 0
    old = rows.own().filter(ended_at__lt=timezone.now() - timedelta(seconds=keep))
    keys = old.order_by("pk").values_list("pk", flat=True)
    while some := list(keys.filter(pk__gt=last)[:_AT_ONCE]):
        deleted += rows.remove(old, some)
        last = some[-1]
    return deleted
