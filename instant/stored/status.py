"""What is known of whether somebody is there, for those who may know it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from django.db import router
from django.utils import timezone

from instant import presence
from instant.exceptions import InstantConfigError, PublishError
from instant.models import Channel
from instant.namespaces import find_namespace
from instant.stored.availability import Availability, availability

__all__ = ["NotPinged", "Status", "find_row", "status"]


class NotPinged(Exception):
    """Nobody could know: the channel answers no pings. The message says what would help."""


class Status(NamedTuple):
    """Whether somebody is there, and how that is known."""

    availability: Availability
    by: Literal["ping", "presence"]
    last_ping: datetime | None = None
    last_pong: datetime | None = None


def find_row(channel: str) -> Channel | None:
    """Return the row of a channel, None where it has none."""
    rows = Channel._base_manager.using(router.db_for_write(Channel))  # noqa: SLF001
    row = rows.filter(name=channel).first()
    return row if row is not None and row.name == channel else None


def status(channel: str) -> Status:
    """
    Return whether somebody is there.

    Of a row as its pings say: whoever answers needn't be connected. A channel without a row can't
    be pinged; there the message server says whether anybody is subscribed. Raises NotPinged.
    """
    row = find_row(channel)
    if row is not None:
        if not row.answers_pings:
            raise NotPinged("This channel answers no pings.")
        found = availability(row, timezone.now())
        return Status(found, "ping", row.last_ping, row.last_pong)
    declared = find_namespace(channel)
    if declared is not None and declared[0].authorize == "open" and not declared[0].presence:
        raise NotPinged("Nobody knows who is in this channel: its namespace has no presence.")
    try:
        there = presence.present(channel)
    except (PublishError, InstantConfigError):
        return Status("unknown", "presence")
    return Status("online" if there else "offline", "presence")
