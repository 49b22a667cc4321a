"""Rows of Channel that an app declares in its ``realtime.py``; ``migrate`` makes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from instant.channels.names import check_row_name
from instant.exceptions import InvalidChannelName

__all__ = [
    "LISTS",
    "DeclaredChannel",
    "channel",
    "conflicts",
    "declared_channels",
    "find_declared",
    "forget",
]

Level = Literal["public", "users", "groups", "staff", "superuser"]
More = Literal["nobody", "subscribers", "listed", "staff", "superuser"]

LISTS = {
    "groups": ("level", "groups"),
    "publish_groups": ("publish_level", "listed"),
    "status_groups": ("status_level", "listed"),
}
"""By list of groups: the field with which it counts, and that one's value."""

_CHOICES = {
    "level": ("public", "users", "groups", "staff", "superuser"),
    "publish_level": ("nobody", "subscribers", "listed", "staff", "superuser"),
    "presence_level": ("nobody", "subscribers", "staff", "superuser"),
    "status_level": ("nobody", "subscribers", "listed", "staff", "superuser"),
    "store": ("disabled", "cache", "cacheall", "store"),
}


@dataclass(frozen=True, slots=True)
class DeclaredChannel:
    """A row as code declares it."""

    name: str
    columns: Mapping[str, Any]
    """What the code says, by field; the admin may change the rest."""
    groups: Mapping[str, tuple[str, ...]]
    """The names of the groups on each list that the code says, by field."""
    place: str
    """Where it stands: module and line."""

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the code says."""
        return frozenset(("name", *self.columns, *self.groups))


_registry: list[DeclaredChannel] = []


def channel(
    name: str,
    *,
    level: Level,
    groups: list[str] | tuple[str, ...] | None = None,
    publish_level: More | None = None,
    publish_groups: list[str] | tuple[str, ...] | None = None,
    presence_level: More | None = None,
    status_level: More | None = None,
    status_groups: list[str] | tuple[str, ...] | None = None,
    store: str | None = None,
    answers_pings: bool | None = None,
    description: str | None = None,
) -> str:
    """
    Declare a channel of one fixed name, in an app's ``realtime.py``; returns the name.

    ``manage.py migrate`` makes its row, and puts right what differs from what is said here.
    The arguments are the fields of ``Channel``. What isn't said has the model's default in a
    new row, and is the admin's afterwards: members, and whether the channel is active, always
    are. Groups are given by name; ``migrate`` makes those that don't exist.

    A name begins with ``$`` unless its level is ``public``. Raises ValueError for what no row
    could be.
    """
    said = {
        "level": level,
        "publish_level": publish_level,
        "presence_level": presence_level,
        "status_level": status_level,
        "store": store,
        "answers_pings": answers_pings,
        "description": description,
    }
    lists = {"groups": groups, "publish_groups": publish_groups, "status_groups": status_groups}
    declared = DeclaredChannel(
        name,
        MappingProxyType({key: value for key, value in said.items() if value is not None}),
        MappingProxyType(
            {key: _names(key, value) for key, value in lists.items() if value is not None}
        ),
        _place(),
    )
    _check(declared)
    _registry.append(declared)
    return name


def declared_channels() -> list[DeclaredChannel]:
    """Return the declared channels, each name once, in the order of their declaration."""
    found: dict[str, DeclaredChannel] = {}
    for declared in _registry:
        found.setdefault(declared.name, declared)
    return list(found.values())


def find_declared(name: str) -> DeclaredChannel | None:
    """Return the declaration of a name."""
    return next((declared for declared in _registry if declared.name == name), None)


def conflicts() -> Iterator[tuple[str, list[str]]]:
    """Yield each name that is declared at several places, with the places."""
    places: dict[str, list[str]] = {}
    for declared in _registry:
        places.setdefault(declared.name, []).append(declared.place)
    for name, found in places.items():
        if len(found) > 1:
            yield name, found


def forget(name: str) -> None:
    """Take a declaration back. For tests."""
    _registry[:] = [declared for declared in _registry if declared.name != name]


def _check(declared: DeclaredChannel) -> None:
    name, columns = declared.name, declared.columns
    for field, choices in _CHOICES.items():
        value = columns.get(field)
        if value is not None and value not in choices:
            listed = ", ".join(map(repr, choices))
            raise ValueError(f"channel({name!r}): {field} is one of {listed}, not {value!r}.")
    for field, (decides, value) in LISTS.items():
        if declared.groups.get(field) and columns.get(decides) != value:
            raise ValueError(f"channel({name!r}): {field} counts with {decides}={value!r} only.")
    try:
        # In which namespaces rows may be is known once all apps are loaded: a check tells.
        check_row_name(name, _Everywhere())
    except InvalidChannelName as exc:
        raise ValueError(f"channel({name!r}): {exc}") from None
    public = columns["level"] == "public"
    if public is name.startswith("$"):
        right = name.removeprefix("$") if public else f"${name}"
        raise ValueError(
            f"channel({name!r}): on the level {columns['level']!r} it must be named {right!r}."
        )


class _Everywhere:
    def __contains__(self, name: object) -> bool:
        return True


def _names(field: str, groups: Any) -> tuple[str, ...]:
    if isinstance(groups, str) or not all(isinstance(name, str) and name for name in groups):
        raise TypeError(f"{field} is a list of groups' names, not {groups!r}.")
    return tuple(dict.fromkeys(groups))


def _place() -> str:
    frame = sys._getframe(2)  # noqa: SLF001  whoever called channel()
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_lineno}"
