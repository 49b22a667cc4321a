"""What a publication says, and its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.crypto import salted_hmac

from instant.exceptions import PayloadTooLarge
from instant.publishing.origin_tab import current_tab

__all__ = ["HTML", "MAX_PAYLOAD", "Content", "check", "encode", "encoded", "id_for"]

MAX_PAYLOAD = 1_000_000
"""
Bytes of JSON. A subscriber's queue holds 1 MiB (Centrifugo's ``client.queue_max_size``,
default); the server takes more without a word and disconnects every subscriber (3008).
"""

_FOREVER = 86_400.0
"""Seconds, a day: what is longer is a mistake."""


class _Own(str):
    """A class of events that code of projects can't say, whatever it got from a browser."""

    __slots__ = ()


HTML = _Own("instant:html")
"""The class of events whose HTML pages insert."""

# NaN is not JSON: one would stop every browser that receives it.
encode = DjangoJSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Content:
    """What a caller of ``publish()`` says."""

    message: Any
    data: Any = field(repr=False)
    event_class: str | None
    bucket: str


def check(content: Content, timeout: float | None) -> None:
    """Refuse with ValueError what can't be published."""
    if content.message is None and content.data is None:
        raise ValueError("publish() needs a message or data.")
    if content.event_class == HTML and not isinstance(content.event_class, _Own):
        raise ValueError(f"{HTML!r} is what send_html() publishes: pages insert it as HTML.")
    if timeout is not None and not 0 < timeout < _FOREVER:
        raise ValueError(f"timeout is in seconds, more than 0, not {timeout!r}.")


def encoded(
    channels: Sequence[str], payload: dict[str, Any], content: Content, key: str
) -> tuple[bytes, dict[str, Any]]:
    """Complete and encode the payload: what changes afterwards is not published."""
    if content.message is not None:
        payload["message"] = content.message
    if content.data is not None:
        payload["data"] = content.data
    if content.event_class is not None:
        payload["event_class"] = content.event_class
    if content.bucket:
        payload["bucket"] = content.bucket
    payload["id"] = key
    tab = current_tab()
    if tab is not None:
        payload["tab"] = tab
    body = encode(payload).encode()
    if len(body) > MAX_PAYLOAD:
        raise PayloadTooLarge(
            f"The payload has {len(body):,} bytes, and {MAX_PAYLOAD:,} are possible: the server "
            f"disconnects every subscriber of a larger one. Publish a reference (an id, a URL) "
            f"and let the page fetch the rest.",
            channel=channels[0] if len(channels) == 1 else None,
        )
    return body, payload


def id_for(idempotency_key: str) -> str:
    """
    Return the one ``id`` of all publications with a key.

    The server publishes the first of them only, and pages know it by this id. Readers can't
    tell it in advance: by publishing one like it they would have pages drop the real one. It is
    the hex of a UUID of version 8 (RFC 9562, 5.8), since MariaDB's type takes no other bits.
    """
    if not isinstance(idempotency_key, str):
        raise TypeError(f"idempotency_key must be a str, not {type(idempotency_key).__name__}.")
    text = salted_hmac("instant.producers", idempotency_key, algorithm="sha256").hexdigest()
    return f"{text[:12]}8{text[13:16]}{'89ab'[int(text[16], 16) % 4]}{text[17:32]}"
