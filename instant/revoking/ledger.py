"""
The rows of ``Revocation``: what has been taken away and is not finished.

Each change leaves a row in its own transaction. The immediate check, right after the commit,
confirms it; the follow-up check deletes it. Any process may make either, since the one that
made the change may be gone.

A row is a small state machine. Whoever works on it holds a *lease*: ``claim`` names them and
``due_at`` says until when. Each transition is one UPDATE or DELETE with the state that it
expects, and its count tells whether it was still so; what somebody else has moved on stays
theirs.

========== ===================================== ==========================================
transition from                                  to
========== ===================================== ==========================================
write      —                                     held by the writer, to be checked at once
widen      held by me                            held by me, about something else
renew      held by me                            held by me, longer
confirm    held by me, first check               free, due when old tokens are dead: last check
release    held by me                            free, due now
postpone   held by me                            free, due soon
claim      due, and as it was read               held by me
forget     held by me, last check                gone
drop       held by me, first check               gone: its content is in another row
========== ===================================== ==========================================
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from instant.models import Revocation
from instant.revoking.affected import Affected
from instant.tenancy import current as tenancy

__all__ = [
    "LEASE",
    "add",
    "claim",
    "confirm",
    "database",
    "drop",
    "forget",
    "holder",
    "next_due",
    "postpone",
    "release",
    "tenant_of",
    "there",
    "widen",
    "write",
]

LEASE = timedelta(seconds=5)
"""So long after its last sign of life a process's work is another's."""

_RENEWED = timedelta(seconds=2)
_AT_ONCE = 500


def write(affected: Affected, now: datetime, *, held: bool = True) -> Revocation:
    """
    Write a row, in the transaction that is open; whoever commits it holds it.

    Not ``held`` where nobody hears of the commit: then anybody may take it at once.
    """
    return _rows().create(
        loss=_stored(affected),
        created_at=now,
        due_at=now + LEASE if held else now,
        claim=uuid.uuid4().hex if held else "",
    )


def widen(row: Revocation, affected: Affected) -> bool:
    """Let a row be about more, or something else; tell whether it is still ours."""
    return bool(_mine(row).update(loss=_stored(affected)))


def holder(rows: Sequence[Revocation]) -> Callable[[], None]:
    """Return what a check calls again and again, so that its rows stay its own."""
    # Who had a long transaction to commit may have little of the first lease left.
    renewed = min((row.due_at for row in rows), default=timezone.now()) - LEASE

    def hold() -> None:
        nonlocal renewed
        now = timezone.now()
        if now - renewed >= _RENEWED:
            renewed = now
            for held in {row.claim for row in rows} - {""}:
                keys = [row.pk for row in rows if row.claim == held]
                _rows().filter(pk__in=keys, claim=held).update(due_at=now + LEASE)

    return hold


def confirm(row: Revocation, due: datetime, affected: Affected | None = None) -> bool:
    """Have the immediate check made, and the follow-up check due; tell whether it was ours."""
    values: dict[str, Any] = {"is_last": True, "claim": "", "due_at": due, "attempts": 0}
    return bool(_mine(row).filter(is_last=False).update(**values, **_loss(affected)))


def add(affected: Affected, created: datetime, due: datetime) -> None:
    """Write a row of which the immediate check is made."""
    _rows().create(loss=_stored(affected), created_at=created, due_at=due, is_last=True)


def release(row: Revocation, now: datetime, affected: Affected | None = None) -> bool:
    """Let anybody take it at once; tell whether it was ours."""
    return bool(_mine(row).update(claim="", due_at=now, **_loss(affected)))


def postpone(row: Revocation, due: datetime, affected: Affected | None = None) -> bool:
    """Let anybody try again later; tell whether it was ours."""
    values = {"claim": "", "due_at": due, "attempts": row.attempts + 1}
    return bool(_mine(row).update(**values, **_loss(affected)))


def claim(now: datetime, *, behind: timedelta = timedelta(0)) -> list[Revocation]:
    """
    Return rows that are due and that nobody works on, as they were read; they are ours.

    ``behind``: so far the server's clock is behind, by which it goes on taking old tokens.
    """
    mine = uuid.uuid4().hex
    found: list[Revocation] = []
    for is_last, until in ((False, now), (True, now - behind)):
        due = _rows().filter(due_at__lte=until, is_last=is_last)
        read = list(due.order_by("due_at", "pk")[:_AT_ONCE])
        if not read:
            continue
        as_read = due.filter(pk__in=[row.pk for row in read], claim__in={row.claim for row in read})
        if as_read.update(due_at=now + LEASE, claim=mine) < len(read):
            got = set(_rows().filter(claim=mine, is_last=is_last).values_list("pk", flat=True))
            read = [row for row in read if row.pk in got]
        for row in read:
            row.claim, row.due_at = mine, now + LEASE
        found += read
    return found


def forget(rows: Sequence[Revocation]) -> int:
    """Delete what is finished and ours; return how many."""
    return _delete(rows, is_last=True)


def drop(rows: Sequence[Revocation]) -> int:
    """Delete what is ours and has become part of another row; return how many."""
    return _delete(rows, is_last=False)


def there(rows: Iterable[Revocation]) -> set[Any]:
    """Return which of them there are, whoever holds them, by primary key."""
    return set(_rows().filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))


def tenant_of(row: Revocation) -> str:
    """Return whose row it is; one from before there were tenants is that of the context."""
    return str(row.loss["tenant"]) if "tenant" in row.loss else tenancy.current()


def next_due() -> datetime | None:
    """Return when the next row is due, or free again."""
    return _rows().order_by("due_at").values_list("due_at", flat=True).first()


def database() -> str:
    """Return where the rows are; a change on another database is not one transaction with them."""
    return router.db_for_write(Revocation)


def _delete(rows: Iterable[Revocation], *, is_last: bool) -> int:
    by_claim: dict[str, list[Any]] = {}
    for row in rows:
        if row.claim:  # what nobody holds has to be claimed
            by_claim.setdefault(row.claim, []).append(row.pk)
    count = 0
    for held, keys in by_claim.items():
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            count += _rows().filter(pk__in=part, claim=held, is_last=is_last).delete()[0]
    return count


def _loss(affected: Affected | None) -> dict[str, Any]:
    return {} if affected is None else {"loss": _stored(affected)}


def _stored(affected: Affected) -> dict[str, Any]:
    """Return what a row holds; where there are tenants, whose it is: they may share the table."""
    stored = affected.bounded().as_json()
    return {**stored, "tenant": tenancy.current()} if tenancy.are_used() else stored


def _mine(row: Revocation) -> QuerySet[Revocation]:
    # What nobody holds has to be claimed.
    return _rows().filter(pk=row.pk, claim=row.claim).exclude(claim="")


def _rows() -> QuerySet[Revocation]:
    return Revocation.objects.using(database())
