"""Cancel a ticket: the row says so at once, and whoever runs the job notices."""

from __future__ import annotations

from django.db import transaction

from instant.inbound.tickets import rows, telling
from instant.inbound.tickets.model import Ticket

__all__ = ["cancel"]


def cancel(ticket: Ticket) -> Ticket:
    """Cancel it unless it has ended, tell its channel, and return it as it is now."""
    with transaction.atomic(using=rows.database()):
        changed = rows.cancel(ticket)
    if changed:
        telling.tell_end(ticket)
        return ticket
    return rows.find(ticket.pk) or ticket
