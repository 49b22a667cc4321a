"""What can be wrong with the declaration of a namespace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import signature
from typing import Any

from instant.channels.names import OUR_NAMESPACE, USER_NAMESPACE
from instant.channels.patterns import NamespaceError
from instant.deliveries import Delivery

__all__ = ["NAME", "problems"]

NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")
"""Centrifugo's grammar of namespaces and proxies (its ``internal/config/validate.go``)."""


_CALLED = {
    "can_subscribe": ("user",),
    "can_publish": ("user",),
    "can_see_presence": ("user",),
    "can_read_history": ("user",),
    "can_see_status": ("user",),
    "connection_info": ("user",),
    "snapshot": ("user",),
    "can_subscribe_users": ("users",),
    "readers": (),
}
"""The methods that get the channel's arguments by name, and what each gets before these."""


def problems(cls: Any) -> Iterator[str]:
    """Yield what is wrong with a namespace's class, each with the class's name."""
    where = f"{cls.__module__}.{cls.__qualname__}"
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield (
            f"{where}.name must be two or more of letters, digits, “-”, “_” and “.”, not {name!r}."
        )
    elif name == USER_NAMESPACE:
        yield f"{where}.name: {name!r} holds the users' own channels. Take another name."
    elif name == OUR_NAMESPACE:
        yield f"{where}.name: {name!r} holds channels of Instant's own. Take another name."
    if not isinstance(getattr(cls, "pattern", "" if cls.rows else None), str):
        yield f"{where} has no pattern, for example '<int:pk>'."
    elif hasattr(cls, "pattern"):
        try:
            cls.compiled()
        except NamespaceError as exc:
            yield f"{where}.pattern: {exc}"
        else:
            yield from _wrong_methods(cls, where)
    yield from _wrong_options(cls, where)


def _wrong_methods(cls: Any, where: str) -> Iterator[str]:
    """Yield the methods that the arguments of a channel's name don't fit: each call would fail."""
    names = sorted(cls.compiled().names)
    instance = object.__new__(cls)
    for name, first in _CALLED.items():
        try:
            signature(getattr(instance, name)).bind(*first, **dict.fromkeys(names))
        except ValueError:  # what is written in C may have none
            continue
        except TypeError as exc:
            wanted = ", ".join(("self", *first, *names))
            yield (
                f"{where}.{name}() is called with ({wanted}), since the pattern is "
                f"{cls.pattern!r}: {exc}."
            )


def _wrong_options(cls: Any, where: str) -> Iterator[str]:
    if not isinstance(cls.delivery, Delivery):
        yield f"{where}.delivery must be one of instant.deliveries, not {cls.delivery!r}."
    elif cls.delivery.rule != "disabled":
        yield from _wrong_for_stored(cls, where)
    for option, values in (
        ("authorize", ("token", "proxy", "open")),
        ("client_publish", ("nobody", "subscribers", "ask")),
        ("rows", (True, False)),
        ("presence", (True, False)),
        ("join_leave", (True, False)),
        ("history", (True, False)),
        ("status", (True, False)),
        ("snapshot_is_public", (True, False)),
    ):
        if getattr(cls, option) not in values:
            listed = " or ".join(map(repr, values))
            yield f"{where}.{option} must be {listed}, not {getattr(cls, option)!r}."
    if not isinstance(cls.pool, str) or (cls.pool and not NAME.fullmatch(cls.pool)):
        yield f"{where}.pool must be a name such as 'heavy', not {cls.pool!r}."
    if cls.rows and (cls.authorize != "token" or cls.client_publish == "subscribers"):
        # The server demands a token for a name with “$”, and asks no row where it needn't.
        yield f"{where}.rows needs authorize 'token', and client_publish 'nobody' or 'ask'."
    if cls.snapshot_is_public is True and (cls.authorize != "open" or not cls.has_snapshot()):
        yield (
            f"{where}.snapshot_is_public needs a snapshot() and authorize 'open': a page that "
            "caches share is seen by people whom no rule is asked about."
        )
    if cls.history and not getattr(cls.delivery, "size", 0):
        yield f"{where}.history: its delivery keeps no messages."


def _wrong_for_stored(cls: Any, where: str) -> Iterator[str]:
    if cls.delivery.rule == "cacheall" and not cls.has_readers():
        yield (
            f'{where} needs readers(): with Stored("cacheall") a message is kept until all of '
            "them acknowledged it."
        )
    if cls.client_publish == "subscribers":
        yield (
            f"{where}.client_publish: what browsers publish past Django isn't stored. Take 'ask' "
            "and can_publish()."
        )
