"""
The second pass: rights that ended are enforced again when no old token is valid any more.

Each change leaves a row of ``Revocation`` in its own transaction. The first pass, right after
the commit, confirms it; the second one deletes it. Any process may make the second pass, since
the one that made the change may be gone: rows are claimed by moving their due time, so that
two processes don't do the same, and one that dies in the middle only delays it.
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
from instant.revoking.affected import Loss

__all__ = ["MARGIN", "Revocation", "any_left", "remember", "run_due", "settle"]

logger = logging.getLogger("instant.enforcement")

MARGIN = timedelta(seconds=5)
"""Added to the life of tokens, for clocks that differ."""

_GRACE = timedelta(seconds=2)
"""A first pass that has not come by then never will: its process died."""

_ON_ITS_WAY = timedelta(seconds=proxies.TIMEOUT + 1)
"""
Until then the server has taken every yes that Django gave before the commit.

One that is on its way is not in presence yet. Where a user is named the server sees to it.
"""

_LEASE = timedelta(seconds=30)
"""For how long one that claimed a row may work on it."""

_LONGEST_PAUSE = 60
_AT_ONCE = 500


def remember(loss: Loss) -> Revocation:
    """Write down what has to be enforced, in the transaction that is open."""
    from instant.revoking import thread  # noqa: PLC0415  which makes our passes

    now = timezone.now()
    revocation = Revocation.objects.using(_database()).create(
        loss=loss.as_json(), created_at=now, due_at=now + _GRACE
    )
    thread.wake()
    return revocation


def run_due(now: datetime | None = None) -> int:
    """
    Make passes that are due, up to 500 of them; return how many.

    A failure is logged and signalled, and tried again later, until everything that old tokens
    can have opened has expired by itself.
    """
    from instant import enforcement  # noqa: PLC0415  which remembers by us

    claimed = _claim(now or timezone.now())
    if claimed:
        settle(claimed, enforcement.enforce([Loss.from_json(r.loss) for r in claimed]))
    return len(claimed)


def any_left() -> bool:
    """Tell whether there is a row, due or not."""
    return Revocation.objects.using(_database()).exists()


def settle(revocations: Sequence[Revocation], errors: Sequence[Exception | None]) -> None:
    """
    Note what a pass has done: a first one is confirmed, a last one forgotten.

    What failed, by its error, is reported and tried again.
    """
    from instant import enforcement  # noqa: PLC0415  which remembers by us

    done = [r for r, error in zip(revocations, errors, strict=True) if error is None]
    _confirm([revocation for revocation in done if not revocation.is_last])
    _rows([revocation for revocation in done if revocation.is_last]).delete()
    failed = [r for r, error in zip(revocations, errors, strict=True) if error is not None]
    if failed:
        _postpone([revocation for revocation in failed if not _given_up(revocation)])
        loss = Loss.of_all(Loss.from_json(revocation.loss) for revocation in failed)
        enforcement.report(loss, next(error for error in errors if error is not None))


def _confirm(revocations: Sequence[Revocation]) -> None:
    """Let the second pass be due when no old token is valid: counted from now, after the commit."""
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


def _postpone(revocations: Sequence[Revocation]) -> None:
    """Let the next attempt be due soon, and less and less often."""
    for revocation in revocations:
        attempts = revocation.attempts + 1
        pause = timedelta(seconds=min(2 ** (attempts - 1), _LONGEST_PAUSE))
        _rows([revocation]).update(due_at=timezone.now() + pause, attempts=attempts)


def _claim(now: datetime) -> list[Revocation]:
    """Return rows that are due and that nobody else works on."""
    rows = Revocation.objects.using(_database())
    due = rows.filter(due_at__lte=now).order_by("due_at").values_list("pk", flat=True)
    keys = list(due[:_AT_ONCE])
    if not keys:
        return []
    claim = uuid.uuid4().hex
    # Who comes second finds the due time moved, on every database.
    rows.filter(pk__in=keys, due_at__lte=now).update(due_at=now + _LEASE, claim=claim)
    return list(rows.filter(claim=claim).order_by("pk"))


def _given_up(revocation: Revocation) -> bool:
    """Delete a row whose time is over; tell whether it was."""
    settings = conf.current()
    life = timedelta(seconds=settings.token_use + 1.1 * settings.token_life)
    if timezone.now() < revocation.created_at + life + MARGIN:
        return False
    logger.error("Given up, since all that could be open has expired: %s", revocation)
    _rows([revocation]).delete()
    return True


def _is_asked(revocation: Revocation) -> bool:
    """Tell whether the server asks Django for all that was lost, so that no token is about."""
    loss = Loss.from_json(revocation.loss)
    by_presence_only = loss == Loss(channels=loss.channels)
    asked = {cls.name for cls in registered() if cls.authorize == "proxy"}
    if not by_presence_only or not {name.partition(":")[0] for name in loss.channels} <= asked:
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
