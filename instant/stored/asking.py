"""Put a request: its ticket, and its message where requests are stored, in one transaction."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from instant import conf, permissions
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import rows
from instant.inbound.tickets.accept import accept
from instant.inbound.tickets.model import Ticket
from instant.models import Channel
from instant.stored import request_messages
from instant.stored.rows import database
from instant.tenancy import current as tenancy

__all__ = ["accepted", "channel_allows"]

_COUNTED_FOR = 1.0
"""Seconds for which a process knows how many requests wait."""

_PARTS = 10

_room: dict[tuple[str, str, int], tuple[int, float]] = {}
"""How many requests this process may put before it counts again, and until when."""


def channel_allows(user: Any, name: str) -> bool:
    """Tell whether somebody may publish to the channel of a responder, if there is one."""
    found = _channels(name).values_list("name", flat=True).first()
    return found is None or permissions.ask(user, "publish", found)


def accepted(call: Call, queue: str, priority: int, backlog: int) -> dict[str, Any]:
    """Return what whoever asks gets. Raises Refused (503) where too many wait already."""
    if not _has_room(queue, backlog):
        raise Refused(503, "too many requests wait", temporary=True)
    within = call._within  # noqa: SLF001  ours
    expires = None if within is None else timezone.now() + timedelta(seconds=within)
    columns: dict[str, Any] = {"method": queue, "expires_at": expires}
    if call._ticket:  # noqa: SLF001  ours
        columns["id"] = call._ticket  # noqa: SLF001  ours
    if conf.current().store is None:
        return accept(call, queue, priority, **columns)
    row = _channel(queue.removeprefix(REQUESTS))  # before: SQLite wants to write first
    with transaction.atomic(using=rows.database()):
        columns["asked"] = request_messages.write(queue, row, call.user, call.data)
        return accept(call, queue, priority, **columns)


def _has_room(queue: str, backlog: int) -> bool:
    """
    Tell whether one more may wait.

    Counted anew after a second, and before that when a tenth of the room that there was is taken.
    """
    key, now = (tenancy.current(), queue, backlog), time.monotonic()
    left, until = _room.get(key, (0, 0.0))
    if left <= 0 or now >= until:
        waiting = rows.own().filter(state=Ticket.State.QUEUED, queue=queue)
        free = backlog - waiting[:backlog].count()
        if free <= 0:
            return False
        _room[key] = (free // _PARTS, now + _COUNTED_FOR)
        return True
    _room[key] = (left - 1, until)
    return True


def _channel(name: str) -> Channel | None:
    """Return the row of the channel with a responder's name; that of a private one has a “$”."""
    return _channels(name).first()


def _channels(name: str) -> QuerySet[Channel]:
    channels = Channel._base_manager.using(database())  # noqa: SLF001  Django's documented API
    return channels.filter(name__in=[name, f"${name}"]).order_by("name")
