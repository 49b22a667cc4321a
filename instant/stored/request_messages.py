"""
Requests and their answers as messages, where the settings or the channel say that they are stored.

A request belongs to the channel that has the responder's name, where there is one. Whatever is
stored, the ticket is what a worker claims, and what a page asks for.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.functions import Concat

from instant import conf
from instant.inbound.tickets.channel import channel_of
from instant.inbound.tickets.model import Ticket
from instant.permissions import is_known
from instant.stored.model import Message
from instant.stored.note import Note, noted
from instant.stored.rows import database, own
from instant.stored.rules import REQUESTS, RESPONSES, are_rows_asked, is_used, of_row
from instant.tenancy import current as tenancy

__all__ = ["EVENT", "answering", "end", "erase", "kept", "may_be_stored", "read", "write"]

EVENT = "instant:request"
"""The event class of a request's message."""


def write(queue: str, row: Any, user: Any, data: Any) -> int | None:
    """Store a request where the rule says so; return its message's key. ``row`` may be None."""
    store = conf.current().store
    if store is None or not of_row(row.store if row else "", role=REQUESTS).stores:
        return None
    id_ = uuid.uuid4()
    channel = queue if row is None else row.name
    content = {"channel": channel, "data": data, "event_class": EVENT, "id": id_.hex}
    message = Message(
        uuid=id_,
        tenant=tenancy.current(),
        channel=channel,
        row_id=getattr(row, "pk", None),
        sender_id=user.pk if is_known(user) else None,
        content=json.dumps(content),
    )
    message.save(using=database(), force_insert=True)
    return message.pk


def kept() -> Exists | None:
    """Return which tickets have an answer that is stored still; None where none is stored."""
    if conf.current().store is None:
        return None
    name = Concat(Value(channel_of("")), OuterRef("pk"), output_field=CharField())
    return Exists(own().filter(channel=name, is_reply=True))


def may_be_stored() -> bool:
    """Tell whether anything may be written beside a request, or beside what answers it."""
    return is_used()


@contextmanager
def answering(ticket: Ticket) -> Iterator[None]:
    """
    Publish the end of a request in this block: it is stored where the rule says so.

    The request itself is dealt with then, and goes unless it is kept for ever or for its readers.
    """
    if not ticket.is_request or conf.current().store is None:
        yield
        return
    asked = None
    if ticket.asked is not None:
        asked = own().filter(pk=ticket.asked).select_related("row").first()
    is_stored = bool(ticket.owner) and of_row("", role=RESPONSES).stores
    beside = Note(always=True, is_reply=True, request=getattr(asked, "pk", None))
    with noted(beside if is_stored else Note()):
        yield
    if asked is not None:
        _let_go(asked)


def end(ticket: Ticket) -> None:
    """Let the message of a request go that was cancelled, or that nobody answered in time."""
    if ticket.asked is not None and conf.current().store is not None:
        for asked in own().filter(pk=ticket.asked).select_related("row"):
            _let_go(asked)


def _let_go(asked: Message) -> None:
    rule = of_row(asked.row.store if asked.row else "", role=REQUESTS).rule
    if rule in {"cache", "disabled"} or (rule == "cacheall" and asked.row is None):
        asked.delete()


def read(ticket: Ticket, user: Any) -> None:
    """Acknowledge the answer of a request: whoever asked has it."""
    if conf.current().store is None or not is_known(user):
        return
    from instant.stored.acknowledging import acknowledge  # noqa: PLC0415  it asks what publishes

    answers = own().filter(channel=channel_of(ticket.pk), is_reply=True)
    acknowledge(user, answers.values_list("uuid", flat=True))


def erase(tickets: Sequence[str], asked: Sequence[int], *, is_asked: bool = False) -> None:
    """
    Delete the answers of tickets, by id, and their requests, by key: nobody may read them now.

    A request that belongs to a channel's row is for its readers, who keep it. Where nothing is
    stored now messages may be left: they are looked for if ``is_asked``.
    """
    if not is_asked and not are_rows_asked():
        return
    names = [channel_of(id_) for id_ in tickets]
    own().filter(channel__in=names, is_reply=True, row=None).delete()
    if asked:
        own().filter(pk__in=asked, row=None).delete()
