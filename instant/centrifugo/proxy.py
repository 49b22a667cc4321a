"""
The protocol of the server's event proxies: what it asks Django, and the replies it understands.

Does no I/O. Everything here fails closed, because the server doesn't: it takes ``{}`` and
``{"result": null}`` as permission, and every status except 200 as a reason to try again for ever.
Source: centrifugal.dev, "Proxy events to the backend". What each reply does to a client was
observed on v6.9.1.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, NoReturn

__all__ = [
    "CONNECT",
    "DISCONNECT_CODES",
    "ENDED",
    "ERROR_CODES",
    "HEADER",
    "KINDS",
    "MAX_BODY",
    "MAX_REASON",
    "RPC",
    "Disconnect",
    "Kind",
    "MalformedRequest",
    "ProxyRequest",
    "Refusal",
    "encode",
    "granted",
    "read_request",
    "reply",
]

Kind = Literal["subscribe", "publish", "sub_refresh", "rpc"]

KINDS: tuple[Kind, ...] = ("subscribe", "publish", "sub_refresh")
"""What the server asks about channels: may a client subscribe, publish, stay subscribed."""

CONNECT = "connect"
"""What it asks about whoever connects without a token, if it is told to."""

RPC: Kind = "rpc"
"""What it hands on besides: a call of a method of Python's."""

HEADER = "X-Instant-Proxy-Secret"
"""The header with the secret that the server shares with Django."""

MAX_BODY = 1_000_000
"""Bytes. A larger publication would disconnect every subscriber (see ``producers``)."""

ERROR_CODES = range(400, 2000)
"""Of errors that the server hands on; with a lower code SDKs would try again for ever."""

DISCONNECT_CODES = range(4000, 5000)
"""Clients connect again after those below 4500, and don't after the others."""

MAX_REASON = 32
"""Characters of ASCII in the reason for a disconnect."""


class MalformedRequest(ValueError):
    """The server would not send this body. The message says why, without quoting from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """What the server asks. It has already verified the token of the connection."""

    client: str
    """The id of the connection."""
    user: str
    """``sub`` of the connection's token; ``""`` for an anonymous client."""
    channel: str
    """The channel it is about; ``""`` for a method."""
    method: str = ""
    data: Any = field(default=None, repr=False)
    """The JSON value that the client sent along, or None; bytes where it is no JSON (binary)."""
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """``meta`` of the connection's token, where the server is told to send it."""
    transport: str = ""
    pool: str = ""
    """The pool at whose endpoint it was asked; the endpoint says it, not the body."""
    binary: bool = False
    """Whether ``data`` came as base64, so that an answer may be no JSON."""
    address: str = ""
    """Where the page is; not in the body, but in the headers that the server hands on."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal that the client is told about."""

    code: int
    """400 to 1999. With a lower code, SDKs would try again for ever."""
    message: str
    temporary: bool = False
    """Whether the client should try again."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A refusal that closes the connection."""

    code: int
    """The client reconnects after 4000 to 4499, and doesn't after 4500 to 4999."""
    reason: str
    """At most 32 ASCII characters, as it is sent in the WebSocket's close frame."""


ENDED: Mapping[str, Any] = {"expired": True}
"""The result that ends a subscription when the server asks to prolong it; an error does not."""


def read_request(
    body: bytes, kind: Kind = "subscribe", pool: str = "", address: str = ""
) -> ProxyRequest:
    """
    Read the body of a request; unknown fields are ignored. Raises MalformedRequest.

    A call of a method has ``method``, all others have ``channel``.
    """
    if len(body) > MAX_BODY:
        raise MalformedRequest(f"the body has {len(body):,} bytes, more than {MAX_BODY:,}")
    try:
        fields = _loads(body)
    except (ValueError, RecursionError):
        raise MalformedRequest("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise MalformedRequest("the body is not a JSON object")
    binary = bool(fields.get("b64data"))
    return ProxyRequest(
        client=_text(fields, "client", ""),
        user=_text(fields, "user"),
        channel="" if kind == RPC else _text(fields, "channel"),
        method=_text(fields, "method") if kind == RPC else "",
        data=_binary(fields) if binary else fields.get("data"),
        binary=binary,
        meta=fields["meta"] if isinstance(fields.get("meta"), dict) else {},
        transport=_text(fields, "transport", ""),
        pool=pool,
        address=address,
    )


def granted(*, expire_at: int, info: Any = None, pushes_joins: bool = False) -> Mapping[str, Any]:
    """
    Return the result that allows a subscription, or prolongs it, until ``expire_at`` (Unix time).

    ``info`` is what others see of the user in presence. With ``pushes_joins`` the server tells this
    client who subscribes and unsubscribes; it only has an effect on a new subscription.
    """
    result: dict[str, Any] = {"expire_at": expire_at}
    if info is not None:
        result["info"] = info
    if pushes_joins:
        result["override"] = {"force_push_join_leave": {"value": True}}
    return result


def reply(given: Mapping[str, Any] | Refusal | Disconnect) -> dict[str, Any]:
    """
    Return a reply with exactly one key: ``result``, ``error`` or ``disconnect``.

    Raises ValueError for codes and reasons that the server would not pass on as they are, and
    TypeError for a value of any other kind.
    """
    if isinstance(given, Refusal):
        if given.code not in ERROR_CODES:
            raise ValueError(f"An error code must be from 400 to 1999, not {given.code}.")
        error: dict[str, Any] = {"code": given.code, "message": given.message}
        return {"error": {**error, "temporary": True} if given.temporary else error}
    if isinstance(given, Disconnect):
        if given.code not in DISCONNECT_CODES:
            raise ValueError(f"A disconnect code must be from 4000 to 4999, not {given.code}.")
        if not given.reason.isascii() or len(given.reason) > MAX_REASON:
            raise ValueError(f"A reason must have at most {MAX_REASON} ASCII characters.")
        return {"disconnect": {"code": given.code, "reason": given.reason}}
    if not isinstance(given, Mapping):
        raise TypeError(f"{type(given).__name__} is not a reply.")
    return {"result": dict(given)}


def encode(
    given: Mapping[str, Any] | Refusal | Disconnect, encoder: type[json.JSONEncoder] | None = None
) -> bytes:
    """Return the body of a reply; raises TypeError or ValueError as reply() and JSON do."""
    return _dumps(reply(given), encoder or json.JSONEncoder).encode()


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise MalformedRequest(f"“{name}” is not a string")
    return value


def _binary(fields: Mapping[str, Any]) -> Any:
    """Return the JSON value in a payload that came as base64, or its bytes where it is none."""
    try:
        data = b64decode(_text(fields, "b64data"), validate=True)
    except ValueError as exc:
        raise MalformedRequest("“b64data” is not base64") from exc
    try:
        return _loads(data)
    except (ValueError, RecursionError):
        return data


def _loads(text: bytes) -> Any:
    return _decode(text.decode(json.detect_encoding(text), "surrogatepass"))


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):  # 1e999 would be infinity, which no answer can have
        raise ValueError
    return value


def _refuse(_constant: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON


# json.loads() and json.dumps() make another one each time.
_decode = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).decode


_encoders: dict[type[json.JSONEncoder], Callable[[Any], str]] = {}


def _dumps(value: Any, cls: type[json.JSONEncoder]) -> str:
    encode = _encoders.get(cls)
    if encode is None:
        encode = _encoders[cls] = cls(separators=(",", ":"), allow_nan=False).encode
    return encode(value)
