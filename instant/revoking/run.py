"""
Rights that end, enforced on the connections that are open.

A change that may take rights away calls revoke() in its transaction. After the commit the
immediate check asks the rule again for everybody concerned and unsubscribes whoever has lost
something, in one batch, as far as that costs the request no more than ``CHECK_QUERIES``; the
rest, and the follow-up check when no token from before the change can be used, is the looker's.
A session that ends in a request is the one thing that waits for the request's end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from instant import conf
from instant.models import Revocation
from instant.publishing.commit_hook import wait_for_commit
from instant.revoking import ledger, needed, notes, request_end, schedule
from instant.revoking.affected import Affected
from instant.revoking.cost import OverCost
from instant.revoking.enforce import enforce, is_on, report
from instant.revoking.follow_up import call_looker, wake
from instant.revoking.pending import Change, is_open, take
from instant.tenancy import current as tenancy

__all__ = [
    "check_at_end",
    "immediate_check",
    "is_on",
    "record",
    "revoke",
    "row_found",
    "wait",
    "wake",
]

logger = logging.getLogger("instant.enforcement")

_MERGED = 100
"""More changes of one transaction than these are one in a check, and fail together."""


def revoke(affected: Affected, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Record in the transaction what may have been lost, and check it after the commit."""
    connection = connections[using]
    if not affected or not (is_open(connection) or is_on()):
        return
    if connection.in_atomic_block:
        if take(connection, affected, immediate_check) is not None:
            _written()
    else:
        wait(affected, record(affected), using)


def row_found() -> None:
    """Know that there are rows of Channel: somebody gets a token for one."""
    if is_on():
        needed.row_found()


def record(affected: Affected) -> Revocation:
    """Write a row at once, and make sure that somebody follows it up."""
    row = ledger.write(affected, timezone.now())
    _written()
    return row


def _written() -> None:
    notes.delete_finished()
    wake(certain=True)


def wait(affected: Affected, row: Revocation, using: str) -> None:
    """Check after the commit, together with all else that the transaction takes away."""
    change = Change(affected, row, using == ledger.database(), tenancy.current())
    try:
        # Before publications: who has lost the channel must not get what is published with it.
        wait_for_commit(connections[using], [change], immediate_check, first=True)
    except TransactionManagementError:
        # Without autocommit nobody tells of a commit: whoever looks takes it at once.
        ledger.release(row, timezone.now())


def immediate_check(changes: Sequence[Change]) -> None:
    """
    Enforce what a committed transaction has taken away; never raise an Exception.

    A failure is logged and signalled, and the next follow-up check tries again. In a request,
    sessions are left to its end: who changes a password ends them first, and says which of them
    goes on (``update_session_auth_hash()``) later.
    """
    _check_each(changes, at_end=not request_end.is_open())


def check_at_end(changes: Sequence[Change]) -> None:
    """Enforce what was left to the end of a request; never raise an Exception."""
    _check_each(changes, at_end=True)


def _check_each(changes: Sequence[Change], *, at_end: bool) -> None:
    """Enforce those of each tenant in its context: a transaction may have been to several."""
    for tenant, of_tenant in tenancy.by_tenant(changes, lambda change: change.tenant):
        try:
            with tenancy.activate(tenant):
                _check(of_tenant, at_end=at_end)
        except Exception:  # the change is committed, and the row is there
            logger.exception("Rights that ended are not enforced yet; it will be tried again.")


def _check(changes: Sequence[Change], *, at_end: bool) -> None:
    seen = timezone.now()
    rows = [change.row for change in changes if change.row is not None]
    parts = [change.affected for change in changes]
    later = Affected()
    if not at_end and (sessions := set[str]().union(*(part.sessions for part in parts))):
        later = Affected(sessions=sessions)
        parts = [part for part in (replace(p, sessions=set()) for p in parts) if part]
    if len(parts) > _MERGED:
        parts = [Affected.of_all(parts).bounded()]
    queries, between = conf.current().check_queries, ledger.holder(rows)
    errors = enforce(parts, queries=queries, between=between) if parts else []
    shared = all(change.shares_transaction for change in changes)
    _finish(rows, list(zip(parts, errors, strict=True)), later, seen, shared=shared)


def _finish(
    rows: Sequence[Revocation],
    results: Sequence[tuple[Affected, Exception | None]],
    later: Affected,
    seen: datetime,
    *,
    shared: bool,
) -> None:
    """
    Leave one row about what is to be followed up, and one about what is to be repeated.

    What is for ``later``, the end of the request, keeps its row, or is repeated too.
    """
    done = Affected.of_all(part for part, error in results if error is None)
    again = Affected.of_all(part for part, error in results if error is not None)
    created = min((row.created_at for row in rows), default=seen)
    due = seen + schedule.until_follow_up(done)
    if later and not again:
        if done:
            ledger.add(done, created, due)
        _leave(rows, later, shared=shared)
        return
    again.add(later)
    if not again:
        is_written = _move(rows, lambda row: ledger.confirm(row, due, done), shared=shared)
        if not is_written:
            ledger.add(done, created, due)
        return
    if done:
        ledger.add(done, created, due)
    failed = [(part, error) for part, error in results if error is not None]
    errors = [error for _, error in failed if not isinstance(error, OverCost)]
    pause = schedule.until_next_attempt(rows[0]) if errors and rows else timedelta(0)

    def leave(row: Revocation) -> bool:
        if errors:
            return ledger.postpone(row, seen + pause, again)
        return ledger.release(row, timezone.now(), again)

    if not _move(rows, leave, shared=shared):
        ledger.write(again, timezone.now(), held=False)
    call_looker()
    if errors:
        told = (part for part, error in failed if not isinstance(error, OverCost))
        report(Affected.of_all(told), errors[0])


def _leave(rows: Sequence[Revocation], later: Affected, *, shared: bool) -> None:
    """Keep one row, as ours, for the check at the end of the request."""
    kept: Revocation | None = None

    def keep(row: Revocation) -> bool:
        nonlocal kept
        is_ours = row.loss == later.as_json() or ledger.widen(row, later)
        kept = row if is_ours else None
        return kept is not None

    _move(rows, keep, shared=shared)
    request_end.leave(Change(later, kept, shared, tenancy.current()))


def _move(
    rows: Sequence[Revocation], transition: Callable[[Revocation], bool], *, shared: bool
) -> bool:
    """
    Let one row go on and drop the others; return whether the change has a row after all.

    Where none is ours any more, somebody has taken it after the commit. But on another database
    that may have been before it, and what Django has no hook for may have taken the row back.
    """
    for number, row in enumerate(rows):
        if transition(row):
            ledger.drop(rows[number + 1 :])
            return True
    return shared and bool(ledger.there(rows))
