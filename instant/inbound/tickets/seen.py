"""When workers of a responder were last there: for whoever asks, and nobody answers."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, models, router, transaction
from django.utils import timezone

from instant.inbound.reserved import REQUESTS
from instant.tenancy import current as tenancy

__all__ = ["LIVE", "WorkerSeen", "last_seen", "note", "warn_where_nobody_is"]

logger = logging.getLogger("instant.tickets")

LIVE = timedelta(seconds=60)
"""So long a worker counts as there after it was seen."""

_EVERY = 15.0
"""Seconds between two notes of one process."""

_WARNED_EVERY = 60.0
"""Seconds between two looks at whether anybody is there, of one process and responder."""

_noted: dict[tuple[str, str], float] = {}
_looked: dict[tuple[str, str], float] = {}


class WorkerSeen(models.Model):
    """That workers of a responder were there: one row for all of them."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.CharField(max_length=63, blank=True)
    responder = models.CharField(max_length=56)
    seen_at = models.DateTimeField()

    class Meta:
        """Nobody sees it but us."""

        app_label = "instant"
        db_table = "instant_worker_seen"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["tenant", "responder"], name="instant_worker_seen_one"),
        )

    def __str__(self) -> str:
        return self.responder


def _rows(responder: str) -> models.QuerySet[WorkerSeen]:
    alias = router.db_for_write(WorkerSeen)
    manager = WorkerSeen._base_manager.using(alias)  # noqa: SLF001  Django's documented API
    return manager.filter(tenant=tenancy.current(), responder=responder)


def note(queue: str) -> None:
    """Note now and then that a worker of this queue is there; raises nothing."""
    responder = queue.removeprefix(REQUESTS)
    key, now = (tenancy.current(), responder), time.monotonic()
    if now < _noted.get(key, -_EVERY) + _EVERY:
        return
    _noted[key] = now
    try:
        rows, moment = _rows(responder), timezone.now()
        if rows.update(seen_at=moment):
            return
        with transaction.atomic(using=rows.db):
            WorkerSeen(tenant=key[0], responder=responder, seen_at=moment).save(using=rows.db)
    except (DatabaseError, InterfaceError) as exc:
        logger.debug("A worker was not noted: %s", exc)


def last_seen(responder: str) -> datetime | None:
    """Return when a worker of a responder was last there, as far as it was noted."""
    return _rows(responder).values_list("seen_at", flat=True).first()


def warn_where_nobody_is(queue: str) -> None:
    """Warn, once a minute, where a request was put and no worker was seen lately."""
    responder = queue.removeprefix(REQUESTS)
    key, now = (tenancy.current(), responder), time.monotonic()
    if now < _looked.get(key, -_WARNED_EVERY) + _WARNED_EVERY:
        return
    _looked[key] = now
    seen = last_seen(responder)
    if seen is None or seen < timezone.now() - LIVE:
        when = "never" if seen is None else f"last {timezone.now() - seen} ago"
        logger.warning(
            "A request to %r waits, and no worker is there to answer it (seen: %s). "
            "Run “manage.py runworker %s”.",
            responder,
            when,
            responder,
        )
