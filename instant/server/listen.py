"""Listen to a channel as a user's page would: the work of ``manage.py listen``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from asgiref.sync import sync_to_async

from instant import permissions
from instant.centrifugo.subscriber import Ended, ListenError, Subscription, publications
from instant.conf import current
from instant.rights.refusals import refusals
from instant.rights.tokens import Signer
from instant.tenancy import current as tenancy

__all__ = ["ListenError", "listen", "subscription"]

_PAUSE = 1.0
"""Seconds before connecting again."""


def subscription(user: Any, channel: str, tenant: str = "") -> Subscription:
    """
    Ask whether the user of a tenant may subscribe, and sign what a page of theirs would be given.

    Raises ListenError, which says why the user may not, and InstantConfigError.
    """
    with tenancy.activate(tenant):
        return _subscription(user, channel)


def _subscription(user: Any, channel: str) -> Subscription:
    conf = current()
    if not conf.anonymous and not permissions.is_known(user):
        raise ListenError('INSTANT["ANONYMOUS"] is False: name a user.')
    granted = permissions.grants(user, [channel])
    if not granted:
        raise ListenError(str(refusals(user, [channel])[channel]))
    [grant] = granted
    signer = Signer(user)
    token = ""
    if grant.by_token:
        signed = signer.channel_token(channel, info=grant.info, pushes_joins=grant.sees_joins)
        token = signed.value
    return Subscription(
        conf.websocket_address,
        tenancy.to_wire(channel),
        signer.connection_token().value,
        channel_token=token,
    )


async def listen(
    user: Any, channel: str, told: Callable[[str], None], tenant: str = ""
) -> AsyncIterator[Any]:
    """
    Yield the data of each publication, for ever; the user and the channel are the tenant's.

    Where the connection ends, the rule is asked again and another one is opened. ``told`` is
    called with a sentence when that happens, and when the subscription stands. Raises
    ListenError where the user may not, or where no server answers in the beginning.
    """
    before: Subscription | None = None
    last = ""
    while True:
        now = await sync_to_async(subscription)(user, channel, tenant)
        stood = before is not None
        if before is not None:
            now.offset, now.epoch = before.offset, before.epoch

        def subscribed(at: str = now.url) -> None:
            nonlocal stood
            stood = True
            told(f"Listening to {channel!r} at {at}. Ctrl-C ends it.")

        try:
            async for data in publications(now, subscribed):
                yield data
        except Ended as exc:
            if not stood:
                raise ListenError(f"{exc}.") from exc
            told(f"{exc}. Connecting again …")
        except ListenError as exc:
            if before is None or exc.__cause__ is None:  # the server refuses, or never answered
                raise
            if str(exc) != last:
                told(str(exc))
            last = str(exc)
        before = now
        await asyncio.sleep(_PAUSE)
