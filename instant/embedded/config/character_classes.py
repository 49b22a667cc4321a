"""The classes of characters in Go's regular expressions, for Python's."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby, pairwise

_DIGITS, _UPPER, _LOWER = ("09",), ("AZ",), ("az",)
# Characters by pairs of the first and the last.
CLASSES = {
    "d": _DIGITS,
    "w": ("09", "AZ", "__", "az"),
    "s": ("\t\n", "\f\r", "  "),
}
POSIX = {
    "alnum": ("09", "AZ", "az"),
    "alpha": ("AZ", "az"),
    "ascii": ("\x00\x7f",),
    "blank": ("\t\t", "  "),
    "cntrl": ("\x00\x1f", "\x7f\x7f"),
    "digit": _DIGITS,
    "graph": ("!~",),
    "lower": _LOWER,
    "print": (" ~",),
    "punct": ("!/", ":@", "[`", "{~"),
    "space": ("\t\r", "  "),
    "upper": _UPPER,
    "word": CLASSES["w"],
    "xdigit": ("09", "AF", "af"),
}


def members(pairs: Iterable[str]) -> str:
    """Write characters as Python has them between brackets."""
    return "".join(f"{re.escape(pair[0])}-{re.escape(pair[1])}" for pair in pairs)


def others(pairs: Iterable[str]) -> list[str]:
    """Return all the other characters; `pairs` are in their order."""
    inner = [ord(char) for pair in pairs for char in pair]
    edges = [-1, *inner, sys.maxunicode + 1]
    gaps = list(pairwise(edges))[::2]
    return [chr(low + 1) + chr(high - 1) for low, high in gaps if high - low > 1]


@lru_cache
def category(name: str) -> tuple[str, ...]:
    """Return the characters of a general category of Unicode."""
    if name == "Any":
        return ("\x00" + chr(sys.maxunicode),)
    found: list[str] = []
    for inside, group in groupby(
        range(sys.maxunicode + 1),
        lambda code: (
            unicodedata.category(chr(code)).startswith(name)
            and unicodedata.category(chr(code)) != "Cn"
        ),
    ):
        codes = list(group)
        if inside:
            found.append(chr(codes[0]) + chr(codes[-1]))
    return tuple(found)
