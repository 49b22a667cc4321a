"""
What the server asks Django, and what it may be told: the wire of its event proxies.

Pure: bytes in, bytes out. Everything here fails closed, because the server does not: it takes
``{}`` and ``{"result": null}`` for “allowed”, and any status but 200 for “try again, for ever”.
Source: centrifugal.dev, "Proxy events to the backend"; what each answer does to a client was
run against v6.9.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

__all__ = [
    "ENDED",
    "HEADER",
    "KINDS",
    "MAX_BODY",
    "Disconnect",
    "Kind",
    "MalformedQuestion",
    "Question",
    "Refusal",
    "answer",
    "encode",
    "granted",
    "read_question",
]

Kind = Literal["subscribe", "publish", "sub_refresh"]

KINDS: tuple[Kind, ...] = ("subscribe", "publish", "sub_refresh")
"""What the server may ask: may somebody subscribe, publish, and stay subscribed."""

HEADER = "X-Instant-Proxy-Secret"
"""The header in which the server shows the shared secret."""

MAX_BODY = 1_000_000
"""Bytes of a question. A larger publication would disconnect every subscriber (see producers)."""

_ERROR_CODES = range(400, 2000)
_DISCONNECT_CODES = range(4000, 5000)
_MAX_REASON = 32


class MalformedQuestion(ValueError):
    """The body is not one that the server would send; the message says why, without quoting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the server wants to know: it has verified the connection's token already."""

    client: str
    """The connection's id."""
    user: str
    """``sub`` of the connection's token; ``""`` for anonymous."""
    channel: str
    data: Any = field(default=None, repr=False)
    """What the client sent along, as JSON; None where it sent nothing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no that the client is told."""

    code: int
    """400 to 1999; the server passes lower ones on, and SDKs try those again for ever."""
    message: str
    temporary: bool = False
    """Whether the client shall try again."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A no that ends the connection."""

    code: int
    """4000 to 4499: the client comes back; 4500 to 4999: it doesn't."""
    reason: str
    """At most 32 ASCII characters: it travels in the WebSocket's close frame."""


ENDED: Mapping[str, Any] = {"expired": True}
"""The result that ends a subscription which is asked about; an error there does no more."""


def read_question(body: bytes) -> Question:
    """
    Read a question; fields that nobody knows are passed over.

    Raises MalformedQuestion for what isn't one.
    """
    if len(body) > MAX_BODY:
        raise MalformedQuestion(f"the body has {len(body):,} bytes, more than {MAX_BODY:,}")
    try:
        fields = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedQuestion("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise MalformedQuestion("the body is not a JSON object")
    return Question(
        client=_text(fields, "client", ""),
        user=_text(fields, "user"),
        channel=_text(fields, "channel"),
        data=fields.get("data"),
    )


def granted(*, expire_at: int, info: Any = None, pushes_joins: bool = False) -> Mapping[str, Any]:
    """
    Return the result that opens or prolongs a subscription until ``expire_at`` (Unix time).

    ``info`` is what others see of the user in presence; ``pushes_joins`` lets the server tell
    this subscriber who comes and goes, unasked, and counts when it is opened.
    """
    result: dict[str, Any] = {"expire_at": expire_at}
    if info is not None:
        result["info"] = info
    if pushes_joins:
        result["override"] = {"force_push_join_leave": {"value": True}}
    return result


def answer(given: Mapping[str, Any] | Refusal | Disconnect) -> dict[str, Any]:
    """
    Return an answer with exactly one key: ``result``, ``error`` or ``disconnect``.

    Raises ValueError for codes and reasons that the server would not take as they are meant.
    """
    if isinstance(given, Refusal):
        if given.code not in _ERROR_CODES:
            raise ValueError(f"An error has a code from 400 to 1999, not {given.code}.")
        error: dict[str, Any] = {"code": given.code, "message": given.message}
        return {"error": {**error, "temporary": True} if given.temporary else error}
    if isinstance(given, Disconnect):
        if given.code not in _DISCONNECT_CODES:
            raise ValueError(f"A disconnect has a code from 4000 to 4999, not {given.code}.")
        if not given.reason.isascii() or len(given.reason) > _MAX_REASON:
            raise ValueError(f"A reason has at most {_MAX_REASON} ASCII characters.")
        return {"disconnect": {"code": given.code, "reason": given.reason}}
    if not isinstance(given, Mapping):
        raise TypeError(f"{type(given).__name__} is no answer.")
    return {"result": dict(given)}


def encode(given: Mapping[str, Any] | Refusal | Disconnect) -> bytes:
    """Return the body of an answer; raises TypeError or ValueError for what isn't JSON."""
    return json.dumps(answer(given), separators=(",", ":"), allow_nan=False).encode()


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise MalformedQuestion(f"“{name}” is not a text")
    return value


def _refuse(_constant: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON
