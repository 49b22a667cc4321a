"""What is kept about a person here: messages that they sent or got, and what they acknowledged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from instant.channels.names import USER_NAMESPACE
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import rows as tickets
from instant.inbound.tickets.channel import channel_of
from instant.permissions import is_known
from instant.personal.part import Part, Person
from instant.stored.model import Acknowledgement, Message
from instant.stored.outstanding import MOST, outstanding
from instant.stored.rows import Messages, database, own
from instant.tenancy import current as tenancy

__all__ = ["PARTS"]

_AT_ONCE = 500


def _told(message: Message) -> dict[str, Any]:
    return {
        "id": message.uuid.hex,
        "channel": message.name,
        "created": message.created_at,
        "payload": message.payload,
    }


def _sent(person: Person) -> Messages:
    return own().filter(sender=person.pk) if person.user else own().none()


def _export_sent(person: Person) -> Iterator[dict[str, Any]]:
    for message in _sent(person).select_related("row").iterator(_AT_ONCE):
        context = json.loads(message.context) if message.context else None
        yield {**_told(message), "context": context}


def _erase_sent(person: Person) -> int:
    sent = _sent(person)
    # What they asked a responder is nobody else's.
    gone = sent if person.sent_goes else sent.filter(row=None, channel__startswith=REQUESTS)
    count = _delete(gone)
    with transaction.atomic(using=database()):
        return count + sent.order_by().update(sender=None, context="")


def _received(person: Person) -> Iterator[Messages]:
    """Yield the messages of their own channel, and the answers to their requests."""
    yield own().filter(row=None, channel=f"{USER_NAMESPACE}:{person.sub}")
    owned = tickets.own().filter(owner=person.sub).values_list("pk", "owner")
    names = [channel_of(pk) for pk, owner in owned if owner == person.sub]
    for start in range(0, len(names), _AT_ONCE):
        yield own().filter(is_reply=True, channel__in=names[start : start + _AT_ONCE])


def _export_received(person: Person) -> Iterator[dict[str, Any]]:
    for messages in _received(person):
        yield from map(_told, messages.select_related("row").iterator(_AT_ONCE))


def _erase_received(person: Person) -> int:
    return sum(map(_delete, _received(person)))


def _export_outstanding(person: Person) -> Iterator[dict[str, Any]]:
    if not is_known(person.user):
        return
    last = 0
    while page := outstanding(person.user, after=last, limit=MOST):
        last = page[-1].pk
        yield from map(_told, page)


def _acknowledged(person: Person) -> QuerySet[Acknowledgement]:
    manager = Acknowledgement._base_manager.using(database())  # noqa: SLF001
    mine = manager.filter(user=person.pk) if person.user else manager.none()
    return mine.filter(message__tenant=tenancy.current()).order_by("pk")


def _export_acknowledged(person: Person) -> Iterator[dict[str, Any]]:
    found = _acknowledged(person).select_related("message__row")
    for one in found.iterator(_AT_ONCE):
        message = one.message
        yield {"id": message.uuid.hex, "channel": message.name, "acknowledged": one.created_at}


def _erase_acknowledged(person: Person) -> int:
    return _delete(_acknowledged(person))


def _delete(rows: QuerySet[Any]) -> int:
    """Delete rows, some at a time; return how many of them there were."""
    count = 0
    while keys := list(rows.values_list("pk", flat=True)[:_AT_ONCE]):
        _delete_keys(rows.model, keys)
        count += len(keys)
    return count


def _delete_keys(model: Any, keys: Sequence[Any]) -> None:
    model._base_manager.using(database()).filter(Q(pk__in=keys)).delete()  # noqa: SLF001


PARTS = (
    Part(name="outstanding", export=_export_outstanding, becomes="it is others' messages"),
    Part(
        name="messages_received",
        covers=("Message.channel",),
        export=_export_received,
        erase=_erase_received,
    ),
    Part(
        name="messages_sent",
        covers=("Message.sender", "Message.context"),
        export=_export_sent,
        erase=_erase_sent,
        becomes="their readers keep them, without a sender, unless --sent is given",
    ),
    Part(
        name="acknowledgements",
        covers=("Acknowledgement.user",),
        export=_export_acknowledged,
        erase=_erase_acknowledged,
        becomes="messages that are still stored are outstanding for them again",
    ),
)
