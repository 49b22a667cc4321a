"""What a payload may not be, though it is JSON: whoever stores it, or looks into it, would fail."""

from __future__ import annotations

from typing import Any

__all__ = ["MAX_DEPTH", "flaw"]

MAX_DEPTH = 64
"""Of objects and lists in each other."""


def flaw(data: Any) -> str:
    """Return what is wrong with it, after “the payload”; ``""`` for nothing. It doesn't recurse."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str) and not _is_text(value):
                return "has half a surrogate pair"
        if not inner:
            return ""
        level = inner
    return f"is nested deeper than {MAX_DEPTH} levels"


def _is_text(value: str) -> bool:
    """Tell whether it can be sent or stored at all; no database takes half a surrogate pair."""
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False
