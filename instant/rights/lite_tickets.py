"""
Tickets of the lite script: what stands in a URL instead of a token.

An EventSource can send nothing but its URL, which is written into logs. So a ticket opens one
connection to one channel, once, within seconds, and for the browser that has asked for it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.utils.crypto import constant_time_compare, salted_hmac

from instant import conf
from instant.tenancy import current as tenancy

__all__ = ["LIFE", "are_possible", "issue", "redeem"]

LIFE = 10
"""Seconds in which it has to be used."""

_TENANT = "~"

_OF_ONE_PROCESS = (".locmem.LocMemCache", ".dummy.DummyCache")


def are_possible() -> bool:
    """Tell whether the process that the server asks would know a ticket of this one."""
    current = conf.current()
    backend = settings.CACHES[current.cache].get("BACKEND", "")
    return current.proxy_url is not None and not backend.endswith(_OF_ONE_PROCESS)


def issue(connection: Mapping[str, Any], session: str | None) -> str:
    """
    Return a ticket for a connection, which the session's browser alone can use.

    ``connection`` is what the server is told then. Raises what the cache raises, and RuntimeError
    where it takes nothing.
    """
    # A cache may keep tenants apart, and the server asks at one host for all of them.
    ticket = f"{tenancy.current()}{_TENANT}{secrets.token_urlsafe(32)}"
    kept = {"connection": dict(connection), "session": _bound(session)}
    if not _cache().add(_key(ticket), kept, LIFE):
        raise RuntimeError("The cache took no ticket.")
    return ticket


def redeem(ticket: object, session: str | None) -> dict[str, Any] | None:
    """Return what the server is told of the connection, once; None for whatever is no ticket."""
    if not isinstance(ticket, str):
        return None
    tenant = ticket.rpartition(_TENANT)[0]
    if not tenancy.is_name(tenant):
        return None
    try:
        with tenancy.activate(tenant):
            return _redeemed(ticket, session)
    except LookupError:
        return None


def _redeemed(ticket: str, session: str | None) -> dict[str, Any] | None:
    key, cache = _key(ticket), _cache()
    kept = cache.get(key)
    if not isinstance(kept, dict):
        return None
    # Whoever adds this is the first; the other key may be deleted by several at once.
    if not cache.add(f"{key}.used", 1, 2 * LIFE):
        return None
    cache.delete(key)
    if kept["session"] and not constant_time_compare(kept["session"], _bound(session)):
        return None
    found: dict[str, Any] = kept["connection"]
    return found


def _cache() -> Any:
    return caches[conf.current().cache]


def _key(ticket: str) -> str:
    """Who reads the cache finds nothing to connect with."""
    return f"instant.lite.{hashlib.sha256(ticket.encode(errors='replace')).hexdigest()}"


def _bound(session: str | None) -> str:
    return salted_hmac("instant.lite", session, algorithm="sha256").hexdigest() if session else ""
