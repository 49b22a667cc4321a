"""Whether somebody answers on a channel: one rule, for Python and for the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol

from django.db.models import F, Q

__all__ = ["ANSWER_TIME", "VALID", "Availability", "availability", "condition"]

Availability = Literal["unknown", "offline", "online"]

VALID = timedelta(minutes=2)
"""So long a ping says something; after that nobody knows."""

ANSWER_TIME = timedelta(seconds=10)
"""
How far the clocks of two hosts may differ, and how long an answer may take.

Until then the answer to the ping before counts: a channel that is pinged every minute isn't
offline each time, for as long as the answer travels.
"""


class _Channel(Protocol):
    answers_pings: bool
    last_ping: datetime | None
    last_pong: datetime | None


def availability(channel: _Channel, now: datetime) -> Availability:
    """Return what is known of a channel now."""
    ping, pong = channel.last_ping, channel.last_pong
    if not channel.answers_pings or ping is None or ping < now - VALID:
        return "unknown"
    if pong is None:
        return "offline"
    if pong >= ping - ANSWER_TIME:
        return "online"
    return "online" if ping > now - ANSWER_TIME and pong >= now - VALID else "offline"


def condition(wanted: Availability, now: datetime) -> Q:
    """Return the condition for rows of which availability() says the same."""
    return _conditions(now)[wanted]


def _conditions(now: datetime) -> Mapping[Availability, Q]:
    known = Q(answers_pings=True, last_ping__gte=now - VALID)
    # Each part is NULL for a row without an answer, and so is its negation: that is asked first.
    answered = Q(last_pong__isnull=False) & (
        Q(last_pong__gte=F("last_ping") - ANSWER_TIME)
        | Q(last_ping__gt=now - ANSWER_TIME, last_pong__gte=now - VALID)
    )
    return {
        "online": known & answered,
        "offline": known
        & (
            Q(last_pong=None)
            | Q(last_pong__lt=F("last_ping") - ANSWER_TIME)
            & (Q(last_ping__lte=now - ANSWER_TIME) | Q(last_pong__lt=now - VALID))
        ),
        "unknown": Q(answers_pings=False) | Q(last_ping=None) | Q(last_ping__lt=now - VALID),
    }
