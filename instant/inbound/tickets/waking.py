"""
Wake whatever runs jobs: our command, Django's tasks, or Celery.

What is sent says only that something waits in a queue. Whoever gets it claims the most urgent
ticket there, so that priorities hold whatever a framework makes of its own, and a call that is
lost, or comes twice, changes nothing but the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import connections
from django.utils.module_loading import import_string

from instant import conf
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import bells, seen
from instant.publishing.commit_hook import wait_for_commit
from instant.revoking.host import ring
from instant.tenancy import current as tenancy

__all__ = ["BELL", "after_commit", "wake"]

logger = logging.getLogger("instant.tickets")

BELL = "jobs"
"""What rings for a worker of ours on this host."""

_SENDERS = {
    "celery": "instant.inbound.tickets.celery_task.send",
    "tasks": "instant.inbound.tickets.django_task.send",
}
"""By name: they import what runs jobs, which wakes others; and each needs what may not be there."""

_Call = tuple[str, str, int]
"""Tenant, queue and priority."""


def after_commit(alias: str, queue: str, priority: int) -> None:
    """Wake it as soon as what was written is committed."""
    connection = connections[alias]
    call = (tenancy.current(), queue, priority)
    if connection.in_atomic_block:
        wait_for_commit(connection, [call], _wake_all)
    else:
        _wake_all([call])


def wake(queue: str, priority: int) -> None:
    """Wake it now for a queue of the current tenant; raises nothing: upkeep tries again."""
    _wake_all([(tenancy.current(), queue, priority)])


def _wake_all(calls: Iterable[_Call]) -> None:
    try:
        runner = conf.current().jobs.runner
        for tenant, queue, priority in calls:
            if queue.startswith(REQUESTS):
                _wake_workers(tenant, queue)
            elif runner in _SENDERS:
                import_string(_SENDERS[runner])(tenant, queue, priority)
            else:
                ring(tenant, name=BELL)
    except Exception:
        # The call stands: its row is committed, and upkeep wakes again.
        logger.exception("What runs queued jobs can't be woken; they wait.")


def _wake_workers(tenant: str, queue: str) -> None:
    """Wake the workers of a responder, and warn where there are none."""
    from instant.stored import wake_up  # noqa: PLC0415  it publishes, and needs the models

    count = bells.ring_all(bells.of_workers(queue))
    with tenancy.activate(tenant):
        wake_up.wake(queue)
        if not count:
            seen.warn_where_nobody_is(queue)
