"""Run a ticket that was claimed: as its user, whose rights are asked again, to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils import translation

from instant import conf
from instant.inbound import dispatch
from instant.inbound.answers import Cancelled, Disconnect, Refused
from instant.inbound.call import Job
from instant.inbound.registry import find_handler
from instant.inbound.tickets import contents, rights, rows, telling
from instant.inbound.tickets.between_jobs import close_old_connections
from instant.inbound.tickets.heart import Heart
from instant.inbound.tickets.model import Ticket

__all__ = ["run"]

logger = logging.getLogger("instant.tickets")

_PAUSE = 0.5
"""Seconds between two tries to write an end."""

_State = Ticket.State

_INTERNAL = {"state": _State.FAILED, "code": 500, "error": "internal error"}


def run(ticket: Ticket, heart: Callable[[Ticket, float], Any] = Heart) -> None:
    """
    Run the job, and write and publish how it has ended.

    Whatever it raises is its end. What stops the process itself (SystemExit, KeyboardInterrupt)
    gives the job back, so that another takes it: where the function may have raised it, at most as
    often as a job is tried.
    """
    beside: AbstractContextManager[Any] = heart(ticket, conf.current().jobs.lease)
    try:
        with beside as job:
            changes = _ended(ticket, job)
            changes = {**job.last, **changes}
    except Exception:
        raise
    except BaseException as exc:
        is_attempt = type(exc) is SystemExit  # what stops a worker is of a class of its own
        if is_attempt and ticket.attempts >= conf.current().jobs.attempts:
            logger.exception("The job of ticket %s (%s) ends its worker.", ticket.pk, ticket.method)
            _write(ticket, _INTERNAL)
        else:
            rows.give_back(ticket, is_attempt=is_attempt)
        raise
    _write(ticket, changes)


def _ended(ticket: Ticket, job: Job) -> dict[str, Any]:
    """Call the handler; return what has to be written."""
    try:
        with translation.override(ticket.language or None):
            text = contents.encoded(_answer(ticket, job))
    except Cancelled:
        # The row says so already, or it is somebody else's, or the function itself gave up.
        return {"state": _State.CANCELLED}
    except Refused as exc:
        return {"state": _State.FAILED, "code": exc.code, "error": contents.error(exc.message)}
    except Disconnect as exc:
        return {"state": _State.FAILED, "code": 403, "error": exc.reason or "permission denied"}
    except Exception:
        logger.exception("The job of ticket %s (%s) failed.", ticket.pk, ticket.method)
        return _INTERNAL
    return {"state": _State.DONE, "result": text}


def _answer(ticket: Ticket, job: Job) -> Any:
    handler = find_handler("rpc", ticket.method)
    if handler is None:
        raise Refused(404, "there is no such method")
    user = rights.owner(ticket)
    if user is None:
        raise Refused(401, "log in first")
    return dispatch.resume(handler, rights.call_of(ticket, user, job))


def _write(ticket: Ticket, changes: dict[str, Any]) -> None:
    """Write the end; a database that is away or locked is tried again while the lease lasts."""
    until = time.monotonic() + conf.current().jobs.lease / 2
    while True:
        close_old_connections()  # the job may have taken longer than a connection lives
        try:
            ours = telling.ending(ticket, **changes)
            break
        except (InterfaceError, OperationalError) as exc:
            if time.monotonic() >= until:
                raise
            logger.warning("The end of ticket %s can't be written yet: %s", ticket.pk, exc)
            time.sleep(_PAUSE)
    if not ours:
        logger.info("Ticket %s ended, and was cancelled or somebody else's by then.", ticket.pk)
