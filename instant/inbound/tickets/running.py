"""What a process needs where a framework runs the jobs: the task, and a look after tickets."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec

from instant import conf
from instant.exceptions import InstantConfigError
from instant.inbound.tickets import rows, upkeep
from instant.inbound.tickets.channel import TicketChannel
from instant.namespaces import registered
from instant.revoking.looker import Looker, Work

__all__ = ["is_used", "register_tasks", "start_with_server"]

logger = logging.getLogger("instant.tickets")

_NAME = "tickets"
_EVERY = 5.0


def is_used() -> bool:
    """Tell whether a handler has a queue."""
    return TicketChannel in registered()


def _framework() -> str | None:
    """Return what runs jobs besides our own command; None where it does, or nothing is queued."""
    try:
        runner = conf.current().jobs.runner if is_used() else None
    except InstantConfigError:  # a check tells
        return None
    return runner if runner in {"celery", "tasks"} else None


def register_tasks() -> None:
    """Let Celery's workers know the task; called when the apps are ready."""
    if _framework() == "celery" and find_spec("celery") is not None:
        from instant.inbound.tickets import celery_task  # noqa: F401, PLC0415  an extra


def start_with_server() -> None:
    """
    Look after tickets in a web process, and in its forks: one of a host does so at a time.

    A framework's workers do it when they run a job, and may never be woken again: a worker that
    dies takes the call with it. Called when the apps are ready; never raises.
    """
    try:
        if _framework() is None:
            return
        _start()
        if hasattr(os, "register_at_fork"):  # a server that loads the site before it forks
            os.register_at_fork(after_in_child=_start)
    except Exception:
        logger.exception("Nobody looks after tickets in the web server.")


def _start() -> None:
    _looker().start(always=True)


def _looker() -> Looker:
    work = Work(
        name=_NAME,
        channel=f"instant_{_NAME}",  # nobody tells
        every=_EVERY,
        logger=logger,
        problem="Tickets can't be looked after: %s",
    )
    return Looker(_look, lambda: True, rows.database, work=work)


def _look() -> None:
    for _tenant in upkeep.everywhere():
        upkeep.now_and_then()
