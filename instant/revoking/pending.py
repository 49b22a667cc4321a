"""
The one row of a transaction (and tenant), however many of its changes take rights away.

The first change writes a row about itself; the second lets the row be about everything, so that
whoever finds it, should this process be killed, asks everybody again. After the commit the
check puts there what it was really about. A savepoint that is rolled back takes the row, or
what made it wider, with it; Django's own list of hooks tells.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from instant.models import Revocation
from instant.publishing.commit_hook import CommitHook, Deliver, wait_for_commit
from instant.revoking import ledger
from instant.revoking.affected import Affected
from instant.tenancy import current as tenancy

__all__ = ["Change", "is_crowded", "is_noted", "is_open", "take"]

_KEPT = "_instant_pending"

_CROWD = 500
"""After so many changes of one transaction the kind of thing is noted, and no more each."""


class Change(NamedTuple):
    """What one change in a transaction may have taken away."""

    affected: Affected
    row: Revocation | None
    """The row that it wrote, where no other covers it."""
    shares_transaction: bool = True
    """Whether change and row are committed together, or are on two databases."""
    tenant: str = ""
    """In whose context the change was made, and is to be checked."""


class _Pending:
    """The row of the transaction that is open on a connection, and what it is about."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._listed: Any = None
        self.row: Revocation | None = None
        self.written: list[tuple[CommitHook, Affected]] = []
        """What the row was made to be about, and the hook that goes when that is undone."""
        self.count = 0
        self.last = Affected()
        """The change that the newest hook is about."""

    @property
    def is_unchanged(self) -> bool:
        """Tell whether there is a row, and nothing was rolled back or committed since."""
        return self.row is not None and self._listed is self.connection.run_on_commit

    def look(self) -> None:
        """Forget what was rolled back or committed since; O(1) where nothing was."""
        listed = self.connection.run_on_commit
        if self._listed is not listed:  # Django makes another list whenever it takes hooks out
            self._listed = listed
            self.last = Affected()
            there = {id(entry[1]) for entry in listed} if self.written else set()
            self.written = [one for one in self.written if id(one[0]) in there]
        # A test's captureOnCommitCallbacks() runs hooks and leaves them in the list.
        self.written = [one for one in self.written if not one[0].done]
        if not self.written:
            self.row, self.count, self.last = None, 0, Affected()


class _Crowded(threading.local):
    """
    What is pending in this thread's crowded transactions, by database.

    Thousands of rows ask is_noted(), and to find a connection takes Django longer than the rest.
    """

    def __init__(self) -> None:
        self.by_place: dict[object, _Pending] = {}


_crowded = _Crowded()


def is_open(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the open transaction has taken something away already; O(1)."""
    pending = connection.__dict__.get(_kept())
    return pending is not None and connection.in_atomic_block and pending.is_unchanged


def is_crowded(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether so much is pending that only its kind is noted."""
    return is_open(connection) and connection.__dict__[_kept()].count >= _CROWD


def is_noted(using: str, channel: str = "") -> bool:
    """Tell whether the change before was about everything already, or about the channel; O(1)."""
    pending = _crowded.by_place.get(_place(using))
    if pending is None or pending.count < _CROWD:
        return False
    if not (pending.is_unchanged and pending.connection.in_atomic_block):
        return False
    return pending.last.everything or channel in pending.last.channels


def take(
    connection: BaseDatabaseWrapper, affected: Affected, deliver: Deliver
) -> Revocation | None:
    """
    Take a change down for the commit of the connection's transaction; return a row it wrote.

    No query where the transaction's row covers it already, and two a transaction but for
    sessions that end, of which each has a row: no rule would find them.
    """
    tenant = tenancy.current()
    pending: _Pending = connection.__dict__.setdefault(_kept(), _Pending(connection))
    pending.look()
    if pending.count >= _CROWD:
        _crowded.by_place[_place(connection.alias)] = pending
        affected = affected.kind()
        if pending.last.covers(affected):
            return None
    row: Revocation | None = None
    content: Affected | None = None
    if pending.row is None:
        content = affected.bounded()
        row = pending.row = ledger.write(content, timezone.now())
    elif not pending.written[-1][1].covers(affected):
        known = pending.written[-1][1].sessions
        if affected.sessions <= known:
            content = Affected(everything=True, sessions=known)
            if not ledger.widen(pending.row, content):  # on another database, and worked off
                row = pending.row = ledger.write(content, timezone.now())
        else:
            row = ledger.write(affected, timezone.now())
    shares = connection.alias == ledger.database()
    change = Change(affected, row, shares, tenant)
    hook = wait_for_commit(connection, [change], deliver, first=True)
    pending.count, pending.last = pending.count + 1, affected
    if content is not None:
        pending.written.append((hook, content))
    return row


def _place(alias: str) -> object:
    """Return by what a database's transaction is found, of the current tenant."""
    return alias if tenancy.tenants is None else (alias, tenancy.current())


def _kept() -> str:
    """Return under which name a connection keeps what is pending: rows may be each tenant's."""
    return _KEPT if tenancy.tenants is None else f"{_KEPT}/{tenancy.current()}"
