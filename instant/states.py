"""The states of channels for views that answer with JSON; for HTML there is a template tag."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.utils.asyncio import async_unsafe

from instant.pages.embedding import states_or_nothing
from instant.pages.state import State

__all__ = ["State", "astates", "states"]


@async_unsafe("states() would hold up the event loop of this thread. Use “await astates(…)”.")
def states(user: Any, *channels: str) -> dict[str, State]:
    """
    Return ``{channel: {"data", "offset", "epoch"}}`` for those to which the user may subscribe.

    ``data`` is what the namespace's snapshot() returns; what is published after the position
    ``offset`` and ``epoch`` changes it. Left out is what is refused, what has no snapshot(), and
    what can't be told now: the page's script asks for it. The answer is the user's own: keep it
    out of shared caches.
    """
    return states_or_nothing(user, channels, why_asked="An answer")


async def astates(user: Any, *channels: str) -> dict[str, State]:
    """See states()."""
    return await sync_to_async(states)(user, *channels)
