"""Sending stored messages once more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import uuid4

from instant.backends import get_backend
from instant.namespaces import find_namespace
from instant.publishing.publication import Envelope, Publication
from instant.revoking.affected import Affected
from instant.revoking.enforce import enforce, is_on
from instant.stored.model import Message
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = ["resend"]


def resend(messages: Iterable[Message]) -> int:
    """
    Send messages to whoever is subscribed and may be now, and return how many there were.

    They keep their ids, by which a page knows those that it has shown; nothing is stored anew.
    Raises PublishError.
    """
    by_tenant: dict[str, list[Message]] = {}
    for message in messages:
        by_tenant.setdefault(message.tenant, []).append(message)
    for tenant, found in by_tenant.items():
        if tenancy.are_used():
            with tenancy.activate(tenant):
                _resend(found)
        else:
            _resend(found)
    return sum(map(len, by_tenant.values()))


def _resend(messages: list[Message]) -> None:
    # Of those that are open to everybody the server isn't told who is there.
    asked = {name for name in {message.name for message in messages} if not _is_open(name)}
    if asked and is_on():
        for error in enforce([Affected(channels=asked)]):
            if error is not None:
                raise error
    get_backend().send([_envelope(message) for message in messages])


def _is_open(name: str) -> bool:
    declared = find_namespace(name)
    return declared is not None and declared[0].authorize == "open"


def _envelope(message: Message) -> Envelope:
    name = message.name
    payload = message.payload
    if "channel" in payload:  # a row may have got another name
        payload = {**payload, "channel": name}
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    publication = Publication(message.uuid.hex, name, payload)
    on_wire = wire.channel(message.tenant, name) if tenancy.are_used() else name
    # The server drops what comes with a key that it knows.
    return Envelope([on_wire], [publication], body, uuid4().hex)
