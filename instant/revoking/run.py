"""
Rights that end, enforced on the connections that are open.

A change that may take rights away calls revoke() in its transaction. After the commit the
immediate check asks the rule again for everybody concerned and unsubscribes whoever has lost
something, in one batch. A token issued a moment before can still be used for ``TOKEN_USE``
seconds: when they are over, the follow-up check does the same once more, in whichever process
comes first.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.signals import request_started
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from instant import conf
from instant.backends import get_backend
from instant.exceptions import InstantConfigError, PublishError
from instant.models import Revocation
from instant.publishing.commit_hook import wait_for_commit
from instant.revoking import ledger
from instant.revoking.affected import Affected
from instant.revoking.check import Check
from instant.revoking.thread import Worker
from instant.signals import enforcement_failed

__all__ = [
    "enforce",
    "follow_up",
    "immediate_check",
    "is_on",
    "look",
    "look_once",
    "record",
    "report",
    "revoke",
    "schedule",
    "wake",
    "watch",
]

logger = logging.getLogger("instant.enforcement")

_MARGIN = 3 * ledger.MARGIN.total_seconds()


def is_on() -> bool:
    """Tell whether there is a server on which rights can be enforced."""
    try:
        return get_backend().reaches_server
    except InstantConfigError:  # a check tells; nobody's save() fails for it
        return False


def revoke(affected: Affected, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Record in the transaction what may have been lost, and check it after the commit."""
    if affected and is_on():
        schedule(record(affected), using)


def record(affected: Affected) -> Revocation:
    """Write a row in the transaction that is open, and make sure that somebody follows it up."""
    revocation = ledger.write(affected)
    wake()
    return revocation


def schedule(revocation: Revocation, using: str) -> None:
    """Check after the commit, together with all else that the transaction takes away."""
    try:
        # Before publications: who has lost the channel must not get what is published with it.
        wait_for_commit(connections[using], [revocation], immediate_check, first=True)
    except TransactionManagementError:
        # Without autocommit nobody tells of a commit: a follow-up check comes soon.
        logger.debug("Without autocommit there is no immediate check.")


def immediate_check(revocations: Sequence[Revocation]) -> None:
    """
    Enforce what a committed transaction has taken away; never raise an Exception.

    A failure is logged and signalled, and the next follow-up check tries again.
    """
    try:
        errors = enforce([Affected.from_json(revocation.loss) for revocation in revocations])
        _finish(revocations, errors)
    except Exception:  # the change is committed, and the row is there
        logger.exception("Rights that ended are not enforced yet; it will be tried again.")


def follow_up(now: datetime | None = None) -> int:
    """
    Make the checks that are due, up to 500 of them; return how many.

    A failure is logged and signalled, and tried again later, until everything that old tokens
    can have opened has expired by itself.
    """
    claimed = ledger.claim(now or timezone.now())
    if claimed:
        errors = enforce([Affected.from_json(revocation.loss) for revocation in claimed])
        _finish(claimed, errors)
    return len(claimed)


def enforce(affected: Sequence[Affected]) -> list[Exception | None]:
    """
    Unsubscribe and disconnect whoever has no right any more, in as few requests as possible.

    Returns for each why it could not be enforced, None where it was.
    """
    try:
        client = get_backend().client()
        if client is None:
            return [None] * len(affected)
        check = Check(affected, client, conf.current().timeout)
        check.run()
    except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
        return [exc] * len(affected)
    return check.errors


def _finish(revocations: Sequence[Revocation], errors: Sequence[Exception | None]) -> None:
    """
    Note what a check has done: after an immediate one the follow-up is due, after that nothing.

    What failed, by its error, is reported and tried again.
    """
    done = [r for r, error in zip(revocations, errors, strict=True) if error is None]
    ledger.confirm([revocation for revocation in done if not revocation.is_last])
    ledger.forget([revocation for revocation in done if revocation.is_last])
    failed = [r for r, error in zip(revocations, errors, strict=True) if error is not None]
    if failed:
        ledger.postpone(failed)
        affected = Affected.of_all(Affected.from_json(revocation.loss) for revocation in failed)
        report(affected, next(error for error in errors if error is not None))


def report(affected: Affected, error: Exception) -> None:
    """
    Log a failure and signal it; Django logs what a receiver raises.

    Without keys, as before the first start of a server, it is logged once in a process.
    """
    if isinstance(error, InstantConfigError):
        _log_once(str(error))
    elif isinstance(error, PublishError):
        logger.error("Rights that ended are not enforced yet; it will be tried again: %s", error)
    else:
        logger.error(
            "Rights that ended are not enforced yet; it will be tried again.", exc_info=error
        )
    enforcement_failed.send_robust(sender=Affected, loss=affected, error=error)


@functools.cache
def _log_once(text: str) -> None:
    logger.error("Rights that ended are not enforced yet; it will be tried again: %s", text)


def look() -> bool:
    """Make the checks that are due; return whether any row is left, due or not."""
    while follow_up():
        continue
    return ledger.any_left()


_worker = Worker(look)
"""
The thread of this process that makes follow-up checks.

Only a token that was handed out in the last ``TOKEN_USE`` seconds can be used against a right
that ended. So a process looks from the moment it hands out a token, takes a right away or
answers its first request, until no token of its own can be valid and no row is left.
"""


def wake() -> None:
    """Look until no token of now can be used; nothing where the settings or the backend say so."""
    try:
        settings = conf.current()
        if settings.enforces_in_background and is_on():
            _worker.wake(settings.token_use + _MARGIN)
    except InstantConfigError:
        return


def watch() -> Worker:
    """Return a worker that looks until it is stopped; for ``runws``, as long as the server runs."""
    worker = Worker(look)
    if is_on():
        worker.wake(math.inf)
    return worker


def look_once(**_kwargs: Any) -> None:
    """Look, on the first request: another process may have gone with a check to make."""
    request_started.disconnect(dispatch_uid="instant.worker")
    try:
        wake()
    except Exception:
        logger.exception("The first look for follow-up checks failed.")  # the page is answered
