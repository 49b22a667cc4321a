"""Cutting JSON into its parts, however deep it is nested and however long its numbers are.

Python's own scanner reads what is ordinary. It gives up at about a thousand levels and at integers
of more than 4,300 digits, which Go reads; those values are only stepped over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from json import decoder
from typing import Any, NoReturn

from .errors import Malformed

# As Go's own decoder, which reads tokens, requests to the HTTP API and replies of proxies.
MAX_DEPTH = 10_000

_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"')
_WORD = re.compile("true|false|null")
# A member's name without escapes and its colon; what follows a value in an object.
_PLAIN_NAME = re.compile(r'"([^"\\\x00-\x1f]*+)"[ \t\n\r]*:[ \t\n\r]*')
_AFTER_VALUE = re.compile(r"[ \t\n\r]*([,}])[ \t\n\r]*")
_CLOSING = {"[": "]", "{": "}"}
_LINE_BREAKS = str.maketrans("", "", "\r\n")
_STRICT = True


class Opaque:
    """A value that Python can't hold: of no type that anything asks for."""


_OPAQUE = Opaque()
# A list and an object keep their type; what is in them is of no use.
_UNREAD: dict[str, Any] = {"[": [_OPAQUE], "{": {"": _OPAQUE}}


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not a JSON value")


# What `json.loads` is made of; the stubs leave both out.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    parse_constant=_refuse_constant
).scan_once  # type: ignore[attr-defined]
_scan_string: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]


def blank(text: str, at: int) -> int:
    """Return where the white space that starts at `at` ends."""
    match = _BLANK.match(text, at)
    return match.end() if match else at


def one_line(text: str) -> str:
    """Return JSON without its line breaks, of which there are none inside strings.

    A line break ends a command in the client protocol.
    """
    return text.translate(_LINE_BREAKS) if "\n" in text or "\r" in text else text


def value(text: str, at: int, levels: int | None = None) -> tuple[Any, int]:
    """Read the value that starts at `at`, and return it and its end; raises Malformed.

    It may have so many `levels`; None is any number.
    """
    try:
        found = _scan(text, at)
    except StopIteration:
        raise Malformed("a JSON value was expected") from None
    except json.JSONDecodeError:
        raise Malformed("not JSON") from None
    except (ValueError, RecursionError):
        # Too many digits, or too many levels.
        return _UNREAD.get(text[at], _OPAQUE), _end(text, at, levels)
    if levels is not None and _brackets(text, at, found[1]) > levels:
        _end(text, at, levels)
    return found


def _brackets(text: str, at: int, end: int) -> int:
    return text.count("[", at, end) + text.count("{", at, end)


def _end(text: str, at: int, levels: int | None) -> int:
    """Step over a value of any depth; raises Malformed."""
    open_: list[str] = []
    while True:
        char = text[at : at + 1]
        if char in _CLOSING:
            open_.append(char)
            if levels is not None and len(open_) > levels:
                raise Malformed("nested too deep")
            at = blank(text, at + 1)
            if not text.startswith(_CLOSING[char], at):
                at = _name(text, at) if char == "{" else at
                continue
        else:
            match = (_STRING if char == '"' else _NUMBER).match(text, at) or _WORD.match(text, at)
            if match is None:
                raise Malformed("not JSON")
            at = match.end()
            if not open_:
                return at
            at = blank(text, at)
        # A value is over: close what ends here, and go on to the next value.
        while open_ and text.startswith(_CLOSING[open_[-1]], at):
            open_.pop()
            at += 1
            if not open_:
                return at
            at = blank(text, at)
        if not text.startswith(",", at):
            raise Malformed("not JSON")
        at = blank(text, at + 1)
        at = _name(text, at) if open_[-1] == "{" else at


def _name(text: str, at: int) -> int:
    """Step over the name of a member and its colon."""
    match = _STRING.match(text, at)
    if match is None:
        raise Malformed("a member has no name")
    at = blank(text, match.end())
    if not text.startswith(":", at):
        raise Malformed("a member has no value")
    return blank(text, at + 1)


def _read_name(text: str, at: int) -> tuple[str, int]:
    """Read the name of a member, and return it and where its value starts."""
    start = _name(text, at)
    try:
        return _scan_string(text, at + 1, _STRICT)[0], start
    except ValueError:
        raise Malformed("a member's name is not JSON") from None


def load(text: str) -> Any:
    """Read one JSON value; raises Malformed."""
    found, end = value(text, blank(text, 0), MAX_DEPTH)
    if blank(text, end) != len(text):
        raise Malformed("more than one JSON value")
    return found


def elements(text: str) -> list[str]:
    """Cut a JSON array into the texts of its elements; raises Malformed."""
    at = blank(text, 0)
    if not text.startswith("[", at):
        raise Malformed("a JSON array was expected")
    found: list[str] = []
    at = blank(text, at + 1)
    if text.startswith("]", at):
        at += 1
    else:
        while True:
            _, end = value(text, at)
            found.append(one_line(text[at:end]))
            at = blank(text, end)
            if text.startswith(",", at):
                at = blank(text, at + 1)
                continue
            if text.startswith("]", at):
                at += 1
                break
            raise Malformed("an array has no end")
    if blank(text, at) != len(text):
        raise Malformed("more than one JSON value")
    return found


def members(text: str, *, whole: bool, depth: int | None) -> Iterator[tuple[str, Any, str]]:
    """Cut a JSON object into names, values and the values' texts; raises Malformed.

    Unless the text must be `whole`, whatever follows the object is ignored. `depth` is how deep the
    object may be, None is any depth.
    """
    # A level has two characters at least.
    levels = None if depth is None or len(text) < 2 * depth else depth - 1
    at = blank(text, 0)
    if not text.startswith("{", at):
        raise Malformed("a JSON object was expected")
    at = blank(text, at + 1)
    if text.startswith("}", at):
        at += 1
    else:
        while True:
            plain = _PLAIN_NAME.match(text, at)
            name, start = (plain[1], plain.end()) if plain else _read_name(text, at)
            found, end = value(text, start, levels)
            yield name, found, one_line(text[start:end])
            sign = _AFTER_VALUE.match(text, end)
            if sign is None:
                raise Malformed("an object has no end")
            at = sign.end()
            if sign[1] == "}":
                break
    if whole and blank(text, at) != len(text):
        raise Malformed("more than one JSON value")
