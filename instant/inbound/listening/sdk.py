"""What we need of centrifuge-python, which is an extra: the package, and its events."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from instant.exceptions import InstantConfigError, ServerRefused

__all__ = ["ClientEvents", "Receiver", "SubscriptionEvents", "centrifuge"]

logger = logging.getLogger("instant.listening")


class Receiver(Protocol):
    """Whoever gets what happens to the subscriptions."""

    def subscribed(self, name: str, position: Any) -> None:
        """Note that a channel is subscribed to, with a position where it has any."""

    async def take(self, name: str, data: Any, offset: int) -> None:
        """Take a publication that has come."""

    async def ended(self, name: str, code: int, reason: str) -> None:
        """Note that the server has ended a subscription for good."""


def centrifuge() -> Any:
    """Return centrifuge-python; raise InstantConfigError where it isn't installed."""
    try:
        import centrifuge as found  # type: ignore[import-untyped]  # noqa: PLC0415  an extra
    except ImportError:
        raise InstantConfigError(
            "Listening needs centrifuge-python: pip install 'django-instant[listen]'."
        ) from None
    return found


class ClientEvents:
    """The SDK's events of a connection; it calls them by name."""

    def __init__(self, fail: Any) -> None:
        self._fail = fail
        self._told = ""

    async def on_connected(self, _ctx: Any) -> None:
        """See the SDK."""
        self._told = ""

    async def on_disconnected(self, ctx: Any) -> None:
        """See the SDK."""
        if ctx.code:
            text = f"The server ended the connection ({ctx.code} {ctx.reason})."
            await self._fail(ServerRefused(text, code=ctx.code))

    async def on_error(self, ctx: Any) -> None:
        """See the SDK."""
        if str(ctx.error) != self._told:  # once for each time the server is away
            self._told = str(ctx.error)
            logger.warning("Listening: %s. Connecting again …", ctx.error)

    async def _nothing(self, _ctx: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):
            return self._nothing
        raise AttributeError(name)


class SubscriptionEvents(ClientEvents):
    """The same of a subscription."""

    def __init__(self, receiver: Receiver, name: str) -> None:
        super().__init__(None)
        self._receiver, self._name = receiver, name

    async def on_subscribed(self, ctx: Any) -> None:
        """See the SDK."""
        self._receiver.subscribed(self._name, ctx.stream_position)

    async def on_publication(self, ctx: Any) -> None:
        """See the SDK."""
        await self._receiver.take(self._name, ctx.pub.data, ctx.pub.offset or 0)

    async def on_unsubscribed(self, ctx: Any) -> None:
        """See the SDK."""
        await self._receiver.ended(self._name, ctx.code, ctx.reason)

    async def on_error(self, ctx: Any) -> None:
        """See the SDK."""
        logger.warning("Listening to %s: %s", self._name, ctx.error)

    async def on_disconnected(self, _ctx: Any) -> None:
        """See the SDK."""
