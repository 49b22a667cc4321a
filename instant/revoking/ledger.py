"""
The rows of ``Revocation``: what has been taken away and is not finished.

Each change leaves a row in its own transaction. The immediate check, right after the commit,
confirms it; the follow-up check deletes it. Any process may make the follow-up check, since the
one that made the change may be gone: rows are claimed by moving their due time, so that two
processes don't do the same, and one that dies in the middle only delays it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from instant import conf
from instant.centrifugo.config import proxies
from instant.centrifugo.config.file import read_config
from instant.exceptions import InstantConfigError
from instant.models import Revocation
from instant.namespaces import registered
from instant.revoking.affected import Affected

__all__ = ["MARGIN", "any_left", "claim", "confirm", "forget", "postpone", "write"]

logger = logging.getLogger("instant.enforcement")

MARGIN = timedelta(seconds=5)
"""Added to the life of tokens, for clocks that differ."""

_GRACE = timedelta(seconds=2)
"""An immediate check that has not come by then never will: its process died."""

_ON_ITS_WAY = timedelta(seconds=proxies.TIMEOUT + 1)
"""
Until then the server has taken every yes that Django gave before the commit.

One that is on its way is not in presence yet. Where a user is named the server sees to it.
"""

_LEASE = timedelta(seconds=30)
"""For how long a process that claimed a row may work on it."""

_LONGEST_PAUSE = 60
_AT_ONCE = 500


def write(affected: Affected) -> Revocation:
    """Write a row, in the transaction that is open."""
    now = timezone.now()
    return Revocation.objects.using(_database()).create(
        loss=affected.as_json(), created_at=now, due_at=now + _GRACE
    )


def any_left() -> bool:
    """Tell whether there is a row, due or not."""
    return Revocation.objects.using(_database()).exists()


def confirm(revocations: Sequence[Revocation]) -> None:
    """Let the follow-up check be due when no old token is valid: counted from now, the commit."""
    now = timezone.now()
    asked = [revocation for revocation in revocations if _is_asked(revocation)]
    others = [revocation for revocation in revocations if revocation not in asked]
    for rows, wait in ((asked, _ON_ITS_WAY), (others, _token_use() + MARGIN)):
        if not rows:
            continue
        values = {"due_at": now + wait, "is_last": True, "attempts": 0}
        if _rows(rows).update(**values) == len(rows):
            continue
        # On another database than the change, whose transaction took its time, the row was
        # worked off before the commit.
        there = set(_rows(rows).values_list("pk", flat=True))
        Revocation.objects.using(_database()).bulk_create(
            Revocation(loss=row.loss, created_at=row.created_at, **values)
            for row in rows
            if row.pk not in there
        )


def forget(revocations: Sequence[Revocation]) -> None:
    """Delete what is finished."""
    _rows(revocations).delete()


def postpone(revocations: Sequence[Revocation]) -> None:
    """Let the next attempt be due soon, and less and less often; give up what has expired."""
    for revocation in revocations:
        if _has_expired(revocation):
            logger.error("Given up, since all that could be open has expired: %s", revocation)
            forget([revocation])
            continue
        attempts = revocation.attempts + 1
        pause = timedelta(seconds=min(2 ** (attempts - 1), _LONGEST_PAUSE))
        _rows([revocation]).update(due_at=timezone.now() + pause, attempts=attempts)


def claim(now: datetime) -> list[Revocation]:
    """Return rows that are due and that nobody else works on."""
    rows = Revocation.objects.using(_database())
    due = rows.filter(due_at__lte=now).order_by("due_at").values_list("pk", flat=True)
    keys = list(due[:_AT_ONCE])
    if not keys:
        return []
    claimed = uuid.uuid4().hex
    # Who comes second finds the due time moved, on every database.
    rows.filter(pk__in=keys, due_at__lte=now).update(due_at=now + _LEASE, claim=claimed)
    return list(rows.filter(claim=claimed).order_by("pk"))


def _has_expired(revocation: Revocation) -> bool:
    """Tell whether all that old tokens can have opened has expired by itself."""
    settings = conf.current()
    life = timedelta(seconds=settings.token_use + 1.1 * settings.token_life)
    return timezone.now() >= revocation.created_at + life + MARGIN


def _is_asked(revocation: Revocation) -> bool:
    """Tell whether the server asks Django for all that was lost, so that no token is about."""
    affected = Affected.from_json(revocation.loss)
    by_presence_only = affected == Affected(channels=affected.channels)
    asked = {cls.name for cls in registered() if cls.authorize == "proxy"}
    if not by_presence_only or not {n.partition(":")[0] for n in affected.channels} <= asked:
        return False
    try:
        return proxies.keeps_timeout(read_config(conf.current().config_file) or {})
    except InstantConfigError:
        return False


def _token_use() -> timedelta:
    return timedelta(seconds=conf.current().token_use)


def _database() -> str:
    """Return where the rows are; a change on another database is not one transaction with them."""
    return router.db_for_write(Revocation)


def _rows(revocations: Sequence[Revocation]) -> QuerySet[Revocation]:
    keys = [revocation.pk for revocation in revocations]
    return Revocation.objects.using(_database()).filter(pk__in=keys)
