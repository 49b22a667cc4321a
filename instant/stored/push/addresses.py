"""
Where pushes may go.

The address comes from the browser, so anybody can say anything: it has to be that of a known push
service, and none of the addresses that its name stands for may be in a private network. They are
looked at when the name is resolved for a connection, which then goes to one of them: whoever asks
the name again might be told another.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from instant import conf

__all__ = ["KNOWN", "check_endpoint", "is_local", "is_public", "origin_of"]

KNOWN = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.push.services.mozilla.com",
    "*.notify.windows.com",
    "web.push.apple.com",
    "*.push.apple.com",
)
"""Push services of Chromium and what is made of it, Firefox, Edge and Safari."""

LOCAL: frozenset[str] = frozenset()
"""Origins such as ``http://127.0.0.1:8001`` that count as push services; tests fill it."""

MAX_BYTES = 1024
"""Of an address; those of Windows have some 300."""

_NAT64 = IPv6Network("64:ff9b::/96")
_HTTPS = 443


def check_endpoint(endpoint: Any) -> str:
    """Return the address; raise ValueError where nothing may be sent to it."""
    if not isinstance(endpoint, str) or len(endpoint) > MAX_BYTES:
        raise ValueError("That is not the address of a browser at a push service.")
    if not endpoint.isascii() or not endpoint.isprintable() or {" ", "\\"} & set(endpoint):
        raise ValueError("That is not the address of a browser at a push service.")
    parts = _split(endpoint)
    if parts is not None and _origin(parts) in LOCAL:
        return endpoint
    if parts is None or parts.scheme != "https" or parts.username is not None:
        raise ValueError("A push service has an https address.")
    if parts.port not in {None, _HTTPS} or not _is_service(parts.hostname or ""):
        raise ValueError(
            f"{(parts.hostname or '')[:100]!r} is no push service that is known; see SERVICES of "
            'INSTANT["PUSH"].'
        )
    return endpoint


def origin_of(endpoint: str) -> str:
    """Return scheme and host of an address, as a push service is asked to be named."""
    return _origin(urlsplit(endpoint))


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public Internet, whatever it is written in."""
    return all(one.is_global and not one.is_multicast for one in _meant(ip_address(address)))


def is_local(host: str) -> bool:
    """Tell whether a test says that the host is a push service, wherever it is."""
    return any(urlsplit(origin).hostname == host for origin in LOCAL)


def _split(endpoint: str) -> SplitResult | None:
    try:
        parts = urlsplit(endpoint)
        parts.port  # noqa: B018  raises where it is none
    except ValueError:
        return None
    return parts


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def _is_service(host: str) -> bool:
    push = conf.current().push
    return any(
        host == service or (service.startswith("*.") and host.endswith(service[1:]))
        for service in (*KNOWN, *(push.services if push is not None else ()))
    )


def _meant(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Return an address, and those that it stands for in another network."""
    if isinstance(address, IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    found: list[IPv4Address | IPv6Address] = [one for one in inner if one is not None]
    return found if address.ipv4_mapped is not None else [address, *found]
