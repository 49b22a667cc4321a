"""Put a request: its ticket, and its message where requests are stored, in one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from instant import permissions
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import rows
from instant.inbound.tickets.accept import accept
from instant.inbound.tickets.model import Ticket
from instant.models import Channel
from instant.stored import request_messages
from instant.stored.rows import database

__all__ = ["accepted", "channel_allows"]


def channel_allows(user: Any, name: str) -> bool:
    """Tell whether somebody may publish to the channel of a responder, if there is one."""
    row = _channel(name)
    return row is None or permissions.ask(user, "publish", row.name)


def accepted(call: Call, queue: str, priority: int, backlog: int) -> dict[str, Any]:
    """Return what whoever asks gets. Raises Refused (503) where too many wait already."""
    waiting = rows.own().filter(state=Ticket.State.QUEUED, queue=queue)
    if waiting[:backlog].count() >= backlog:
        raise Refused(503, "too many requests wait", temporary=True)
    within = call._within  # noqa: SLF001  ours
    expires = None if within is None else timezone.now() + timedelta(seconds=within)
    columns: dict[str, Any] = {"method": queue, "expires_at": expires}
    row = _channel(queue.removeprefix(REQUESTS))  # before: SQLite wants to write first
    with transaction.atomic(using=rows.database()):
        columns["asked"] = request_messages.write(queue, row, call.user, call.data)
        return accept(call, queue, priority, **columns)


def _channel(name: str) -> Channel | None:
    """Return the row of the channel with a responder's name; that of a private one has a “$”."""
    channels = Channel._base_manager.using(database())  # noqa: SLF001  Django's documented API
    return channels.filter(name__in=[name, f"${name}"]).order_by("name").first()
