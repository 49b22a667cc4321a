"""Asking channels whether somebody is there, and noting who answered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from instant.channels.names import check_name
from instant.models import Channel
from instant.permissions import may
from instant.producers import batch, publish
from instant.stored import note
from instant.tenancy import current as tenancy

__all__ = ["EVENT_CLASS", "ping", "ping_all", "ping_every_tenants", "pong", "pongs"]

EVENT_CLASS = "instant:ping"
"""Of the message to which somebody who is there answers; it is never stored."""

_AT_ONCE = 500

_APART = timedelta(seconds=1)
"""So long an answer stands for those after it: less than what clocks may differ by."""


def ping(channel: str) -> bool:
    """See ``instant.messages.ping()``."""
    check_name(channel)
    return ping_all(_rows().filter(name=channel)) > 0


def ping_all(channels: QuerySet[Channel] | None = None) -> int:
    """
    Ping the channels, all without any, and return how many were pinged.

    Those alone that are active and answer pings. Raises BatchError or another PublishError for
    what could not be sent, after the others were; those are noted as pinged all the same.
    """
    found = (_rows() if channels is None else channels).filter(answers_pings=True, is_active=True)
    keys = list(found.order_by().values_list("pk", flat=True))
    with batch():
        for start in range(0, len(keys), _AT_ONCE):
            _ping(keys[start : start + _AT_ONCE])
    return len(keys)


def ping_every_tenants() -> tuple[int, dict[str, Exception]]:
    """Ping the channels of the current tenant, or of all where none is; and say what failed."""
    count, failed = 0, {}
    for tenant in [here] if (here := tenancy.current()) else list(tenancy.every()):
        try:
            with tenancy.activate(tenant):
                count += ping_all()
        except Exception as exc:  # noqa: BLE001  one tenant's trouble is not another's
            failed[tenant] = exc
    return count, failed


def pong(channel: str, *, user: Any = None) -> bool:
    """See ``instant.messages.pong()``."""
    check_name(channel)
    if user is not None and not may(user, "subscribe", channel):
        raise PermissionDenied(f"The user may not subscribe to {channel!r}.")
    row = _rows().filter(name=channel).values_list("pk", "name").first()
    return row is not None and row[1] == channel and pongs([row[0]]) > 0


def pongs(rows: Collection[Any]) -> int:
    """
    Note that somebody answered on channels, by primary key; return how many answer pings.

    Of many answers one a second is written: their readers would wait for each other, or fail
    where transactions are REPEATABLE READ.
    """
    now = timezone.now()
    found = dict(_rows().filter(pk__in=rows, answers_pings=True).values_list("pk", "last_pong"))
    old = [pk for pk, last in found.items() if last is None or not now - _APART < last <= now]
    if old:
        _rows().filter(pk__in=old).update(last_pong=now)
    return len(found)


def _ping(keys: Sequence[Any]) -> None:
    rows = _rows().filter(pk__in=keys)
    with transaction.atomic(using=rows.db), note.noted(note.Note(never=True)):
        rows.update(last_ping=timezone.now())
        for name in rows.order_by("pk").values_list("name", flat=True):
            publish(name, data={}, event_class=EVENT_CLASS, using=rows.db)


def _rows() -> QuerySet[Channel]:
    return Channel._base_manager.using(router.db_for_write(Channel)).all()  # noqa: SLF001
