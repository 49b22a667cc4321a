"""What pages learn of a ticket: its state, on a channel of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.utils import timezone

from instant.backends import get_backend
from instant.exceptions import PublishError
from instant.inbound.call import PYTHON
from instant.inbound.tickets import bells, rights, rows
from instant.inbound.tickets.channel import channel_of
from instant.inbound.tickets.model import Ticket
from instant.producers import publish
from instant.publishing.publication import Publication
from instant.stored import request_messages
from instant.tenancy import current as tenancy

__all__ = ["EVENT", "FIELDS", "ending", "noting_later", "state_of", "tell", "tell_end"]

logger = logging.getLogger("instant.tickets")

EVENT = "instant:ticket"
"""The event class of each message on a ticket's channel."""

FIELDS = ("state", "progress", "message", "result", "code", "error", "attempts")
"""What whoever waits for a request needs of its row."""


def state_of(ticket: Ticket, *, whole: bool = True) -> dict[str, Any]:
    """Return what its caller is told; without the result where they may not have it any more."""
    error = None if ticket.code is None else {"code": ticket.code, "message": ticket.error}
    return {
        "id": ticket.pk,
        "state": str(ticket.state),
        "progress": json.loads(ticket.progress) if ticket.progress else None,
        "message": ticket.message,
        "result": json.loads(ticket.result) if ticket.result and whole else None,
        "error": error,
    }


def tell(ticket: Ticket) -> None:
    """
    Publish how far it is, now; never raise.

    What can't be sent is not sent later: more will come.
    """
    if ticket.holder == PYTHON:
        return  # whoever waits looks at the row
    try:
        publish(channel_of(ticket.pk), data=state_of(ticket), event_class=EVENT, on_commit=False)
    except PublishError as exc:
        logger.debug("The state of a ticket was not published: %s", exc)
    except Exception:
        logger.exception("The state of ticket %s was not published.", ticket.pk)


def ending(ticket: Ticket, state: str, **changes: Any) -> bool:
    """
    Write how a job has ended and publish it in one transaction; False where it isn't ours.

    The publication waits for the commit, or is a row of it with the outbox. Where it can't be
    sent, or we die in between, the row still says that nobody was told, and upkeep does it.
    """
    alias = rows.database()
    is_followed = ticket.holder != PYTHON
    whole = not is_followed or not changes.get("result") or rights.owner_may_read(ticket)
    if not is_followed:
        changes |= {"due_at": None, "expires_at": timezone.now() + rows.AFTER_SEEN}
    if _is_alone(alias, is_followed=is_followed):
        # The UPDATE is a transaction of its own: one round trip instead of three.
        if not rows.end(ticket, state, **changes):
            return False
        _ring(ticket)
        if is_followed:
            _publish_now(ticket, whole=whole)
        return True
    publication = None
    with transaction.atomic(using=alias):
        if not rows.end(ticket, state, **changes):
            return False
        with request_messages.answering(ticket):
            if is_followed:
                publication = _publish_end(ticket, alias, whole=whole)
    _ring(ticket)
    if publication is not None and publication.state in {"sent", "queued"}:
        _note(ticket)
    return True


@contextmanager
def noting_later() -> Iterator[Callable[[], None]]:
    """
    Note in this block that ends were published when the function that it has is called.

    And at its end. So a worker doesn't write once more for each job. Whoever dies in between has
    published, and noted nothing: upkeep does it again, and pages drop what they have by its id.
    """
    waiting: list[tuple[str, Ticket]] = []
    token = _waiting.set(waiting)

    def note() -> None:
        by_tenant: dict[str, list[Ticket]] = {}
        for tenant, ticket in waiting:
            by_tenant.setdefault(tenant, []).append(ticket)
        waiting.clear()
        for tenant, tickets in by_tenant.items():
            try:
                with tenancy.activate(tenant):
                    rows.told(*tickets)
            except (DatabaseError, InterfaceError, LookupError) as exc:
                logger.debug("Ends were published, and it wasn't noted: %s", exc)

    try:
        yield note
    finally:
        _waiting.reset(token)
        note()


_waiting: ContextVar[list[tuple[str, Ticket]] | None] = ContextVar("instant_told", default=None)


def _note(ticket: Ticket) -> None:
    """Note that an end was published; in the block of a worker not yet."""
    waiting = _waiting.get()
    if waiting is None:
        rows.told(ticket)
    else:
        waiting.append((tenancy.current(), ticket))


def _is_alone(alias: str, *, is_followed: bool) -> bool:
    """Tell whether the row is all that is written with an end."""
    if connections[alias].in_atomic_block or request_messages.may_be_stored():
        return False
    return not is_followed or not get_backend().transactional


def tell_end(ticket: Ticket) -> None:
    """Publish the end that a row says, and note that it was; raises nothing."""
    _ring(ticket)
    if ticket.holder == PYTHON:
        rows.told(ticket)
        return
    _publish_now(ticket, whole=not ticket.result or rights.owner_may_read(ticket))


def _publish_now(ticket: Ticket, *, whole: bool) -> None:
    """Publish an end that is committed; where it can't be, upkeep does it later."""
    try:
        if _publish_end(ticket, rows.database(), whole=whole).state in {"sent", "queued"}:
            _note(ticket)
    except PublishError as exc:
        logger.debug("The end of a ticket was not published: %s", exc)


def _ring(ticket: Ticket) -> None:
    """Wake whoever waits for a request on this host, and say how it has ended."""
    if ticket.is_request:
        is_committed = not connections[rows.database()].in_atomic_block
        bells.ring(bells.of_asker(ticket.pk), _ended(ticket) if is_committed else b"")


def _ended(ticket: Ticket) -> bytes:
    return json.dumps({name: getattr(ticket, name) for name in FIELDS}).encode()


def _publish_end(ticket: Ticket, alias: str, *, whole: bool) -> Publication:
    return publish(
        channel_of(ticket.pk),
        data=state_of(ticket, whole=whole),
        event_class=EVENT,
        idempotency_key=f"ticket:{ticket.pk}:{ticket.state}",
        using=alias,
    )
