"""Filters by tags: a subscriber is sent only the publications whose tags match.

A filter is a tree. A leaf compares one tag (`key`, `cmp`, and `val` or `vals`); `op` "and", "or"
and "not" combine `nodes`. A filter saves traffic; it doesn't grant or forbid anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from instant.embedded.errors import BAD_REQUEST, Failure
from instant.embedded.json_scan import elements
from instant.embedded.json_text import Fields

Filter = Callable[[Mapping[str, str]], bool]

# Every publication is matched by recursion.
MAX_DEPTH = 50

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)", re.ASCII)
_BY_TEXT: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda tag, wanted: tag == wanted,
    "sw": lambda tag, wanted: tag.startswith(wanted),
    "ew": lambda tag, wanted: tag.endswith(wanted),
    "ct": lambda tag, wanted: wanted in tag,
}
_BY_NUMBER: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "gt": lambda tag, wanted: tag > wanted,
    "gte": lambda tag, wanted: tag >= wanted,
    "lt": lambda tag, wanted: tag < wanted,
    "lte": lambda tag, wanted: tag <= wanted,
}


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _by_text(compare: Callable[[str, str], bool], key: str, wanted: str) -> Filter:
    def passes(tags: Mapping[str, str]) -> bool:
        tag = tags.get(key)
        return tag is not None and compare(tag, wanted)

    return passes


def _by_number(compare: Callable[[Decimal, Decimal], bool], key: str, text: str) -> Filter:
    wanted = _number(text)

    def passes(tags: Mapping[str, str]) -> bool:
        tag = _number(tags.get(key, ""))
        return tag is not None and wanted is not None and compare(tag, wanted)

    return passes


def _leaf(node: Fields) -> Filter:
    key, cmp, val, vals = (
        node.text("key"),
        node.text("cmp"),
        node.text("val"),
        frozenset(node.texts("vals")),
    )
    if cmp in {"ex", "nex"}:
        if val or vals:
            raise Failure(BAD_REQUEST)
        there = cmp == "ex"
        return lambda tags: (key in tags) is there
    if not key:
        raise Failure(BAD_REQUEST)
    if cmp in {"in", "nin"}:
        if not vals or val:
            raise Failure(BAD_REQUEST)
        among = cmp == "in"
        return lambda tags: (tags.get(key, "") in vals) is among
    if not val or vals:
        raise Failure(BAD_REQUEST)
    if cmp == "neq":
        return lambda tags: tags.get(key) != val
    if cmp in _BY_TEXT:
        return _by_text(_BY_TEXT[cmp], key, val)
    if cmp in _BY_NUMBER:
        return _by_number(_BY_NUMBER[cmp], key, val)
    raise Failure(BAD_REQUEST)


def compile_filter(node: Fields, depth: int = 0) -> Filter:
    """Turn a filter's JSON into a function; raises Failure 107 for one that makes no sense.

    Raises Malformed if a member has a wrong type.
    """
    if depth > MAX_DEPTH:
        raise Failure(BAD_REQUEST)
    op = node.text("op")
    if not op:
        return _leaf(node)
    texts = elements(node.raw_or_nothing("nodes") or "[]")
    if "null" in texts:
        # Centrifugo 6.9.1 ends here, with everybody's connections.
        raise Failure(BAD_REQUEST)
    parts = [compile_filter(Fields(text), depth + 1) for text in texts]
    if op == "and" and parts:
        return lambda tags: all(part(tags) for part in parts)
    if op == "or" and parts:
        return lambda tags: any(part(tags) for part in parts)
    if op == "not" and len(parts) == 1:
        only = parts[0]
        return lambda tags: not only(tags)
    raise Failure(BAD_REQUEST)


def check_filter(fields: Fields, name: str) -> None:
    """Raise Malformed if any member of a filter's JSON has a wrong type."""
    found = fields.fields(name)
    if found is not None:
        _check_types(found)


def _check_types(node: Fields, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        return
    for name in ("op", "key", "cmp", "val"):
        node.text(name)
    node.texts("vals")
    for text in elements(node.raw_or_nothing("nodes") or "[]"):
        if text != "null":
            _check_types(Fields(text), depth + 1)
