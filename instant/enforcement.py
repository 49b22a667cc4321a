"""Ask again for everybody who is in a channel: for rights that end without a signal."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS

from instant.channels.names import check_name
from instant.namespaces import row_namespaces
from instant.revoking.affected import Affected
from instant.revoking.run import revoke

__all__ = ["arecheck", "recheck"]


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
    revoke(Affected(channels=channels), using=using)


async def arecheck(channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """See recheck()."""
    await sync_to_async(recheck)(channel, using=using)
