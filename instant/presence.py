"""
Who is in a channel, as the message server knows it, for Python.

For channels whose server knows it: rows, and namespaces whose ``authorize`` isn't ``"open"``, or
that say ``presence = True``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, NamedTuple

from asgiref.sync import sync_to_async

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.channels.names import check_name
from instant.exceptions import InstantConfigError, PublishError
from instant.rights.accounts import LISTENER
from instant.tenancy import current as tenancy
from instant.tenancy.commands import own_subject

__all__ = ["Change", "Present", "apresent", "present", "watch"]

logger = logging.getLogger("instant.listening")


class Present(NamedTuple):
    """One connection that is in a channel."""

    client: str
    """Its id, which the server has given it."""
    user: str
    """The user's primary key as text, ``""`` for an anonymous visitor."""
    info: Any = None
    """What ``connection_info()`` says of the user."""


class Change(NamedTuple):
    """Somebody who came, or who is gone."""

    kind: Literal["joined", "left"]
    who: Present


def present(channel: str) -> list[Present]:
    """
    Return the connections that are in a channel; a user with two pages has two.

    No right is asked. Raises InvalidChannelName, and PublishError where the server doesn't tell.
    """
    check_name(channel)
    client = get_backend().client()
    if client is None:
        raise InstantConfigError(
            'Nobody is present here: INSTANT["BACKEND"] has no server that could know.'
        )
    found = channel_state.presence(client, tenancy.to_wire(channel), conf.current().timeout)
    own = own_subject(tenancy.current()) if tenancy.are_used() else str
    return [
        Present(name, own(one["user"]), one.get("info"))
        for name, one in found.items()
        if own(one["user"]) != LISTENER  # a process of the project's own
    ]


async def apresent(channel: str) -> list[Present]:
    """See present()."""
    return await sync_to_async(present)(channel)


async def watch(channel: str, *, every: float = 5.0) -> AsyncIterator[Change]:
    """
    Yield who comes and who goes, for ever.

    ``async for change in watch("room:1"): …``. Those who are there already come first. The server
    tells nobody of a disconnect, so it is asked ``every`` so many seconds: whoever comes and goes
    in between isn't seen, and a connection that breaks without a word is gone when the server has
    missed its pong, or its entry has expired (``docs/listening.md``). While the server can't be
    asked nobody is said to have left.
    """
    known: Mapping[str, Present] = {}
    told = False
    while True:
        try:
            now = {one.client: one for one in await apresent(channel)}
        except PublishError as exc:
            if not told:
                logger.warning("Nobody knows who is in %s: %s. Asking again …", channel, exc)
            told = True
        else:
            told = False
            for name, one in known.items():
                if name not in now:
                    yield Change("left", one)
            for name, one in now.items():
                if name not in known:
                    yield Change("joined", one)
            known = now
        await asyncio.sleep(every)
