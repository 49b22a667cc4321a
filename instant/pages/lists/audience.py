"""How many pages follow a list, and over how long they are to ask for what has changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Container

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api.commands import Channels, PresenceStats
from instant.exceptions import InstantConfigError, PublishError
from instant.tenancy import current as tenancy
from instant.tenancy.commands import in_own_names

__all__ = ["heard", "window"]

logger = logging.getLogger("instant.pages")

_EVERY = 5.0
"""Seconds for which a number is believed."""

_LEAST, _MOST = 30, 3000
"""Milliseconds."""

_EACH = 3
"""Milliseconds for each page: 300 requests a second, however many there are."""

_KNOWN = 1000
"""Of so many channels the number is kept."""

_known: dict[str, tuple[float, int]] = {}


def window(channel: str) -> int:
    """Return the milliseconds; asks the server now and then, and believes what it said last."""
    name = tenancy.to_wire(channel)
    asked, clients = _known.get(name, (-_EVERY, 0))
    now = time.monotonic()
    if now >= asked + _EVERY:
        clients = _asked(name, clients)
        if len(_known) >= _KNOWN:
            _known.clear()
        _known[name] = (now, clients)
    return min(max(_LEAST, _EACH * clients), _MOST)


def heard(pattern: str) -> Container[str] | None:
    """
    Return which of the channels that match a glob somebody hears, on whichever node.

    One request, at which the server looks through its channels once. None where it can't say.
    """
    try:
        client = get_backend().client()
        if client is None:
            return None
        with client.breaker.asking():
            [found] = in_own_names(client).run([Channels(pattern)], conf.current().timeout)
    except (PublishError, InstantConfigError) as exc:
        found = exc
    if isinstance(found, set):
        return found
    logger.debug("Nobody can say which lists are followed: %s", found)
    return None


def _asked(name: str, before: int) -> int:
    try:
        client = get_backend().client()
        if client is None:
            return before
        with client.breaker.asking():
            found = client.run([PresenceStats(name)], conf.current().timeout)[0]
    except (PublishError, InstantConfigError) as exc:
        found = exc
    if isinstance(found, PublishError | InstantConfigError):
        logger.debug("Nobody can say how many pages follow %s: %s", name, found)
        return before
    clients: int = found[0]
    return clients
