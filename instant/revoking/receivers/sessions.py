"""Sessions that end, or that go on as another user's."""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections

from instant.revoking import ledger, request_end, run, sessions, tables
from instant.revoking.affected import Affected
from instant.revoking.pending import Change
from instant.tenancy import current as tenancy

__all__ = ["finished", "logs_in", "logs_out", "started"]

logger = logging.getLogger("instant.enforcement")


def logs_out(user: Any, request: Any = None, **_kwargs: Any) -> None:
    """
    Have everything asked again, when the session is gone.

    Django sends this before it ends the session, so a page that came back at once would find
    itself logged in: it is enforced when the request is over.
    """
    subs = set() if user is None else {str(user.pk)}
    try:
        _ask_again(subs | sessions.users(request))
    except Exception:  # to stay logged in for it would be worse
        logger.exception("The other connections of a user who logs out are not asked again.")


def logs_in(user: Any, request: Any = None, **_kwargs: Any) -> None:
    """
    Have everything asked again for the user whose session it was.

    So an impersonation begins and ends: its pages were opened as somebody else's.
    """
    try:
        _ask_again(sessions.users_before(request) - {str(user.pk)})
    except Exception:  # to log in nobody for it would be worse
        logger.exception("The connections of a session's former user are not asked again.")


def _ask_again(subs: set[str]) -> None:
    if not subs or not run.is_on() or not tables.are_there():
        return
    affected = Affected(sessions=subs)
    with tables.apart(ledger.database()):
        row = run.record(affected)
    request_end.leave(Change(affected, row, tenant=tenancy.current()))


def started(**kwargs: Any) -> None:
    """Enforce what was left by a logout outside of any request, as of a test's client."""
    if left := request_end.began(**kwargs):
        run.check_at_end(left)


def finished(**_kwargs: Any) -> None:
    """Enforce what was left to the request's end, now that its session is stored."""
    if left := request_end.ended():
        run.check_at_end(left)
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:  # as a test case's is, which goes on with it
                connection.close_if_unusable_or_obsolete()  # Django has done so before us
