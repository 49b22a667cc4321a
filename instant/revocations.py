"""
The second pass: rights that ended are enforced again when no old token is valid any more.

Each change leaves a row of ``Revocation`` in its own transaction. The first pass, right after
the commit, confirms it; the second one deletes it. Any process may make the second pass, since
the one that made the change may be gone: rows are claimed by moving their due time, so that
two processes don't do the same, and one that dies in the middle only delays it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from instant import conf
from instant.centrifugo import endpoints
from instant.losses import Loss
from instant.models import Revocation
from instant.namespaces import registered

__all__ = ["Revocation", "confirm", "postpone", "remember", "run_due"]

logger = logging.getLogger("instant.enforcement")

MARGIN = timedelta(seconds=5)
"""Added to the life of tokens, for clocks that differ."""

_GRACE = timedelta(seconds=2)
"""A first pass that has not come by then never will: its process died."""

_ON_ITS_WAY = timedelta(seconds=endpoints.TIMEOUT + 1)
"""
Until then the server has taken every yes that Django gave before the commit.

One that is on its way is not in presence yet. Where a user is named the server sees to it.
"""

_LEASE = timedelta(seconds=30)
"""For how long one that claimed a row may work on it."""

_LONGEST_PAUSE = 60
_AT_ONCE = 100


def remember(loss: Loss) -> Revocation:
    """Write down what has to be enforced, in the transaction that is open."""
    now = timezone.now()
    return Revocation.objects.using(_database()).create(
        loss=loss.as_json(), created_at=now, due_at=now + _GRACE
    )


def confirm(revocations: Sequence[Revocation]) -> None:
    """Note that the first pass is made: the second is due when no old token is valid."""
    now = timezone.now()
    asked = [revocation for revocation in revocations if _is_asked(revocation)]
    others = [revocation for revocation in revocations if revocation not in asked]
    for rows, wait in ((asked, _ON_ITS_WAY), (others, _token_use() + MARGIN)):
        if rows:
            _rows(rows).update(due_at=now + wait, is_last=True, attempts=0)


def postpone(revocations: Sequence[Revocation]) -> None:
    """Note that a pass failed: the next is due soon, and less and less often."""
    for revocation in revocations:
        attempts = revocation.attempts + 1
        pause = timedelta(seconds=min(2 ** (attempts - 1), _LONGEST_PAUSE))
        _rows([revocation]).update(due_at=timezone.now() + pause, attempts=attempts)


def run_due(now: datetime | None = None) -> int:
    """
    Make the passes that are due; return how many changes were looked at.

    A failure is logged and signalled, and tried again later, until everything that old tokens
    can have opened has expired by itself.
    """
    from instant import enforcement  # noqa: PLC0415  which remembers by us

    claimed = list(_claim(now or timezone.now()))
    if not claimed:
        return 0
    loss = Loss.of_all(Loss.from_json(revocation.loss) for revocation in claimed)
    try:
        enforcement.enforce(loss)
    except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
        enforcement.report(exc, loss)
        postpone([revocation for revocation in claimed if not _given_up(revocation)])
    else:
        confirm([revocation for revocation in claimed if not revocation.is_last])
        _rows([revocation for revocation in claimed if revocation.is_last]).delete()
    return len(claimed)


def _claim(now: datetime) -> Sequence[Revocation]:
    """Return rows that are due and that nobody else works on."""
    alias = _database()
    rows = Revocation.objects.using(alias)
    claimed = []
    for row in rows.filter(due_at__lte=now).order_by("due_at", "pk")[:_AT_ONCE]:
        with transaction.atomic(using=alias):
            mine = rows.filter(pk=row.pk, due_at=row.due_at).update(due_at=now + _LEASE)
        if mine:
            claimed.append(row)
    return claimed


def _given_up(revocation: Revocation) -> bool:
    """Delete a row whose time is over; tell whether it was."""
    settings = conf.current()
    life = timedelta(seconds=settings.token_use + 1.1 * settings.token_life)
    if timezone.now() < revocation.created_at + life + MARGIN:
        return False
    logger.error("Given up, since all that could be open has expired: %s", revocation)
    revocation.delete()
    return True


def _is_asked(revocation: Revocation) -> bool:
    """Tell whether the server asks Django for all that was lost, so that no token is about."""
    loss = Loss.from_json(revocation.loss)
    asked = {cls.name for cls in registered() if cls.authorize == "proxy"}
    by_presence_only = not (loss.subscriptions or loss.reconnects or loss.disconnects)
    return by_presence_only and {name.partition(":")[0] for name in loss.channels} <= asked


def _token_use() -> timedelta:
    return timedelta(seconds=conf.current().token_use)


def _database() -> str:
    """Return where the rows are; a change on another database is not one transaction with them."""
    return router.db_for_write(Revocation)


def _rows(revocations: Sequence[Revocation]) -> QuerySet[Revocation]:
    keys = [revocation.pk for revocation in revocations]
    return Revocation.objects.using(_database()).filter(pk__in=keys)
