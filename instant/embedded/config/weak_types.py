"""Values of a config, read as generously as Centrifugo reads them: 1 for true, "5" for 5.

Each function raises ValueError that says what there must be instead.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import Any

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_OCTAL = re.compile(r"[+-]?0[0-7_]+", re.ASCII)
_INT64 = 2**63

_SECOND = 10**9
_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,  # U+00B5
    "μs": 1000,  # U+03BC
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([a-zµμ]+)", re.ASCII)


def switch(value: Any) -> bool:
    """Read true or false."""
    if isinstance(value, (bool, int, float)):
        return bool(value)
    if isinstance(value, str):
        if value in _TRUE:
            return True
        if not value or value in _FALSE:
            return False
    raise ValueError("must be true or false")


def number(value: Any) -> int:
    """Read a whole number; of another one, the part before the point."""
    if isinstance(value, (bool, int)) or (isinstance(value, float) and isfinite(value)):
        return int(value)
    if isinstance(value, str):
        found = _whole(value or "0")
        if found is not None:
            return found
    raise ValueError("must be a whole number")


def _whole(text: str) -> int | None:
    # Python would take blanks around it, and the digits of any script; Go takes 010 for 8.
    if not text.isascii() or text != text.strip():
        return None
    try:
        found = int(text, 8) if _OCTAL.fullmatch(text) else int(text, 0)
    except ValueError:
        return None
    return found if -_INT64 <= found < _INT64 else None


def text(value: Any) -> str:
    """Read a string."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int) and abs(value) < 2**53:
        return str(value)
    if isinstance(value, (int, float)) and isfinite(value):
        # Go reads every number of a JSON document as a float.
        return format(Decimal(repr(float(value))).normalize(), "f")
    raise ValueError("must be a string")


def texts(value: Any) -> list[str]:
    """Read a list of strings; anything else than a list is the only one in it."""
    if value == {}:
        return []
    try:
        items = value if isinstance(value, list) else [value]
        return ["" if item is None else text(item) for item in items]
    except ValueError:
        raise ValueError("must be a list of strings") from None


def text_map(value: Any) -> dict[str, str]:
    """Read an object of strings, or a list of objects with "key" and "value"."""
    found: dict[str, str] = {}
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, list):
        pairs = [(item.get("key"), item.get("value")) for item in value if isinstance(item, dict)]
    elif isinstance(value, dict):
        value = {key: item for key, item in value.items() if item is not None and item != {}}
        pairs = [*value.items()]
    found = {key: item for key, item in pairs if isinstance(key, str) and isinstance(item, str)}
    if not isinstance(value, (dict, list)) or len(found) < len(value):
        raise ValueError('must be an object of strings, or a list of a "key" and a "value" each')
    return found


def duration(value: Any) -> float:
    """Read a Go duration such as "300ms", "25s" or "1m30s", in seconds; a number is nanoseconds."""
    if isinstance(value, str):
        return _nanoseconds(value) / _SECOND
    if isinstance(value, (bool, int)) or (isinstance(value, float) and isfinite(value)):
        return int(value) / _SECOND
    raise ValueError('must be a duration such as "25s"')


def _nanoseconds(given: str) -> int:
    body = given[1:] if given[:1] in {"+", "-"} else given
    if body == "0":
        return 0
    at, total = 0, 0
    while at < len(body) or not body:
        part = _PART.match(body, at)
        if part is None or part[2] not in _UNITS:
            raise ValueError(f'{given!r} is not a duration, which is such as "25s" or "1m30s"')
        total += int(Decimal(part[1]) * _UNITS[part[2]])
        at = part.end()
    if total >= _INT64:
        raise ValueError(f"{given!r} is longer than a duration may be, which is 292 years")
    return -total if given.startswith("-") else total
