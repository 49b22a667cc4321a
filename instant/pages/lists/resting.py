"""
Which lists saves have to look at: those that somebody watches, and those just shown.

All others rest. They cost a save nothing, and are there again when somebody comes for them, as
from a page that a cache has kept: then pages are told that they know nothing of what was changed
meanwhile. So ``expires_at`` is until when a list is followed, and it is kept for a while longer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils import timezone

from instant import conf
from instant.pages.lists import registry, syncing
from instant.pages.lists.audience import heard
from instant.pages.lists.model import LiveList
from instant.tenancy import current as tenancy

__all__ = ["FIRST", "MARGIN", "has_room", "let_rest", "revive", "watched"]

logger = logging.getLogger("instant.pages")

FIRST = timedelta(seconds=60)
"""For which a list is followed that a page was made with; until then the page has to ask for it."""

MARGIN = timedelta(seconds=10)
"""Before its end a list counts as resting: clocks differ, and questions take a while."""

_NOTED = timedelta(seconds=60)
"""How exactly it is noted when somebody came."""

_EVERY, _AT_CAP = 30.0, 3.0
"""Seconds between two looks of one process for lists that nobody watches."""

_AT_ONCE = 200
"""Lists that one look removes."""

_KEPT = 10
"""Times as many lists as may be followed are kept of a model."""

_TRIES = 10

_looked: dict[str, float] = {}
_told: dict[tuple[str, str], float] = {}


def watched(rows: Collection[LiveList]) -> list[LiveList]:
    """
    Have saves follow lists, which somebody is about to watch; return those that are followed.

    Each time a page asks for its right to a channel, as it does before each subscription.
    """
    now, until = timezone.now(), _until()
    due = [row for row in rows if row.expires_at < until - _NOTED]
    awake = [row.pk for row in due if row.expires_at > now + MARGIN]
    if awake and _extend(awake, now, until) == len(awake):
        due = [row for row in due if row.pk not in awake]
    refused = {row.pk for row in due if not revive(row, until)}
    return [row for row in rows if row.pk not in refused]


def revive(row: LiveList, until: datetime) -> bool:
    """
    Have saves follow a list again, and tell its pages that they may have missed something.

    False where the model has as many lists as it may have, or the list is no more.
    """
    for _ in range(_TRIES):
        now = timezone.now()
        if row.expires_at > now + MARGIN:
            if row.expires_at >= until - _NOTED or _extend([row.pk], now, until):
                return True
        elif not has_room(row.model):
            return False
        elif _wake(row, until):
            return True
        found = registry.own().filter(pk=row.pk).only("version", "expires_at").first()
        if found is None:
            break
        row.version, row.expires_at = found.version, found.expires_at
    return False


def has_room(label: str) -> bool:
    """
    Tell whether one more list of a model may be followed.

    Lists that were shown and that nobody watches yet make room, the oldest first.
    """
    most, now = conf.current().list_limit, timezone.now()
    rows = registry.own().filter(model=label)
    found = rows.aggregate(all=Count("pk"), followed=Count("pk", filter=Q(expires_at__gt=now)))
    if found["all"] >= _KEPT * most:
        oldest = rows.order_by("expires_at").values_list("pk", flat=True)
        remove(list(oldest[:_AT_ONCE]))
    if found["followed"] < most:
        return True
    new = rows.filter(expires_at__gt=now, expires_at__lte=now + FIRST).order_by("expires_at")
    for row in new.only("expires_at")[: found["followed"] - most + 1]:
        if _rest(row, now):
            return True
    let_rest(rows.filter(expires_at__gt=now).defer("keys", "queryset", "row"), every=_AT_CAP)
    if rows.filter(expires_at__gt=timezone.now()).count() < most:
        return True
    _tell_full(label, most)
    return False


def let_rest(rows: Iterable[LiveList], *, every: float = _EVERY) -> None:
    """
    Let those of the lists rest that nobody watches any more; asks the server, now and then.

    Only where nobody has asked for the right to one for as long as a token can be used: whoever
    comes from then on asks again.
    """
    tenant, moment = tenancy.current(), time.monotonic()
    if moment < _looked.get(tenant, -every) + every:
        return
    now, until = timezone.now(), _until()
    asked = _NOTED + timedelta(seconds=conf.current().token_use) + 3 * MARGIN
    stale = [row for row in rows if now + FIRST < row.expires_at < until - asked]
    if not stale:
        return
    _looked[tenant] = moment
    found = heard(syncing.channel_of("*"))
    if found is None:
        return
    is_heard = {row.pk: syncing.channel_of(row.digest) in found for row in stale}
    _extend([key for key, is_so in is_heard.items() if is_so], now, until)
    for row in stale:
        if not is_heard[row.pk]:
            _rest(row, now)


def remove(keys: Sequence[Any]) -> None:
    """Remove those of the lists that rest, and who was given them."""
    rows = registry.own().filter(pk__in=keys, expires_at__lte=timezone.now())
    # Somebody may be given one of them just now.
    with suppress(IntegrityError), transaction.atomic(using=rows.db):
        rows.delete()


def _until() -> datetime:
    return timezone.now() + 2 * registry.life() + FIRST


def _extend(keys: Sequence[Any], now: datetime, until: datetime) -> int:
    if not keys:
        return 0
    return registry.own().filter(pk__in=keys, expires_at__gt=now + MARGIN).update(expires_at=until)


def _wake(row: LiveList, until: datetime) -> bool:
    version = row.version + 1 if row.version else 0
    same = registry.own().filter(pk=row.pk, version=row.version, expires_at=row.expires_at)
    if not same.update(version=version, expires_at=until):
        return False
    row.version, row.expires_at = version, until
    if version:
        syncing.tell_reset(row)
    return True


def _rest(row: LiveList, now: datetime) -> bool:
    """Let a list rest, if nobody has come for it since it was read."""
    same = registry.own().filter(pk=row.pk, expires_at=row.expires_at)
    return bool(same.update(expires_at=now))


def _tell_full(label: str, most: int) -> None:
    key, moment = (tenancy.current(), label), time.monotonic()
    if moment > _told.get(key, -300.0) + 300.0:
        _told[key] = moment
        logger.warning(
            "%d lists of %s are followed, and no more may be: pages show theirs as they are, and "
            "follow no other. See INSTANT['LIST_LIMIT'].",
            most,
            label,
        )
