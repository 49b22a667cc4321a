"""What pages learn of a ticket: its state, on a channel of its own."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.db import transaction
from django.utils import timezone

from instant.exceptions import PublishError
from instant.inbound.call import PYTHON
from instant.inbound.tickets import bells, rights, rows
from instant.inbound.tickets.channel import channel_of
from instant.inbound.tickets.model import Ticket
from instant.producers import publish
from instant.publishing.publication import Publication
from instant.stored import request_messages

__all__ = ["EVENT", "ending", "state_of", "tell", "tell_end"]

logger = logging.getLogger("instant.tickets")

EVENT = "instant:ticket"
"""The event class of each message on a ticket's channel."""


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
    publication = None
    with transaction.atomic(using=alias):
        if not rows.end(ticket, state, **changes):
            return False
        with request_messages.answering(ticket):
            if is_followed:
                publication = _publish_end(ticket, alias, whole=whole)
    if ticket.is_request:
        bells.ring(bells.of_asker(ticket.pk))
    if publication is not None and publication.state in {"sent", "queued"}:
        rows.told(ticket)
    return True


def tell_end(ticket: Ticket) -> None:
    """Publish the end that a row says, and note that it was; raises nothing."""
    if ticket.is_request:
        bells.ring(bells.of_asker(ticket.pk))
    if ticket.holder == PYTHON:
        rows.told(ticket)
        return
    whole = not ticket.result or rights.owner_may_read(ticket)
    try:
        if _publish_end(ticket, rows.database(), whole=whole).state in {"sent", "queued"}:
            rows.told(ticket)
    except PublishError as exc:
        logger.debug("The end of a ticket was not published: %s", exc)


def _publish_end(ticket: Ticket, alias: str, *, whole: bool) -> Publication:
    return publish(
        channel_of(ticket.pk),
        data=state_of(ticket, whole=whole),
        event_class=EVENT,
        idempotency_key=f"ticket:{ticket.pk}:{ticket.state}",
        using=alias,
    )
