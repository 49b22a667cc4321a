"""Messages that nobody waits for any more, or that are kept long enough: collected in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import Count
from django.utils import timezone

from instant import conf
from instant.namespaces import find_namespace
from instant.stored.acknowledging import let_go
from instant.stored.model import Message
from instant.stored.rows import database, own
from instant.tenancy import current as tenancy

__all__ = ["collect"]

_AT_ONCE = 500
"""Messages that one transaction looks at."""


class _Limits(NamedTuple):
    age: timedelta | None
    most: int | None


def collect() -> int:
    """See ``instant.messages.collect()``."""
    deleted = 0
    for tenant in tenancy.every() if tenancy.are_used() else [""]:
        with tenancy.activate(tenant):
            deleted += _collect()
    return deleted


def _collect() -> int:
    before = after = 0
    last, now = 0, timezone.now()
    while batch := list(own().filter(pk__gt=last).values_list("pk", flat=True)[:_AT_ONCE]):
        last = batch[-1]
        before += len(batch)
        after += _look(batch, now)
    return before - after + _over_count()


def _look(batch: Sequence[int], now: datetime) -> int:
    """Delete those of a batch that may go; return how many stay."""
    alias = database()
    with transaction.atomic(using=alias):
        messages = own().filter(pk__in=batch).select_related("row")
        if connections[alias].features.has_select_for_update:
            of = ("self",) if connections[alias].features.has_select_for_update_of else ()
            messages = messages.select_for_update(of=of)
        found = list(messages)
        old = [one.pk for one in found if _is_old(one, now)]
        _delete(old)
        let_go([one for one in found if one.pk not in set(old)])
        return own().filter(pk__in=batch).count()


def _is_old(message: Message, now: datetime) -> bool:
    age = _limits(message.row_id, message.channel).age
    return age is not None and message.created_at < now - age


def _over_count() -> int:
    """Delete the oldest messages of channels that have more than they keep."""
    deleted = 0
    channels = own().order_by().values_list("row", "channel").annotate(Count("pk"))
    for row, channel, count in list(channels):
        most = _limits(row, channel).most
        excess = 0 if most is None else count - most
        while excess > 0:
            oldest = own().filter(row=row, channel=channel).values_list("pk", flat=True)
            keys = list(oldest[: min(excess, _AT_ONCE)])
            if not keys:
                break
            _delete(keys)
            excess -= len(keys)
            deleted += len(keys)
    return deleted


def _limits(row: Any, channel: str) -> _Limits:
    """Return what the namespace says, or for rows and users' own channels INSTANT["STORE"]."""
    declared = find_namespace(channel) if row is None else None
    if declared is not None:
        delivery = declared[0].delivery
        return _Limits(delivery.max_age, delivery.max_count)
    store = conf.current().store
    if store is None:
        return _Limits(None, None)
    age = None if store.max_age is None else timedelta(seconds=store.max_age)
    return _Limits(age, store.max_count)


def _delete(keys: Sequence[int]) -> None:
    if keys:
        Message._base_manager.using(database()).filter(pk__in=keys).delete()  # noqa: SLF001
