"""The keys of ``INSTANT``: what holds where one is not given, and what a value must be."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["DEFAULTS", "TYPES", "is_address", "parse_secrets"]

DEFAULTS: dict[str, Any] = {
    "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
    "DIR": None,
    "AUTOSTART": None,
    "DATA": None,
    "ENGINE": None,
    "PUBLIC_URL": None,
    "PROXY_URL": None,
    "POOLS": {},
    "POOLS_URL": "http://127.0.0.1:8429",
    "ALLOWED_ORIGINS": None,
    "ANONYMOUS": True,
    "LOGIN": True,
    "TOKEN_USE": 30,
    "TOKEN_LIFE": 3600,
    "TIMEOUT": 1.0,
    "ENFORCE": True,
    "ENFORCE_IN_BACKGROUND": True,
    "BREAKER": 5,
    "OUTBOX_PARTITIONS": 8,
    "OUTBOX_IMMEDIATE": False,
    "OUTBOX_KEEP": None,
    "OUTBOX_CONSUMER": None,
    "CHECK_QUERIES": 20,
    "SWEEP": "TOKEN_LIFE",
    "THROTTLE": {},
    "CALLS": "100/10s",
    "CACHE": "default",
    "TRUSTED_PROXIES": None,
    "AUTHENTICATION": (),
    "GATEWAY": False,
    "LITE": False,
    "TENANT": None,
    "JOBS": {},
    "STORE": None,
    "PUSH": None,
    "REMINDERS": None,
    "SHARED_CONNECTION": False,
    "LIST_LIMIT": 200,
    "STREAM_LIMIT": 5_000_000,
    "STREAM_KEEP": None,
}
"""The keys of ``INSTANT`` and what holds where one is not given."""

_DAY = 86_400
_YEAR = 366 * _DAY
_MOST_PARTITIONS = 1024


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _YEAR


def _is_websocket(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        url = urlsplit(value)
    except ValueError:
        return False
    return url.scheme in {"ws", "wss"} and bool(url.hostname)


def is_address(value: str) -> bool:
    """Tell whether it is a URL of HTTP without a query or a login."""
    try:
        url = urlsplit(value)
        url.port  # noqa: B018  raises where it is none
    except ValueError:
        return False
    rest = url.query or url.fragment or url.username is not None
    return url.scheme in {"http", "https"} and bool(url.hostname) and not rest


def parse_secrets(value: object) -> tuple[str, ...]:
    """
    Read one secret or a list of them, the one to show first; none for None and "".

    Raises ValueError without the value, which neither a message nor a log may have.
    """
    listed = [value] if isinstance(value, str) and value else value or ()
    if not isinstance(listed, list | tuple) or not all(
        isinstance(text, str) and text.isascii() and text.isprintable() and text.strip()
        for text in listed
    ):
        del value, listed
        raise ValueError("must be a str of printable ASCII characters, or a list of such")
    return tuple(listed)


TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "BACKEND": (
        "a dotted path",
        lambda v: v is None or (isinstance(v, str) and "." in v),
    ),
    "DIR": ("a path", lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != "")),
    "AUTOSTART": ("True, False or None", lambda v: v is None or isinstance(v, bool)),
    "DATA": ("a path", lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != "")),
    "PUBLIC_URL": (
        "a ws:// or wss:// address, or a list of such",
        lambda v: (
            v is None
            or _is_websocket(v)
            or (isinstance(v, list | tuple) and len(v) > 0 and all(map(_is_websocket, v)))
        ),
    ),
    "PROXY_URL": (
        "an address such as “http://127.0.0.1:8000” or “https://example.com/app”",
        lambda v: v is None or (isinstance(v, str) and is_address(v)),
    ),
    "POOLS_URL": (
        "an address such as “http://127.0.0.1:8429”",
        lambda v: isinstance(v, str) and is_address(v),
    ),
    "ALLOWED_ORIGINS": (
        "a list of origins such as “https://example.com”",
        lambda v: v is None or (isinstance(v, list | tuple) and all(isinstance(o, str) for o in v)),
    ),
    "ANONYMOUS": ("True or False", lambda v: isinstance(v, bool)),
    "LOGIN": ("True or False", lambda v: isinstance(v, bool)),
    "ENFORCE": ("True or False", lambda v: isinstance(v, bool)),
    "ENFORCE_IN_BACKGROUND": ("True or False", lambda v: isinstance(v, bool)),
    "BREAKER": (
        "a whole number above 0, or None for never",
        lambda v: v is None or _is_int(v),
    ),
    "OUTBOX_PARTITIONS": (
        "a whole number from 1 to 1,024",
        lambda v: _is_int(v) and v <= _MOST_PARTITIONS,
    ),
    "OUTBOX_IMMEDIATE": ("True or False", lambda v: isinstance(v, bool)),
    "OUTBOX_KEEP": (
        "a whole number of seconds above 0, or None",
        lambda v: v is None or _is_int(v),
    ),
    "LIST_LIMIT": ("a whole number above 0", _is_int),
    "STREAM_LIMIT": ("a whole number of characters above 0", _is_int),
    "STREAM_KEEP": (
        "a whole number of seconds above 0, or None",
        lambda v: v is None or _is_int(v),
    ),
    "CHECK_QUERIES": ("a whole number above 0", _is_int),
    "SWEEP": (
        "a whole number of seconds above 0, “TOKEN_LIFE”, or None for never",
        lambda v: v is None or v == "TOKEN_LIFE" or _is_int(v),
    ),
    "AUTHENTICATION": (
        "a list of dotted paths",
        lambda v: (
            isinstance(v, list | tuple) and all(isinstance(path, str) and "." in path for path in v)
        ),
    ),
    "GATEWAY": ("True or False", lambda v: isinstance(v, bool)),
    "SHARED_CONNECTION": ("True or False", lambda v: isinstance(v, bool)),
    "LITE": ("True or False", lambda v: isinstance(v, bool)),
    "TENANT": ("a dotted path", lambda v: v is None or (isinstance(v, str) and "." in v)),
    "TOKEN_USE": ("a whole number of seconds above 0", _is_int),
    "TOKEN_LIFE": ("a whole number of seconds above 0", _is_int),
    "TIMEOUT": (
        "a number of seconds above 0",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < _DAY,
    ),
}
"""What a value must be, in words and as a test, for keys that a test can tell it of."""
