"""
What has to be looked after: leases that are over, ends that nobody was told of, old tickets.

Whatever runs jobs does so every few seconds, and where that is a framework's worker, which may
never be woken again, a thread of a web process as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError
from django.db.models import Exists, Q
from django.utils import timezone

from instant import conf
from instant.exceptions import InstantConfigError
from instant.inbound.tickets import cancelling, rows, telling, waking
from instant.inbound.tickets.model import Ticket
from instant.stored import request_messages
from instant.tenancy import current as tenancy

__all__ = ["EVERY", "everywhere", "look", "now_and_then", "remove_old"]

logger = logging.getLogger("instant.tickets")

EVERY = 5.0
"""Seconds between two looks of one process."""

_AT_ONCE = 100
"""Rows of each kind that one look does something about."""

_PASSED = 500
"""Old tickets of which one look asks whether their answers are stored."""

_looked: dict[str, float] = {}

_passed: dict[str, tuple[datetime | None, str]] = {}
"""By tenant: the last of those of which the last look has asked."""


def now_and_then() -> None:
    """Look after the current tenant's tickets, if this process hasn't done so just now."""
    tenant, now = tenancy.current(), time.monotonic()
    if now >= _looked.get(tenant, 0.0) + EVERY:
        _looked[tenant] = now
        try:
            look()
        except (DatabaseError, InterfaceError) as exc:
            whose = f" of the tenant {tenant}" if tenant else ""
            logger.warning("Tickets%s can't be looked after: %s", whose, exc)
        except Exception:
            logger.exception("Tickets can't be looked after.")


def look() -> int:
    """Look after the current tenant's tickets; return about how many something was done."""
    now = timezone.now()
    due = list(rows.own().filter(due_at__lte=now).order_by("due_at")[:_AT_ONCE])
    for ticket in due:
        if ticket.state == Ticket.State.QUEUED:
            _wake(ticket)
        elif ticket.state == Ticket.State.RUNNING:
            _expire(ticket)
        elif (
            rows.own()
            .filter(pk=ticket.pk, due_at=ticket.due_at)
            .update(due_at=now + 3 * rows.UNTOLD)
        ):
            telling.tell_end(ticket)
    return len(due) + _end_expired(now) + remove_old(now)


def _wake(ticket: Ticket) -> None:
    """Call for one that has waited for long: whoever was called may have died."""
    same = rows.own().filter(pk=ticket.pk, state=Ticket.State.QUEUED, due_at=ticket.due_at)
    if same.update(due_at=timezone.now() + rows.AGAIN):
        waking.wake(ticket.queue, ticket.priority)


def _expire(ticket: Ticket) -> None:
    """Let another run one whose lease is over; or nobody, where too many have died of it."""
    # Its lease may have been renewed since it was looked at.
    same = rows.own().filter(
        pk=ticket.pk, state=Ticket.State.RUNNING, claim=ticket.claim, due_at=ticket.due_at
    )
    if ticket.attempts >= conf.current().jobs.attempts:
        ticket.claim = rows.new_claim()
        if not same.update(claim=ticket.claim):
            return
        error = f"whoever ran it died, {ticket.attempts} times"
        if ticket.attempts == 1:
            error = "whoever ran it died"
        if telling.ending(ticket, Ticket.State.FAILED, code=500, error=error):
            logger.error("Ticket %s (%s) failed: %s.", ticket.pk, ticket.method, error)
        return
    if same.update(state=Ticket.State.QUEUED, claim="", due_at=timezone.now() + rows.AGAIN):
        logger.warning("Ticket %s (%s): whoever ran it died.", ticket.pk, ticket.method)
        waking.wake(ticket.queue, ticket.priority)


def _end_expired(now: datetime) -> int:
    """End some requests for which nobody waits any more."""
    waiting = rows.own().filter(ended_at=None, expires_at__lte=now).order_by("expires_at")
    found = list(waiting[:_AT_ONCE])
    for ticket in found:
        cancelling.expire(ticket)
    return len(found)


def remove_old(now: datetime) -> int:
    """Delete some tickets that ended long enough ago; return how many."""
    until = now - timedelta(seconds=conf.current().jobs.keep)
    is_old = Q(ended_at__lt=until) | Q(ended_at__isnull=False, expires_at__lt=now)
    old = rows.own().filter(is_old).order_by("ended_at", "pk")
    kept = request_messages.kept()
    ids = list(old.values_list("pk", flat=True)[:_AT_ONCE]) if kept is None else _unkept(old, kept)
    if ids:
        gone = rows.own().filter(pk__in=ids)
        gone._raw_delete(gone.db)  # noqa: SLF001  one statement, whoever listens to all models
    return len(ids)


def _unkept(old: rows.Rows, kept: Exists) -> list[str]:
    """
    Return which of some old tickets have no answer that is stored: whoever asked may read it.

    There may be any number that have, so each look goes on where the last one has ended.
    """
    tenant = tenancy.current()
    if (passed := _passed.pop(tenant, None)) is not None:
        ended_at, pk = passed
        old = old.filter(Q(ended_at__gt=ended_at) | Q(ended_at=ended_at, pk__gt=pk))
    some = list(old.values_list("ended_at", "pk")[:_PASSED])
    if len(some) == _PASSED:
        _passed[tenant] = some[-1]
    found = rows.own().filter(pk__in=[pk for _, pk in some]).exclude(kept)
    return list(found.values_list("pk", flat=True))


def everywhere() -> Iterator[str]:
    """Yield each tenant, active, to look after its tickets; not those that can't be one."""
    for tenant in tenancy.every():
        try:
            with tenancy.activate(tenant):
                yield tenant
        except (LookupError, InstantConfigError):
            continue
