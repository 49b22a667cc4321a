"""Types of JSON objects: what each member must be, whether or not anything uses it.

Go reads a command, a request or a reply as a whole, and refuses it for one member of a wrong type.
Members that no type names are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .json_scan import elements
from .json_text import Fields

# By name, what reads a member; it raises Malformed.
Types = Mapping[str, Callable[[Fields, str], object]]


def any_json(fields: Fields, name: str) -> None:
    """Accept whatever is JSON."""


def object_of(types: Types) -> Callable[[Fields, str], None]:
    """Return what checks an object, or null."""

    def check(fields: Fields, name: str) -> None:
        found = fields.fields(name)
        if found is not None:
            found.check(types)

    return check


def map_of(types: Types) -> Callable[[Fields, str], None]:
    """Return what checks an object whose members, by any name, are such objects or null."""

    def check(fields: Fields, name: str) -> None:
        found = fields.fields(name)
        if found is not None:
            for _, member in found.objects():
                member.check(types)

    return check


def list_of(types: Types) -> Callable[[Fields, str], None]:
    """Return what checks a list of such objects or nulls."""

    def check(fields: Fields, name: str) -> None:
        for text in elements(fields.raw_or_nothing(name) or "[]"):
            if text != "null":
                Fields(text, depth=None).check(types)

    return check
