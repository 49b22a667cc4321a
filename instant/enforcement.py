"""Ask again for rights that end without a signal: of everybody in a channel, or of one user."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS
from django.utils.asyncio import async_unsafe

from instant.channels.names import check_name
from instant.namespaces import row_namespaces
from instant.revoking import run
from instant.revoking.affected import Affected

__all__ = ["arecheck", "arevoke", "recheck", "revoke"]

_WOULD_BLOCK = (
    "{0}() asks database and server, which would hold up the event loop of this thread. "
    "Use “await a{0}(…)”."
)


@async_unsafe(_WOULD_BLOCK.format("recheck"))
def recheck(channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """
    Ask again for everybody who is in the channel, after the commit of ``using``.

    ``order:*`` stands for every channel of a namespace that is in use. Raises
    InvalidChannelName for what no channel can be named.
    """
    check_name(f"{channel[:-1]}x" if channel.endswith(":*") else channel)
    channels = {channel}
    if channel.removesuffix(":*") in row_namespaces():
        channels.add(f"${channel}")
    run.revoke(Affected(channels=channels), using=using)


async def arecheck(channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """See recheck()."""
    await sync_to_async(recheck)(channel, using=using)


@async_unsafe(_WOULD_BLOCK.format("revoke"))
def revoke(user: Any, channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """
    Ask again whether one user may subscribe to the channel, after the commit of ``using``.

    Who may not is unsubscribed; nobody else is asked for, however many are in the channel. The
    user is an instance or a primary key, None stands for anonymous visitors. Raises
    InvalidChannelName for what no channel can be named, also for ``order:*``.
    """
    check_name(channel)
    if user is None or (hasattr(user, "is_authenticated") and not user.is_authenticated):
        sub = ""
    else:
        sub = str(getattr(user, "pk", user))
    run.revoke(Affected(subscriptions={sub: {channel}}), using=using)


async def arevoke(user: Any, channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """See revoke()."""
    await sync_to_async(revoke)(user, channel, using=using)
