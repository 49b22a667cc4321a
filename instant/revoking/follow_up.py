"""The checks that are left to whoever looks: follow-ups, and what a request left over."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from types import ModuleType

from django.core.signals import request_started
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.utils import timezone

from instant import conf
from instant.exceptions import InstantConfigError, PublishError
from instant.models import Revocation
from instant.revoking import clock, ledger, needed, schedule, tables
from instant.revoking.affected import Affected
from instant.revoking.enforce import enforce, is_on, report
from instant.revoking.host import ring
from instant.revoking.looker import CHANNEL, Looker
from instant.revoking.notes import Notes, are_used
from instant.revoking.rounds import Rounds
from instant.revoking.sweep import Sweep
from instant.tenancy import current as tenancy

__all__ = [
    "book",
    "call_looker",
    "catch_up",
    "follow_up",
    "look",
    "look_once",
    "new_looker",
    "start_with_server",
    "wake",
    "watch",
]

logger = logging.getLogger("instant.enforcement")


def follow_up(now: datetime | None = None, book: ModuleType | Notes = ledger) -> int:
    """
    Make the checks that are due, up to 1,000 of them; return how many.

    A failure is logged and signalled, and tried again later, until everything that old tokens
    can have opened has expired by itself.
    """
    now = now or timezone.now()
    rows = book.claim(now, behind=clock.behind())
    if rows:
        affected = [Affected.from_json(row.loss) for row in rows]
        repeated = [row.is_last for row in rows]
        if tenancy.are_used():
            errors = _each_in_its_tenant(rows, affected, book)
        else:
            errors = enforce(affected, repeated=repeated, between=book.holder(rows))
        _finish(rows, affected, errors, now, book)
    return len(rows)


def _each_in_its_tenant(
    rows: Sequence[Revocation], affected: Sequence[Affected], book: ModuleType | Notes
) -> list[Exception | None]:
    """Enforce each change in its own tenant's context: several may have one table of rows."""
    errors: list[Exception | None] = [None] * len(rows)
    hold = book.holder(rows)
    for tenant, numbers in tenancy.by_tenant(
        range(len(rows)), lambda number: ledger.tenant_of(rows[number])
    ):
        try:
            with tenancy.activate(tenant):
                found = enforce(
                    [affected[number] for number in numbers],
                    repeated=[rows[number].is_last for number in numbers],
                    between=hold,
                )
        except Exception as exc:  # noqa: BLE001  it holds up no other tenant
            found = [exc] * len(numbers)
        for number, error in zip(numbers, found, strict=True):
            errors[number] = error
    return errors


def _finish(
    rows: Sequence[Revocation],
    affected: Sequence[Affected],
    errors: Sequence[Exception | None],
    seen: datetime,
    book: ModuleType | Notes,
) -> None:
    """Note what a check has done, and report what it could not do."""
    failed: list[tuple[Affected, Exception]] = []
    finished: list[Revocation] = []
    for row, about, error in zip(rows, affected, errors, strict=True):
        if error is not None:
            failed.append((about, error))
            _try_again(row, book)
        elif row.is_last:
            finished.append(row)
        else:
            first_seen = min(_seen.get((tenancy.current(), row.pk), seen), seen)
            book.confirm(row, first_seen + schedule.until_follow_up(about))
    book.forget(finished)
    if failed:
        report(Affected.of_all(about for about, _ in failed), failed[0][1])


def _try_again(row: Revocation, book: ModuleType | Notes) -> None:
    """Let the next attempt be due soon, and less and less often; give up what has expired."""
    now = timezone.now()
    if schedule.has_expired(row, now):
        logger.error("Given up, since all that could be open has expired: %s", row)
        (book.forget if row.is_last else book.drop)([row])
    else:
        book.postpone(row, now + schedule.until_next_attempt(row))


def catch_up() -> tuple[int, int, dict[str, Exception]]:
    """
    Make all checks that are due: of the current tenant, or of all where none is.

    Returns how many were made, how many rows are left, and why it was not possible for a tenant.
    """
    tried, left, failed = 0, 0, {}
    for tenant in [here] if (here := tenancy.current()) else list(tenancy.every()):
        try:
            with tenancy.activate(tenant):
                while count := follow_up(book=book()):
                    tried += count
                left += Revocation.objects.using(ledger.database()).count()
        except Exception as exc:
            if not tenancy.are_used():
                raise
            failed[tenant] = exc
    return tried, left, failed


def book() -> ModuleType | Notes:
    """Return where somebody who looks writes what was done: not on SQLite, whose lock is one."""
    return Notes() if are_used() else ledger


_sweep = Sweep()

_seen: dict[tuple[str, int], datetime] = {}
"""When this process first saw rows of which the first check is to be made: committed then."""


