"""Reading JSON so that the text of every member survives.

A publication's data must reach subscribers as the publisher wrote it: `1.10` must not become `1.1`
on the way, and a delta is computed over those characters. So values are cut out of the text rather
than parsed and written again.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from json import decoder
from typing import Any, NoReturn

from .errors import Malformed

_BLANK = re.compile(r"[ \t\n\r]*")
_LINE_BREAKS = str.maketrans("", "", "\r\n")
_STRICT = True
_UINT32 = 2**32
_UINT64 = 2**64
_INT32 = 2**31


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not a JSON value")


# What `json.loads` is made of; the stubs leave both out.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    parse_constant=_refuse_constant
).scan_once  # type: ignore[attr-defined]
_scan_string: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _scan(text, at)
    except StopIteration:
        raise Malformed("a JSON value was expected") from None
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _raw(text: str) -> str:
    # A line break ends a command in the client protocol. In JSON there may be line breaks between
    # tokens, but never inside a string.
    return text.translate(_LINE_BREAKS) if "\n" in text or "\r" in text else text


def quote(text: str) -> str:
    """Write `text` as a JSON string."""
    return json.dumps(text)


def dump(value: Any) -> str:
    """Write `value` as JSON on one line, without spaces."""
    return json.dumps(value, separators=(",", ":"))


def load(text: str) -> Any:
    """Read one JSON value; raises Malformed."""
    start = _blank(text, 0)
    value, end = _value(text, start)
    if _blank(text, end) != len(text):
        raise Malformed("more than one JSON value")
    return value


def elements(text: str) -> list[str]:
    """Cut a JSON array into the texts of its elements; raises Malformed."""
    at = _blank(text, 0)
    if not text.startswith("[", at):
        raise Malformed("a JSON array was expected")
    found: list[str] = []
    at = _blank(text, at + 1)
    if text.startswith("]", at):
        at += 1
    else:
        while True:
            _, end = _value(text, at)
            found.append(_raw(text[at:end]))
            at = _blank(text, end)
            if text.startswith(",", at):
                at = _blank(text, at + 1)
                continue
            if text.startswith("]", at):
                at += 1
                break
            raise Malformed("an array has no end")
    if _blank(text, at) != len(text):
        raise Malformed("more than one JSON value")
    return found


def _members(text: str, *, whole: bool) -> Iterator[tuple[str, Any, str]]:
    at = _blank(text, 0)
    if not text.startswith("{", at):
        raise Malformed("a JSON object was expected")
    at = _blank(text, at + 1)
    if text.startswith("}", at):
        at += 1
    else:
        while True:
            if not text.startswith('"', at):
                raise Malformed("a member has no name")
            try:
                name, at = _scan_string(text, at + 1, _STRICT)
            except ValueError:
                raise Malformed("a member's name has no end") from None
            at = _blank(text, at)
            if not text.startswith(":", at):
                raise Malformed("a member has no value")
            start = _blank(text, at + 1)
            value, end = _value(text, start)
            yield name, value, _raw(text[start:end])
            at = _blank(text, end)
            if text.startswith(",", at):
                at = _blank(text, at + 1)
                continue
            if text.startswith("}", at):
                at += 1
                break
            raise Malformed("an object has no end")
    if whole and _blank(text, at) != len(text):
        raise Malformed("more than one JSON value")


class _Folded(dict[str, Any]):
    """Members of which some have capitals in their names; they are found as Go finds them."""

    __slots__ = ("_names",)

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__(members)
        self._names = {name.lower(): name for name in members}

    def get(self, name: str, default: Any = None) -> Any:
        """Return the member of exactly that name, else one that differs by case only."""
        if super().__contains__(name):
            return super().__getitem__(name)
        found = self._names.get(name.lower())
        return default if found is None else super().__getitem__(found)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (super().__contains__(name) or name.lower() in self._names)

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(
            name if super().__contains__(name) else self._names[name.lower()]
        )


class Fields:
    """A JSON object's members, read by type as Go reads them.

    A name in another letter case is found too. A member that is absent or null reads as the type's
    zero value; one of another type raises Malformed. Unless the text must be `whole`, whatever
    follows the object is ignored.
    """

    __slots__ = ("_raws", "_values")

    def __init__(self, text: str, *, whole: bool = True) -> None:
        self._values: dict[str, Any] = {}
        self._raws: dict[str, str] = {}
        plain = True
        for name, value, raw in _members(text, whole=whole):
            self._values[name] = value
            self._raws[name] = raw
            plain = plain and name.islower()
        if not plain:
            self._values, self._raws = _Folded(self._values), _Folded(self._raws)

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __len__(self) -> int:
        return len(self._values)

    def names(self) -> list[str]:
        """Return the members' names in the order of the text."""
        return list(self._values)

    def text(self, name: str) -> str:
        """Read a string."""
        value = self._values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Malformed(f"{name} is not a string")
        return value

    def flag(self, name: str) -> bool:
        """Read a boolean."""
        value = self._values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise Malformed(f"{name} is not a boolean")
        return value

    def _integer(self, name: str, low: int, high: int) -> int:
        value = self._values.get(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
            raise Malformed(f"{name} is not an integer in range")
        return value

    def uint32(self, name: str) -> int:
        """Read an integer from 0 up to 2**32."""
        return self._integer(name, 0, _UINT32)

    def uint64(self, name: str) -> int:
        """Read an integer from 0 up to 2**64."""
        return self._integer(name, 0, _UINT64)

    def int32(self, name: str) -> int:
        """Read a signed 32-bit integer."""
        return self._integer(name, -_INT32, _INT32)

    def int64(self, name: str) -> int:
        """Read a signed 64-bit integer."""
        return self._integer(name, -(_UINT64 // 2), _UINT64 // 2)

    def raw(self, name: str) -> str:
        """Return the text of a member, "" if it is absent; null is a value here."""
        return self._raws.get(name, "")

    def raw_or_nothing(self, name: str) -> str:
        """Return the text of a member, "" if it is absent or null."""
        return self._raws[name] if self._values.get(name) is not None else ""

    def json_or_base64(self, name: str, encoded: str) -> str:
        """Return the JSON of a member, or what another one holds in base64, "" for neither."""
        text = self.text(encoded)
        if not text:
            return self.raw_or_nothing(name)
        try:
            decoded = base64.b64decode(text, validate=True).decode()
            load(decoded)
        except ValueError:
            # Without the binary protocol nothing but JSON can be delivered.
            raise Malformed(f"{encoded} is not JSON in base64") from None
        return decoded.replace("\r", "").replace("\n", "")

    def value(self, name: str) -> Any:
        """Return a member's value in Python's types, None if it is absent."""
        return self._values.get(name)

    def fields(self, name: str) -> Fields | None:
        """Read an object, None if it is absent or null."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Malformed(f"{name} is not an object")
        return Fields(self._raws[name])

    def texts(self, name: str) -> list[str]:
        """Read a list of strings."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Malformed(f"{name} is not a list of strings")
        return value

    def text_map(self, name: str) -> dict[str, str]:
        """Read an object of strings."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise Malformed(f"{name} is not an object of strings")
        return value
