"""
What happens to a ticket's row: a state machine, each step an UPDATE with the state it expects.

Whoever runs a job claims its row, so that it runs once at a time, whatever woke them. ``due_at``
says when somebody has to look again: at a queued one whose wake-up call may be lost, a running
one whose lease is over, an ended one of which nobody may have been told.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connections, router, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from instant import conf
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import statements
from instant.inbound.tickets.model import Ticket
from instant.tenancy import current as tenancy

__all__ = [
    "AFTER_SEEN",
    "AGAIN",
    "UNTOLD",
    "Rows",
    "beat",
    "cancel",
    "claim",
    "database",
    "end",
    "expire",
    "find",
    "give_back",
    "head",
    "is_ours",
    "new_claim",
    "own",
    "seen",
    "told",
]

AGAIN = timedelta(minutes=5)
"""After so long a queued one is told to whatever runs jobs again."""

UNTOLD = timedelta(seconds=10)
"""After so long an end is published again, where nobody noted that it was."""

AFTER_SEEN = timedelta(minutes=10)
"""After so long the answer of a request that was looked at is deleted."""

_TRIES = 10
"""How often another is looked for where the database can't skip those that others are taking."""

_AT_ONCE = 100

_ID = re.compile(r"[-_a-zA-Z0-9]{1,32}")

Rows = QuerySet[Ticket]


def database() -> str:
    """Return where tickets are."""
    return router.db_for_write(Ticket)


def own() -> Rows:
    """Return the current tenant's tickets."""
    return Ticket._base_manager.using(database()).filter(  # noqa: SLF001  Django's documented API
        tenant=tenancy.current()
    )


def find(id_: str) -> Ticket | None:
    """
    Return a ticket of the current tenant, None for what can't be one's id either.

    Some databases refuse some texts, and some don't tell “a” from “A”.
    """
    if not _ID.fullmatch(id_):
        return None
    found = own().filter(pk=id_).first()
    return found if found is not None and found.pk == id_ else None


def _waiting(queues: Sequence[str]) -> Rows:
    waiting = own().filter(state=Ticket.State.QUEUED).order_by("-priority", "created_at")
    if len(queues) == 1:
        return waiting.filter(queue=queues[0])
    if not queues:
        return waiting.exclude(queue__startswith=REQUESTS)  # their workers are others
    return waiting.filter(queue__in=queues)


def head(queues: Sequence[str]) -> tuple[int, Any] | None:
    """Return priority and age of what would be claimed next, None where nothing waits."""
    return _waiting(queues).values_list("priority", "created_at").first()


def claim(queues: Sequence[str] = ()) -> Ticket | None:
    """Take the most urgent ticket that waits in these queues, or in any; None if none does."""
    if connections[database()].vendor == "postgresql":
        return _claimed_at_once(queues)
    if connections[database()].features.has_select_for_update_skip_locked:
        with transaction.atomic(using=database()):
            found = _waiting(queues).select_for_update(skip_locked=True).first()
            return _taken(found) if found is not None else None
    for _ in range(_TRIES):
        found = _waiting(queues).first()
        if found is None:
            return None
        if (taken := _taken(found)) is not None:
            return taken
    return None


_CLAIM = """
UPDATE {table}
SET state = 'running', claim = %s, started_at = %s, due_at = %s, attempts = attempts + 1
WHERE id = (
    SELECT id FROM {table} WHERE tenant = %s AND state = 'queued' AND {which}
    ORDER BY priority DESC, created_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING {columns}
"""


def _claimed_at_once(queues: Sequence[str]) -> Ticket | None:
    """Do it in one statement, which is a transaction of its own: no other worker waits for it."""
    taking = _taking()
    which = f"queue IN ({', '.join(['%s'] * len(queues))})" if queues else "queue NOT LIKE %s"
    given = queues or [f"{REQUESTS}%"]
    meta = Ticket._meta  # noqa: SLF001  Django's documented API
    names = [field.attname for field in meta.concrete_fields]
    sql = _CLAIM.format(table=meta.db_table, which=which, columns=", ".join(names))
    params: list[Any] = [taking["claim"], taking["started_at"], taking["due_at"]]
    with connections[database()].cursor() as cursor:
        cursor.execute(sql, [*params, tenancy.current(), *given])
        row = cursor.fetchone()
    if row is None:
        return None
    return Ticket.from_db(database(), names, row)


