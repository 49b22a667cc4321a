"""
A copy of what is published, for functions that listen to a pattern of channels.

The server lets nobody subscribe to a pattern. So what is published to a channel that a pattern of
``@on_message`` matches is published once more, to one channel from which ``runlisteners`` reads
all of them. A site without such patterns pays one look at an empty list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from django.db import transaction

from instant.channels.names import LISTENERS_CHANNEL, MAX_BYTES
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.listening.message import Message
from instant.inbound.registry import Handler, declared
from instant.publishing.after_commit import defer
from instant.publishing.copied import head
from instant.publishing.delivery import deliver_quietly
from instant.publishing.publication import Envelope, Publications
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = ["copies", "copy_of", "copy_page", "is_pattern", "is_used", "read"]

logger = logging.getLogger("instant.listening")

_encode = AnswerEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

_AT_ONCE = 1000
"""Names of a broadcast in one copy, at most."""

_ROOM = 1_040_000
"""Bytes of a copy: a little less than the 1 MiB that wait for a subscriber."""


def is_pattern(handler: Handler) -> bool:
    """
    Tell whether a function gets its messages by copies.

    Also one that names a channel, where there are tenants: each has a channel of that name.
    """
    return handler.namespace is not None or "*" in handler.name or tenancy.are_used()


def is_used() -> bool:
    """Tell whether anything is to be copied."""
    return any(map(is_pattern, declared("message")))


def copies(envelope: Envelope) -> Iterator[Envelope]:
    """Yield envelopes for those channels of another that a pattern matches: many in one."""
    publications = envelope.publications
    names = (
        publications.channels
        if isinstance(publications, Publications)
        else [publication.channel for publication in publications]
    )
    patterns = [handler for handler in declared("message") if is_pattern(handler)]
    matched = [name for name in names if any(handler.matches(name) for handler in patterns)]
    tenant = wire.split(envelope.channels[0])[0] if tenancy.are_used() and matched else ""
    at_once = min(_AT_ONCE, max(1, (_ROOM - len(envelope.body)) // (MAX_BYTES + 3)))
    for start in range(0, len(matched), at_once):
        yield copy_of(
            matched[start : start + at_once],
            envelope.body,
            key=f"{envelope.idempotency_key}.{start}",
            tenant=tenant,
            like=envelope,
        )


def copy_of(
    names: Sequence[str], body: bytes, *, key: str, tenant: str, like: Envelope | None = None
) -> Envelope:
    """Return the envelope that carries a payload to those who listen to its channels."""
    text = head(names, tenant).encode() + body + b"}"
    copy = Envelope((LISTENERS_CHANNEL,), Publications(key, (LISTENERS_CHANNEL,), {}), text, key)
    if like is not None:
        copy.timeout, copy.on_commit, copy.using = like.timeout, like.on_commit, like.using
    return copy


def copy_page(channel: str, data: Any) -> None:
    """Send a copy of what a page publishes, where a pattern matches; a failure is logged."""
    if not is_used() or not any(h.matches(channel) for h in declared("message") if is_pattern(h)):
        return
    try:
        body = _encode(data).encode(errors="replace")
    except RecursionError:
        logger.warning("What a page has published to %s is nested too deeply to copy.", channel)
        return
    copy = copy_of([channel], body, key=uuid4().hex, tenant=tenancy.current())
    connection = transaction.get_connection()
    if connection.in_atomic_block:  # of ATOMIC_REQUESTS: what is rolled back is not published
        defer(connection, (copy,))
    else:
        deliver_quietly((copy,))


def read(data: Any, *, offset: int | None, epoch: str, after_gap: bool) -> Iterator[Message]:
    """Yield the messages of a copy; nothing for what is none."""
    if not isinstance(data, Mapping) or not isinstance(data.get("channels"), list):
        return
    for name in data["channels"]:
        yield Message(
            channel=str(name),
            payload=data.get("payload"),
            offset=offset,
            epoch=epoch,
            after_gap=after_gap,
            tenant=str(data.get("tenant") or ""),
        )
