"""The keys of ``INSTANT``: what holds where one is not given, and what a value must be."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["DEFAULTS", "TYPES"]

DEFAULTS: Mapping[str, Any] = {
    "BACKEND": None,
    "DIR": None,
    "PUBLIC_URL": None,
    "ALLOWED_ORIGINS": None,
    "ANONYMOUS": True,
    "LOGIN": True,
    "TOKEN_USE": 30,
    "TOKEN_LIFE": 3600,
    "TIMEOUT": 1.0,
    "THROTTLE": {},
    "TRUSTED_PROXIES": None,
}
"""The keys of ``INSTANT`` and what holds where one is not given."""

_DAY = 86_400
_YEAR = 366 * _DAY


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _YEAR


def _is_websocket(value: str) -> bool:
    try:
        url = urlsplit(value)
    except ValueError:
        return False
    return url.scheme in {"ws", "wss"} and bool(url.hostname)


TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "BACKEND": (
        "a dotted path",
        lambda v: v is None or (isinstance(v, str) and "." in v),
    ),
    "DIR": ("a path", lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != "")),
    "PUBLIC_URL": (
        "a ws:// or wss:// address",
        lambda v: v is None or (isinstance(v, str) and _is_websocket(v)),
    ),
    "ALLOWED_ORIGINS": (
        "a list of origins such as “https://example.com”",
        lambda v: v is None or (isinstance(v, list | tuple) and all(isinstance(o, str) for o in v)),
    ),
    "ANONYMOUS": ("True or False", lambda v: isinstance(v, bool)),
    "LOGIN": ("True or False", lambda v: isinstance(v, bool)),
    "TOKEN_USE": ("a whole number of seconds above 0", _is_int),
    "TOKEN_LIFE": ("a whole number of seconds above 0", _is_int),
    "TIMEOUT": (
        "a number of seconds above 0",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < _DAY,
    ),
}
"""What a value must be, in words and as a test, for keys that a test can tell it of."""
