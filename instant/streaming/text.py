"""Text as pages count it: in UTF-16, where an emoji has the length 2."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["after", "clean", "length", "pieces"]

# PostgreSQL keeps no NUL, and half of a surrogate pair is no text that could be sent.
_IMPOSSIBLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Return text that every database and every page can have."""
    return _IMPOSSIBLE.sub("\ufffd", text)


def length(text: str) -> int:
    """Return the length that JavaScript says."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def after(text: str, units: int) -> str:
    """Return what comes behind so many units; half a character that is cut becomes U+FFFD."""
    if units <= 0:
        return text
    if text.isascii():
        return text[units:]
    return text.encode("utf-16-le")[2 * units :].decode("utf-16-le", "replace")


def pieces(text: str, most: int) -> Iterator[str]:
    """Yield text in pieces of at most so many characters."""
    for start in range(0, len(text), most):
        yield text[start : start + most]
