"""What pages publish into stored channels: stored before the server hands it on."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.db import transaction

from instant.inbound.answers import Refused
from instant.inbound.payloads import flaw
from instant.permissions import is_known
from instant.publishing.payload import encode, id_for
from instant.publishing.publication import Envelope, Publication
from instant.stored import rules
from instant.stored.note import Note, noted

__all__ = ["keep_page"]

_OURS = ("site", "channel", "message", "data", "event_class")
"""Keys of which a payload of ours has at least one; the client's script knows the same."""


def keep_page(user: Any, channel: str, data: dict[str, Any]) -> dict[str, Any]:
    """
    Store what a user is about to publish, where the channel is stored; return what is published.

    That has the message's id, by which it is acknowledged. Ids are made here, so that no page
    can take another message's; the same one of a page's stands for one message. Raises Refused
    for what readers could not be shown again: one such message would keep all others from them.
    """
    if not rules.is_used():
        return data
    from instant.stored import keep, rows  # noqa: PLC0415  they need the models

    given, owner = data.get("id"), str(user.pk) if is_known(user) else ""
    is_named = bool(owner) and isinstance(given, str) and given != ""
    key = id_for(f"page\n{owner}\n{channel}\n{given}") if is_named else uuid4().hex
    body = data if any(name in data for name in _OURS) else {"channel": channel, "data": data}
    body = {**body, "id": key}
    publication = Publication(key, channel, body)
    with noted(Note(sender=user if owner else None)):
        kept = keep.kept([Envelope((channel,), (publication,), b"", key)])
        if not kept:
            return data
        kept[0].envelope.body = _encoded(body)
        with transaction.atomic(using=rows.database()):
            keep.write(kept)
    return body


def _encoded(body: dict[str, Any]) -> bytes:
    if wrong := flaw(body):
        raise Refused(400, f"the payload {wrong}")
    try:
        return encode(body).encode()
    except ValueError:  # 1e999, which JSON can't say again
        raise Refused(400, "the payload has a number that is too large") from None
