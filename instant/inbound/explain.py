"""All handlers as a person reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from instant.inbound.registry import Handler, handlers

__all__ = ["Line", "lines"]


@dataclass(frozen=True, slots=True)
class Line:
    """One handler."""

    kind: str
    name: str
    """The method, channels or class of events that it is about."""
    function: str
    who: str
    """Who may call it."""
    policies: str
    """In the order in which a call meets them, and what else was said of it."""
    place: str
    """File and line."""


def lines() -> Iterator[Line]:
    """Yield all handlers, by kind and name."""
    for handler in sorted(handlers(), key=lambda h: (_ORDER.index(h.kind), h.name)):
        yield Line(
            kind=_KINDS.get(handler.kind, f"on_{handler.kind}"),
            name=_name(handler),
            function=handler.function_name,
            who=_who(handler),
            policies=", ".join([*map(str, handler.policies), *_options(handler)]) or "-",
            place=_short(handler.file_and_line),
        )


_ORDER = ("rpc", "publish", "connect", "refresh", "subscribe", "send", "message")

_KINDS = {"send": "before_send"}

_CALLERS = {
    "rpc": "users",
    "publish": "who may publish",
    "connect": "all",
    "refresh": "all",
    "subscribe": "who may subscribe",
}


def _name(handler: Handler) -> str:
    if handler.kind in {"connect", "refresh"}:
        return "-"
    about = handler.namespace.__qualname__ if handler.namespace is not None else handler.name
    return f"{about} {handler.event_class}" if handler.event_class else about


def _who(handler: Handler) -> str:
    who = "everybody" if handler.anonymous else _CALLERS.get(handler.kind, "-")
    if handler.can is None:
        return who
    if isinstance(handler.can, str):
        return f"{who} with {handler.can}"
    return f"{who} whom {getattr(handler.can, '__qualname__', handler.can)}() lets"


def _options(handler: Handler) -> Iterator[str]:
    if handler.session:
        yield "session"
    if handler.pool:
        yield f"pool {handler.pool}"


def _short(place: str) -> str:
    """Return a file's path from where the command runs, where it is below that."""
    path = os.path.relpath(place) if place else place
    return place if path.startswith("..") else path
