"""
Whose address a request has.

Behind a proxy ``REMOTE_ADDR`` is the proxy's, everybody's, and ``X-Forwarded-For`` says what
its sender likes, but for the part that a trusted proxy has appended: its right end. An IPv6
address counts by its /64, because that is what one customer gets, to choose from freely.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from instant.conf.trusted_proxies import Proxies

__all__ = ["Address", "caller_address", "forwarded_address", "request_address"]

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRACES = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
"""What a proxy leaves in a request."""

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


class Address(NamedTuple):
    """Where a request comes from, as far as can be told."""

    name: str | None
    """``192.0.2.7`` or ``2001:db8::/64``; None where nothing says it."""
    shared: bool
    """Whether it is probably a proxy's, behind which is everybody."""


def request_address(meta: Mapping[str, Any], proxies: Proxies | None) -> Address:
    """
    Return the address that a request (its ``META``) comes from.

    With proxies it is the right-most address in ``X-Forwarded-For`` that isn't one of theirs,
    if the peer is one. Without (None) it is the peer's, and ``shared`` where it is a private
    one and the request has passed a proxy.
    """
    peer = _parse(meta.get("REMOTE_ADDR") or "")
    if proxies is None:
        traced = any(name in meta for name in _TRACES)
        return Address(_name(peer), peer is None or (traced and not peer.is_global))
    if not proxies.trust(peer):
        return Address(_name(peer), peer is None)
    client = _forwarded(meta, proxies, peer)
    return Address(_name(client), client is None)


def caller_address(meta: Mapping[str, Any], proxies: Proxies | None) -> str:
    """
    Return where the caller of a method is, ``""`` where nothing says it.

    Behind a proxy that no setting names it is the proxy, whatever the caller writes into headers.
    """
    return request_address(meta, proxies).name or ""


def forwarded_address(meta: Mapping[str, Any], proxies: Proxies | None) -> str:
    """
    Return the address of a page whose request the server hands on, or ``""``.

    The server says of a connection only what the header of the page's request did. Without proxies
    that write it, a page may have.
    """
    if proxies is None or not (proxies.networks or proxies.unix):
        return ""
    return _name(_forwarded(meta, proxies, None)) or ""


def _forwarded(meta: Mapping[str, Any], proxies: Proxies, client: _IP | None) -> _IP | None:
    for entry in reversed((meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")):
        if not entry.strip():
            continue
        client = _parse(entry)
        # What can't be read was written by a trusted proxy too: it does not tell.
        if client is None or not proxies.trust(client):
            break
    return client


def _parse(text: str) -> _IP | None:
    text = text.strip()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        found = _WITH_PORT.fullmatch(text)
        try:
            address = ipaddress.ip_address((found[1] or found[2]) if found else "")
        except ValueError:
            return None
    # A socket for both families says ::ffff:192.0.2.7.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _name(address: _IP | None) -> str | None:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return None if address is None else str(address)
