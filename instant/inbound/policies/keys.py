"""Whom a policy counts or remembers a call for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from instant import permissions
from instant.inbound.call import Call
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.limiter import cache_key
from instant.tenancy import current as tenancy

__all__ = ["Per", "as_text", "caller", "key_of"]

Per = Literal["user", "client", "address"] | Callable[[Call], Any]


def caller(call: Call, per: Literal["user", "client", "address"] = "user") -> str:
    """
    Return who calls: a user, a connection or an address, in this order of what is known.

    Who isn't logged in is their connection, or, without one, their address; and with neither
    the same as all others of whom nothing is known.
    """
    if per == "user" and permissions.is_known(call.user):
        return f"user {call.user.pk}"
    known = {"client": call.client, "address": call.address}
    for name in ("address", "client") if per == "address" else ("client", "address"):
        if known[name]:
            return f"{name} {known[name]}"
    if permissions.is_known(call.user):
        return f"user {call.user.pk}"
    return ""


def key_of(kind: str, *parts: str) -> str:
    """Return the key of what the current tenant has; only the last part may be of any text."""
    return cache_key(kind, tenancy.current(), *parts)


def as_text(value: Any) -> str:
    """Return a text that only equal values have: what came as JSON, or as bytes."""
    return json.dumps(value, cls=_Encoder, sort_keys=True)


class _Encoder(AnswerEncoder):
    def default(self, o: Any) -> Any:
        return {"bytes": o.hex()} if isinstance(o, bytes) else super().default(o)