def _taking() -> dict[str, Any]:
    now = timezone.now()
    return {
        "state": Ticket.State.RUNNING,
        "claim": new_claim(),
        "started_at": now,
        "due_at": now + timedelta(seconds=conf.current().jobs.lease),
    }


def new_claim() -> str:
    """Return what nobody else has claimed anything with."""
    return secrets.token_hex(16)


def _taken(ticket: Ticket) -> Ticket | None:
    """Claim one that waits; None where somebody else was faster."""
    changes = _taking()
    changes["attempts"] = ticket.attempts + 1
    if not statements.update(database(), _as_it_is(ticket, "attempts"), changes):
        return None
    for name, value in changes.items():
        setattr(ticket, name, value)
    return ticket


def _as_it_is(ticket: Ticket, *more: str) -> dict[str, Any]:
    """Return what a step expects of the row: whose it is, and how far it was when it was read."""
    return {name: getattr(ticket, name) for name in ("id", "tenant", "state", "claim", *more)}


def _claimed(ticket: Ticket) -> Rows:
    return own().filter(pk=ticket.pk, state=Ticket.State.RUNNING, claim=ticket.claim)


def is_ours(ticket: Ticket) -> bool:
    """Tell whether the one who claimed it still has it: nobody cancelled it or took it over."""
    return _claimed(ticket).exists()


def beat(ticket: Ticket, **changes: Any) -> bool:
    """Renew the lease, and write how far the job is; False where it is somebody else's."""
    until = timezone.now() + timedelta(seconds=conf.current().jobs.lease)
    return bool(_claimed(ticket).update(due_at=until, **changes))


def _ended(now: datetime) -> dict[str, Any]:
    return {"ended_at": now, "due_at": now + UNTOLD, "claim": "", "expires_at": None}


def end(ticket: Ticket, state: str, **changes: Any) -> bool:
    """Write how a job that is ours has ended; False where it is somebody else's."""
    now = timezone.now()
    changes = {"state": state, **_ended(now), **changes}
    ours = {**_as_it_is(ticket), "tenant": tenancy.current(), "state": Ticket.State.RUNNING}
    if not statements.update(database(), ours, changes):
        return False
    for name, value in changes.items():
        setattr(ticket, name, value)
    return True


def give_back(ticket: Ticket, *, is_attempt: bool = False) -> bool:
    """Let somebody else run a job that is ours, as if we had never begun; or as another attempt."""
    return bool(
        _claimed(ticket).update(
            state=Ticket.State.QUEUED,
            claim="",
            due_at=timezone.now(),
            attempts=F("attempts") - (0 if is_attempt else 1),
        )
    )


def cancel(ticket: Ticket) -> bool:
    """Cancel one that hasn't ended; whoever runs it notices. False where it has ended."""
    return _stop(ticket, {"state": Ticket.State.CANCELLED})


def expire(ticket: Ticket) -> bool:
    """End a request that nobody answered in time, as cancel() does."""
    error = "nobody answered in time"
    if settings.DEBUG and not ticket.attempts:
        error += f": does “manage.py runworker {ticket.queue.removeprefix(REQUESTS)}” run?"
    return _stop(ticket, {"state": Ticket.State.FAILED, "code": 504, "error": error})


def _stop(ticket: Ticket, changes: dict[str, Any]) -> bool:
    changes |= _ended(timezone.now())
    live = own().filter(pk=ticket.pk, state__in=[Ticket.State.QUEUED, Ticket.State.RUNNING])
    if not live.update(**changes):
        return False
    for name, value in changes.items():
        setattr(ticket, name, value)
    return True


def seen(ticket: Ticket) -> Ticket:
    """
    Note that whoever asked looks at a request, and return it.

    Its answer is kept for ten minutes after the last look.
    """
    if ticket.has_ended:
        ticket.expires_at = timezone.now() + AFTER_SEEN
        own().filter(pk=ticket.pk).update(expires_at=ticket.expires_at)
    return ticket


def told(*tickets: Ticket) -> None:
    """Note that the ends of these, the current tenant's, were published."""
    for start in range(0, len(tickets), _AT_ONCE):
        keys = [ticket.pk for ticket in tickets[start : start + _AT_ONCE]]
        own().filter(pk__in=keys, ended_at__isnull=False).update(due_at=None)
