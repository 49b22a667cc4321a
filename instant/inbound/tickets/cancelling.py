"""Cancel a ticket: the row says so at once, and whoever runs the job notices."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from instant.inbound.tickets import rows, telling
from instant.inbound.tickets.model import Ticket
from instant.stored import request_messages

__all__ = ["cancel", "expire", "expire_if_due"]


def cancel(ticket: Ticket) -> Ticket:
    """Cancel it unless it has ended, tell its channel, and return it as it is now."""
    return _stop(ticket, rows.cancel)


def expire(ticket: Ticket) -> Ticket:
    """End a request that nobody answered in time, likewise."""
    return _stop(ticket, rows.expire)


def expire_if_due(ticket: Ticket) -> Ticket:
    """Return a request as it is now: nobody may be there who would have ended it in time."""
    is_due = ticket.expires_at is not None and ticket.expires_at <= timezone.now()
    return expire(ticket) if is_due and not ticket.has_ended else ticket


def _stop(ticket: Ticket, write: Callable[[Ticket], bool]) -> Ticket:
    with transaction.atomic(using=rows.database()):
        changed = write(ticket)
        if changed and ticket.is_request:
            request_messages.end(ticket)
    if changed:
        telling.tell_end(ticket)
        return ticket
    return rows.find(ticket.pk) or ticket