def look() -> float | None:
    """Make the checks that are due, and the sweep's; return the seconds until there are more."""
    pause = _rounds.look() if tenancy.are_used() else _look_here()
    pauses = [] if pause is None else [pause]
    if _is_anywhere_needed():
        try:
            pause = _sweep.step()
        except PublishError as exc:
            logger.debug("The server does not say who is present: %s", exc)
            pause = None
        pauses += [] if pause is None else [pause]
    return min(pauses, default=None)


def _look_here() -> float | None:
    """Make the checks that are due in the current context; return the seconds until there are."""
    used = book()
    next_due = used.next_due()
    if next_due is None and tenancy.are_used():
        return None  # as of most tenants at most times
    if next_due is not None:
        clock.measure()
    while follow_up(book=used):
        continue
    _note_new_rows()
    next_due = used.next_due()
    return None if next_due is None else (next_due - timezone.now()).total_seconds()


_rounds = Rounds(_look_here)


def _note_new_rows() -> None:
    tenant = tenancy.current()
    rows = Revocation.objects.using(ledger.database()).filter(is_last=False)
    there = list(rows.values_list("pk", flat=True)[:1000])
    now = timezone.now()
    known = {(tenant, pk): _seen.get((tenant, pk), now) for pk in there}
    for key in list(_seen):  # another thread may look too, where a host has no lock
        if key[0] == tenant:
            _seen.pop(key, None)
    _seen.update(known)


def is_needed() -> bool:
    """Tell whether there can be anything to look for."""
    try:
        if tenancy.are_used():
            return is_on() and _is_anywhere_needed()
        return is_on() and (needed.is_needed() or ledger.next_due() is not None)
    except (DatabaseError, InterfaceError) as exc:
        alias = ledger.database()
        connections.close_all()
        # A database that is away comes back. One that isn't migrated has nothing for us, and the
        # first change after that wakes us; SQLite, which is never away, says it in the same words.
        is_away = isinstance(exc, OperationalError | InterfaceError)
        return is_away and connections[alias].vendor != "sqlite"


def _is_anywhere_needed() -> bool:
    """Tell whether there is a namespace with a rule, or a channel or something due of anybody."""
    if not tenancy.are_used():
        return needed.is_needed()
    return _rounds.any(lambda: needed.is_needed() or ledger.next_due() is not None)


_looker = Looker(look, is_needed, ledger.database, _rounds.call)
"""
The thread of this process that looks for what is due.

Any process may have to: the one that took a right away may be gone before its first check, as
cron's and Celery's are. So each web process looks from its start, and whoever hands out a token
or takes a right away from then on; of all on a host one does so at a time.
"""


def wake(*, certain: bool = False) -> None:
    """
    Have somebody look, if there can be anything to look for; ``certain``: there is.

    Nothing where the settings or the backend say so.
    """
    try:
        if certain and tenancy.are_used():
            _rounds.call([tenancy.current()])
        if _looker.is_alive or not conf.current().enforces_in_background or not is_on():
            return
    except InstantConfigError:
        return
    if certain or needed.is_needed():
        _looker.start()


def call_looker() -> None:
    """Have a row looked at that is due now: on this host, and on PostgreSQL on any."""
    wake(certain=True)
    try:
        if not conf.current().enforces_in_background:
            return
        tenant = tenancy.current()
        ring(tenant)
        connection = connections[ledger.database()]
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, tenant])
    except Exception as exc:  # noqa: BLE001  it is seen within seconds all the same
        logger.debug("Nobody is told of what is due: %s", exc)


def watch() -> Looker:
    """Return a looker that looks until it is stopped; for ``runws``, as long as the server runs."""
    looker = new_looker()
    if is_on() and tables.have_database():
        looker.start(always=True, with_server=True)
    return looker


def new_looker() -> Looker:
    """Return one beside that of wake()."""
    return Looker(look, is_needed, ledger.database, _rounds.call)


def look_once(**_kwargs: object) -> None:
    """Look, on the first request: this process may have no other occasion."""
    request_started.disconnect(dispatch_uid="instant.worker")
    try:
        settings = conf.current()
        asked = settings.enforces_in_background and is_on() and tables.have_database()
        if asked and not _looker.is_alive:
            # Its thread asks whether there is anything.
            _looker.start(with_server=settings.autostart)
    except Exception:
        logger.exception("The first look for follow-up checks failed.")  # the page is answered


def start_with_server() -> None:
    """Look from the start of a web process on, which may get no request for long."""
    look_once()
    if hasattr(os, "register_at_fork"):  # a server that loads the site before it forks
        os.register_at_fork(after_in_child=look_once)
