"""Globs, as Centrifugo reads them, and the web origins that they allow."""

from __future__ import annotations

import re
from collections.abc import Iterable


def _one_of(pattern: str, at: int) -> tuple[str, int]:
    """Translate the `[…]` that starts at `at`; `!` negates it, and escapes count in it."""
    start = at
    at += 1
    negated = pattern.startswith("!", at)
    at += negated
    body = ""
    while True:
        if at >= len(pattern):
            raise ValueError(f"malformed origin pattern {pattern!r}: [ at {start} has no end")
        char = pattern[at]
        if char == "]":
            break
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            char = pattern[at]
            body += re.escape(char)
        else:
            body += "-" if char == "-" and body else re.escape(char)
        at += 1
    if not body:
        raise ValueError(f"malformed origin pattern {pattern!r}: [ at {start} is empty")
    return f"[{'^' if negated else ''}{body}]", at + 1


def translate(pattern: str) -> str:  # noqa: C901  a branch per sign
    r"""Translate a glob to a regular expression: `*` `**` `?` `[a-z]` `[!a]` `{a,b}`, `\` escapes.

    The rules are those of the glob library that Centrifugo uses, which knows no separator: `*`
    matches dots and colons too. Raises ValueError for a bracket or a brace that has no end.
    """
    out = ""
    depth = 0
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if at + 1 >= len(pattern):
                raise ValueError(
                    f"malformed origin pattern {pattern!r}: nothing after the backslash"
                )
            out += re.escape(pattern[at + 1])
            at += 2
            continue
        if char == "[":
            piece, at = _one_of(pattern, at)
            out += piece
            continue
        if char == "*":
            out += ".*"
        elif char == "?":
            out += "."
        elif char == "{":
            depth += 1
            out += "(?:"
        elif char == "}" and depth:
            depth -= 1
            out += ")"
        elif char == "," and depth:
            out += "|"
        else:
            out += re.escape(char)
        at += 1
    if depth:
        raise ValueError(f"malformed origin pattern {pattern!r}: {{ has no end")
    return out


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
