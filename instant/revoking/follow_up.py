"""The checks that are left to whoever looks: follow-ups, and what a request left over."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import datetime

from django.core.signals import request_started
from django.utils import timezone

from instant import conf
from instant.exceptions import InstantConfigError
from instant.models import Revocation
from instant.revoking import ledger, schedule
from instant.revoking.affected import Affected
from instant.revoking.enforce import enforce, is_on, report
from instant.revoking.thread import Worker

__all__ = ["call_looker", "follow_up", "look", "look_once", "wake", "watch"]

logger = logging.getLogger("instant.enforcement")


def follow_up(now: datetime | None = None) -> int:
    """
    Make the checks that are due, up to 1,000 of them; return how many.

    A failure is logged and signalled, and tried again later, until everything that old tokens
    can have opened has expired by itself.
    """
    now = now or timezone.now()
    rows = ledger.claim(now)
    if rows:
        affected = [Affected.from_json(row.loss) for row in rows]
        repeated = [row.is_last for row in rows]
        errors = enforce(affected, repeated=repeated, between=ledger.holder(rows))
        _finish(rows, affected, errors, now)
    return len(rows)


def _finish(
    rows: Sequence[Revocation],
    affected: Sequence[Affected],
    errors: Sequence[Exception | None],
    seen: datetime,
) -> None:
    """Note what a check has done, and report what it could not do."""
    failed: list[tuple[Affected, Exception]] = []
    finished: list[Revocation] = []
    for row, about, error in zip(rows, affected, errors, strict=True):
        if error is not None:
            failed.append((about, error))
            _try_again(row)
        elif row.is_last:
            finished.append(row)
        else:
            ledger.confirm(row, seen + schedule.until_follow_up(about))
    ledger.forget(finished)
    if failed:
        report(Affected.of_all(about for about, _ in failed), failed[0][1])


def _try_again(row: Revocation) -> None:
    """Let the next attempt be due soon, and less and less often; give up what has expired."""
    now = timezone.now()
    if schedule.has_expired(row, now):
        logger.error("Given up, since all that could be open has expired: %s", row)
        (ledger.forget if row.is_last else ledger.drop)([row])
    else:
        ledger.postpone(row, now + schedule.until_next_attempt(row))


def look() -> bool:
    """Make the checks that are due; return whether any row is left, due or not."""
    while follow_up():
        continue
    return bool(ledger.waiting(1))


_worker = Worker(look)


def wake() -> None:
    """Look until no token of now can be used; nothing where the settings or the backend say so."""
    try:
        settings = conf.current()
        if settings.enforces_in_background and is_on():
            _worker.wake(settings.token_use + 15)
    except InstantConfigError:
        return


def call_looker() -> None:
    """Have a row looked at that was left over just now."""
    wake()


def watch() -> Worker:
    """Return a worker that looks until it is stopped; for ``runws``, as long as the server runs."""
    worker = Worker(look)
    if is_on():
        worker.wake(math.inf)
    return worker


def look_once(**_kwargs: object) -> None:
    """Look, on the first request: another process may have gone with a check to make."""
    request_started.disconnect(dispatch_uid="instant.worker")
    try:
        wake()
    except Exception:
        logger.exception("The first look for follow-up checks failed.")  # the page is answered
