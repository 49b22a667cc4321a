"""
The site's key for push services (VAPID, RFC 8292), and messages that only a browser can read.

With pywebpush, which the extra ``[push]`` brings: imported when it is needed.
"""

from __future__ import annotations

import base64
import time
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from instant import conf
from instant.conf.push import Push

__all__ = ["encrypted", "headers_for", "is_installed", "new_key", "public_key"]

_LIFE = 12 * 3600
"""Seconds for which a signature is valid; a push service takes 24 hours at most."""
_RENEWED = 3600


def is_installed() -> bool:
    """Tell whether the extra is there."""
    return find_spec("pywebpush") is not None


def new_key() -> str:
    """Return a new private key, as the setting has it."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  comes with the extra

    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


def public_key() -> str | None:
    """Return what a browser has to be given to subscribe; None where nothing is pushed."""
    push = conf.current().push
    return _public(push.private_key) if push is not None and is_installed() else None


@lru_cache(maxsize=8)
def _public(private_key: str) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  see above

    found = _signer(private_key).public_key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return base64.urlsafe_b64encode(found).decode().rstrip("=")


def headers_for(origin: str, push: Push) -> dict[str, str]:
    """Return what shows a push service that it is this site which sends."""
    return _headers(origin, push.private_key, push.contact, int(time.time()) // _RENEWED)


@lru_cache(maxsize=64)
def _headers(origin: str, private_key: str, contact: str, hour: int) -> dict[str, str]:
    claims = {"aud": origin, "sub": contact, "exp": hour * _RENEWED + _LIFE}
    return dict(_signer(private_key).sign(claims))


def _signer(private_key: str) -> Any:
    from py_vapid import Vapid02  # noqa: PLC0415  an extra

    return Vapid02.from_raw(private_key.encode())


def encrypted(data: bytes, browser: dict[str, Any]) -> bytes:
    """Return a message that only this browser can read; raise ValueError for wrong keys."""
    from pywebpush import WebPusher, WebPushException  # noqa: PLC0415  an extra

    try:
        return bytes(WebPusher(browser).encode(data, content_encoding="aes128gcm")["body"])
    except (WebPushException, ValueError, TypeError) as exc:
        raise ValueError(str(exc)) from exc
