"""Reading JSON objects so that the text of every member survives.

A publication's data must reach subscribers as the publisher wrote it: `1.10` must not become `1.1`
on the way, and a delta is computed over those characters. So values are cut out of the text rather
than parsed and written again.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from .errors import Malformed
from .json_scan import MAX_DEPTH, load, members

_UINT32 = 2**32
_UINT64 = 2**64
_INT32 = 2**31
_INT64 = 2**63
# Half of a pair of UTF-16 without the other one; Go reads it as the replacement character.
_LONE = re.compile("[\ud800-\udfff]")


def quote(text: str) -> str:
    """Write `text` as a JSON string."""
    return json.dumps(text)


def dump(value: Any) -> str:
    """Write `value` as JSON on one line, without spaces."""
    return json.dumps(value, separators=(",", ":"))


def _readable(text: str) -> str:
    return text if text.isascii() else _LONE.sub("\ufffd", text)


class Fields:
    """A JSON object's members, read by type as Go reads them.

    A name in another letter case is found too, and the last of several members of one name counts.
    A member that is absent or null reads as the type's zero value; one of another type raises
    Malformed. Unless the text must be `whole`, whatever follows the object is ignored.
    """

    __slots__ = ("_by_name", "_raws", "_values")

    def __init__(self, text: str, *, whole: bool = True, depth: int | None = MAX_DEPTH) -> None:
        self._values: dict[str, Any] = {}
        self._raws: dict[str, str] = {}
        # The values and texts by their exact names; without capitals they are found by these.
        self._by_name = self._values, self._raws
        plain = True
        for name, value, raw in members(text, whole=whole, depth=depth):
            self._values[name] = value
            self._raws[name] = raw
            plain = plain and name.islower()
        if not plain:
            self._values = {name.lower(): value for name, value in self._values.items()}
            self._raws = {name.lower(): raw for name, raw in self._raws.items()}

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __len__(self) -> int:
        return len(self._values)

    def names(self) -> list[str]:
        """Return the names of the members, in the order of the text."""
        return list(self._by_name[0])

    def text(self, name: str) -> str:
        """Read a string."""
        value = self._values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Malformed(f"{name} is not a string")
        return _readable(value)

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
        return self._integer(name, -_INT64, _INT64)

    def raw(self, name: str) -> str:
        """Return the text of a member, "" if it is absent; null is a value here."""
        return self._raws.get(name, "")

    def raw_or_nothing(self, name: str) -> str:
        """Return the text of a member, "" if it is absent or null."""
        return self._raws[name] if self._values.get(name) is not None else ""

    def json_or_base64(self, name: str, encoded: str) -> str:
        """Return the JSON of a member, or what another one holds in base64, "" for neither.

        Null is JSON.
        """
        text = self.text(encoded)
        if not text:
            return self.raw(name)
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

    def exact(self, name: str) -> tuple[Any, str]:
        """Return the value and the text of the member of exactly this name."""
        values, raws = self._by_name
        return values.get(name), raws.get(name, "")

    def fields(self, name: str) -> Fields | None:
        """Read an object, None if it is absent or null."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Malformed(f"{name} is not an object")
        # How deep it is was seen with the object that it is in.
        return Fields(self._raws[name], depth=None)

    def among(self, names: Container[str]) -> dict[str, Fields]:
        """Read those of these members as objects that are there and not null."""
        found = {name: self.fields(name) for name in self._values if name in names}
        return {name: fields for name, fields in found.items() if fields is not None}

    def check(self, types: Mapping[str, Callable[[Fields, str], object]]) -> None:
        """Read every member that has a type; raises Malformed."""
        for name in self._values:
            read = types.get(name)
            if read is not None:
                read(self, name)

    def objects(self) -> Iterator[tuple[str, Fields]]:
        """Read every member as an object, with its exact name; null is an empty one."""
        values, raws = self._by_name
        for name, value in values.items():
            if value is not None and not isinstance(value, dict):
                raise Malformed(f"{name} is not an object")
            yield _readable(name), Fields("{}" if value is None else raws[name], depth=None)

    def texts(self, name: str) -> list[str]:
        """Read a list of strings."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(
            item is None or isinstance(item, str) for item in value
        ):
            raise Malformed(f"{name} is not a list of strings")
        return [_readable(item or "") for item in value]

    def text_map(self, name: str) -> dict[str, str]:
        """Read an object of strings."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(
            item is None or isinstance(item, str) for item in value.values()
        ):
            raise Malformed(f"{name} is not an object of strings")
        return {_readable(key): _readable(item or "") for key, item in value.items()}
