"""Whether something accepts connections at an address."""

from __future__ import annotations

import socket
from contextlib import suppress
from urllib.parse import urlsplit

from instant.centrifugo.config.defaults import DEFAULT_ADDRESS

__all__ = ["listens"]

_DEFAULT_PORTS = {"https": 443, "wss": 443}


def listens(url: str, timeout: float = 2) -> bool:
    """Tell whether something accepts connections there."""
    at = urlsplit(url)
    place = at.hostname or DEFAULT_ADDRESS, at.port or _DEFAULT_PORTS.get(at.scheme, 80)
    with suppress(OSError):
        socket.create_connection(place, timeout).close()
        return True
    return False
