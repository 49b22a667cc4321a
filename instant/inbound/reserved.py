"""
Names that begin with ``instant.`` or ``instant:``: they are ours, in what projects fill otherwise.

Methods, the keys of a payload and of a connection's meta, and classes of events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from instant.inbound.answers import Refused

__all__ = [
    "ID",
    "KEYS",
    "METHODS",
    "REQUESTS",
    "TICKET",
    "WHISPER",
    "check_id",
    "is_whisper",
    "take_id",
    "take_tenant",
    "with_tenant",
]

METHODS = "instant."
"""What methods of ours begin with."""

REQUESTS = "request:"
"""What the names of responders begin with among methods; no page can call them by it."""

KEYS = "instant:"
"""What keys and classes of events of ours begin with."""

ID = KEYS + "id"
"""The key under which a payload names the call."""

TICKET = KEYS + "ticket"
"""What an answer has instead of a result, where the call was put off."""

WHISPER = KEYS + "whisper"
"""The key by which a page's publication says that nobody is to keep it."""

_TENANT = KEYS + "tenant"
_IDS = re.compile(r"[-_a-zA-Z0-9]{1,64}")


def take_id(data: Any) -> tuple[Any, str]:
    """
    Return a payload without the name that its sender gave the call, and that name or ``""``.

    Raises Refused (400) for a name that can't be one.
    """
    if not isinstance(data, dict) or ID not in data:
        return data, ""
    return {key: value for key, value in data.items() if key != ID}, check_id(data[ID])


def check_id(given: Any) -> str:
    """Return what a caller has named a call. Raises Refused (400) for what is no name."""
    if not isinstance(given, str) or not _IDS.fullmatch(given):
        raise Refused(400, f"{ID}: 1 to 64 letters, digits, “-” and “_”")
    return given


def is_whisper(data: Any) -> bool:
    """Tell whether nobody is to keep what a page has published."""
    return isinstance(data, dict) and data.get(WHISPER) is True


def take_tenant(meta: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Return the tenant that a connection's meta names, or None, and the meta without it."""
    tenant = meta.get(_TENANT)
    rest = {key: value for key, value in meta.items() if key != _TENANT}
    return (tenant if isinstance(tenant, str) else None), rest


def with_tenant(meta: Mapping[str, Any], tenant: str) -> dict[str, Any]:
    """Return the meta with the tenant of a visitor whom no subject names."""
    return {**meta, _TENANT: tenant}
