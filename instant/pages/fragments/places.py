"""Where channels are, and how long their pages take to ask after a change."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api.commands import Audience, Command, Position
from instant.exceptions import PublishError, ServerNotAsked
from instant.namespaces import find_namespace
from instant.pages.freshness import is_fresh
from instant.tenancy import current as tenancy

__all__ = ["Place", "places", "window"]

logger = logging.getLogger("instant.pages")

_SECONDS = 5
_MOST = 10_000
_heard: dict[str, tuple[float, int]] = {}
"""How many connections hear a channel, by its name on the server, and until when that counts."""

_LEAST, _EACH, _LONGEST = 20, 2.4, 30_000
"""Milliseconds: in which fragments of a page come together, for each viewer, and for any number."""


class Place(NamedTuple):
    """A channel's position, ``""`` and 0 where it can't be told, and the window of its pages."""

    offset: int = 0
    epoch: str = ""
    window: int = _LEAST


def window(viewers: int) -> int:
    """Return over how many milliseconds so many viewers ask: ten within 44, a thousand in 2.4 s."""
    return round(min(_LEAST + _EACH * viewers, _LONGEST))


def places(names: Iterable[str]) -> dict[str, Place]:
    """
    Return the places of channels, asked now: what is read afterwards has all that came before.

    One request to the server, within ``TIMEOUT``. Without an answer it is the same as without a
    server; a page whose fragments have no position asks for them once more when it listens.
    """
    found = {name: Place() for name in names}
    client = get_backend().client() if found else None
    if client is None:
        return found
    wire = {name: tenancy.to_wire(name) for name in found}
    now = time.monotonic()
    asked: list[tuple[str, Command]] = []
    fresh = is_fresh()
    for name, on_wire in wire.items():
        if fresh and _keeps(name):
            asked.append((name, Position(on_wire)))
        if _heard.get(on_wire, (0.0, 0))[0] < now:
            asked.append((name, Audience(on_wire)))
    for (name, command), told in zip(asked, _run(client, [one for _, one in asked]), strict=True):
        if isinstance(told, PublishError):
            logger.debug("%s: %s", name, told)
        elif isinstance(command, Audience):
            if len(_heard) >= _MOST:
                _heard.clear()
            _heard[wire[name]] = now + _SECONDS, told
        else:
            found[name] = found[name]._replace(**told)
    return {
        name: place._replace(window=window(_heard.get(wire[name], (0.0, 0))[1]))
        for name, place in found.items()
    }


def _keeps(name: str) -> bool:
    namespace = find_namespace(name)
    return namespace is None or bool(namespace[0].delivery.size)


def _run(client: Any, commands: list[Command]) -> list[Any]:
    if not commands:
        return []
    try:
        with client.breaker.asking():
            answers: list[Any] = client.run(commands, conf.current().timeout)
    except PublishError as exc:
        # Of a server that is not asked, the breaker has told.
        level = logging.DEBUG if isinstance(exc, ServerNotAsked) else logging.ERROR
        logger.log(level, "Fragments have no position: the message server can't tell: %s", exc)
        return [exc] * len(commands)
    return answers
