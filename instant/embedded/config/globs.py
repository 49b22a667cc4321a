"""Globs, as Centrifugo reads them, and the web origins that they allow."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RANGE = re.compile(r"\[(!?)([^\\\]])-([^\]])\]", re.DOTALL)
_LIST = re.compile(r"\[(!?+)((?:\\.|[^\\\]])+)\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _one_of(pattern: str, at: int) -> tuple[str, int]:
    """Translate the `[…]` that starts at `at`: one range, or a list of characters; `!` negates."""
    found = _RANGE.match(pattern, at)
    if found is not None and found[2] <= found[3]:
        body = f"{re.escape(found[2])}-{re.escape(found[3])}"
    else:
        found = _LIST.match(pattern, at)
        if found is None or found[2][1:2] == "-":
            raise ValueError(f"malformed origin pattern {pattern!r}: [ at {at}")
        body = re.escape(_ESCAPE.sub(r"\1", found[2]))
    return f"[{'^' if found[1] else ''}{body}]", found.end()


def translate(pattern: str) -> str:
    r"""Translate a glob to a regular expression: `*` `**` `?` `[a-z]` `[!a]` `{a,b}`, `\` escapes.

    The rules are those of the glob library that Centrifugo uses, which knows no separator: `*`
    matches dots and colons too. A brace ends with the pattern at the latest. Raises ValueError for
    a malformed bracket.
    """
    signs = {"*": ".*", "?": "."}
    out = ""
    depth = at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            piece, at = _one_of(pattern, at)
            out += piece
            continue
        if char == "\\":
            at += 1
            out += re.escape(pattern[at : at + 1])
        elif char == "{":
            depth += 1
            out += "(?:"
        elif char == "}" and depth:
            depth -= 1
            out += ")"
        elif char == "," and depth:
            out += "|"
        else:
            out += signs.get(char) or re.escape(char)
        at += 1
    return out + ")" * depth


class Origins:
    """The origins that may open a connection; raises ValueError for a malformed pattern."""

    def __init__(self, patterns: Iterable[str]) -> None:
        compiled = []
        for pattern in patterns:
            try:
                compiled.append(re.compile(translate(pattern), re.DOTALL))
            except re.error as exc:
                raise ValueError(f"malformed origin pattern {pattern!r}: {exc}") from exc
        self._patterns = compiled

    def allow(self, origin: str | None) -> bool:
        """Tell whether a request with this Origin header may connect; one without it always may."""
        if not origin:
            return True
        lowered = origin.lower()
        return any(pattern.fullmatch(lowered) for pattern in self._patterns)
