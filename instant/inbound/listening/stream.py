"""
Messages of some channels over one connection, in order, with what was missed in between.

The connection is centrifuge-python's. Where it was away for longer than the server replays by
itself, or begins at a stored position, what is missing is read from the history by the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from asgiref.sync import sync_to_async

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.centrifugo.api.client import Client
from instant.channels.names import check_name
from instant.exceptions import InstantConfigError, PublishError, PublishTimeout, ServerRefused
from instant.inbound.listening.message import Message
from instant.inbound.listening.sdk import ClientEvents, SubscriptionEvents, centrifuge
from instant.inbound.reserved import is_whisper
from instant.rights.accounts import Listener
from instant.rights.tokens import Signer
from instant.tenancy import current as tenancy

__all__ = ["Position", "Stream", "listen"]

logger = logging.getLogger("instant.listening")

Position = tuple[int, str]
"""Offset and epoch."""

_PAGE = 500
"""Publications that are read from a history at once."""

_WAITING = 100
"""Messages that wait for whoever iterates; more wait in the server."""

_LEAST = 5.0
"""Seconds that the server may take for a command at least; ``INSTANT["TIMEOUT"]`` where more."""

_NO_HISTORY = 108
"""Error “not available”: the namespace keeps no history."""


async def listen(*channels: str) -> AsyncIterator[Message]:
    """
    Yield what is published to the channels from now on, for ever.

    ``async for message in instant.listen("order:42"): …``. No right is asked: it is the project's
    own code that listens. Where the connection breaks it is opened again, and what was published
    meanwhile comes first, as far as the channel keeps it; ``message.after_gap`` tells where it
    doesn't. Needs the extra ``django-instant[listen]``. Raises ValueError for bad names, and
    PublishError where the server refuses a channel.
    """
    if not channels:
        raise ValueError("listen() needs the name of a channel.")
    stream = Stream(channels)
    try:
        async for message in stream:
            yield message
    finally:
        await stream.close()


class Stream:
    """Messages of channels, from positions on where they are given, else from now on."""

    def __init__(
        self,
        channels: Iterable[str],
        positions: Mapping[str, Position] | None = None,
        *,
        tenant: str | None = None,
    ) -> None:
        self._channels = list(dict.fromkeys(channels))
        for name in self._channels:
            check_name(name)
        self._positions = dict(positions or {})
        self._tenant = tenant
        self._gaps: set[str] = set()
        self._queue: asyncio.Queue[Message | Exception] = asyncio.Queue(_WAITING)
        self._client: Any = None

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Message:
        await self.open()
        found = await self._queue.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def open(self) -> None:
        """
        Connect and subscribe, unless that was done; the connection is kept up from then on.

        Whatever is published after it has returned is received. Raises PublishError.
        """
        if self._client is not None:
            return
        sdk = centrifuge()
        if self._tenant is None:
            self._tenant = await tenancy.acurrent()
        self._client = sdk.Client(
            conf.current().websocket_address,
            get_token=self._connection_token,
            events=ClientEvents(self._fail),
            name="instant.listen",
            timeout=max(_LEAST, conf.current().timeout),
            proxy=None,
        )
        newest = [await self._newest_if_any(name) for name in self._channels]
        await self._client.connect()
        for name, position in zip(self._channels, newest, strict=True):
            subscription = self._client.new_subscription(
                self._on_wire(name),
                events=SubscriptionEvents(self, name),
                get_token=self._channel_token(name),
                get_state=None if position is None else self._state_of(name),
            )
            await subscription.subscribe()
            if position is None:
                await self._ready(subscription, name)  # what is published before is lost
            else:
                self._positions.setdefault(name, position)

    async def _ready(self, subscription: Any, name: str) -> None:
        try:
            await subscription.ready()
        except centrifuge().OperationTimeoutError:
            raise PublishTimeout(
                f"The server did not subscribe us to {name!r} in time.", channel=name
            ) from None

    async def close(self) -> None:
        """Leave; what waits is dropped."""
        if self._client is None:
            return
        client, self._client = self._client, None
        before = asyncio.all_tasks()
        with contextlib.suppress(Exception):
            await client.disconnect()
        while not self._queue.empty():  # so that nothing of the SDK's waits to put another in
            self._queue.get_nowait()
        # It closes the connection in a task of its own.
        if closing := asyncio.all_tasks() - before:
            await asyncio.wait(closing, timeout=_LEAST)

    @property
    def positions(self) -> dict[str, Position]:
        """How far each channel has been handed out or waits to be."""
        return dict(self._positions)

    async def _connection_token(self) -> str:
        return await sync_to_async(_token)(None, self._tenant or "")

    def _channel_token(self, name: str) -> Any:
        async def token(_on_wire: str) -> str:
            return await sync_to_async(_token)(name, self._tenant or "")

        return token

    def _on_wire(self, name: str) -> str:
        return str(tenancy.on_wire([name], self._tenant)[0]) if self._tenant else name

    async def _newest_if_any(self, name: str) -> Position | None:
        """Return the position of the newest message; None where the channel keeps none."""
        try:
            return await self._newest(name)
        except ServerRefused as exc:
            if exc.code == _NO_HISTORY:
                return None
            raise

    async def _newest(self, name: str) -> Position:
        client, timeout = _api()
        [found] = await sync_to_async(channel_state.positions, thread_sensitive=False)(
            client, [self._on_wire(name)], timeout
        )
        if isinstance(found, PublishError):
            raise found
        return found["offset"], found["epoch"]

    def _state_of(self, name: str) -> Any:
        """Return what the SDK asks where it has no position that the server can go on from."""

        async def state(_channel: str) -> Any:
            offset, epoch = await self._caught_up(name)
            return centrifuge().StreamPosition(offset=offset, epoch=epoch)

        return state

    async def _caught_up(self, name: str) -> Position:
        """Hand out what the history has behind our position; return the one to go on from."""
        client, timeout = _api()
        while True:
            since = self._positions[name]
            try:
                page = await sync_to_async(channel_state.history, thread_sensitive=False)(
                    client, self._on_wire(name), timeout, limit=_PAGE, since=since
                )
            except channel_state.PositionGone:
                # Another history: all that it has came after ours.
                self._note_gap(name)
                offset, epoch = await self._newest(name)
                self._positions[name] = (await self._before_oldest(name, offset), epoch)
                continue
            for publication in page["publications"]:
                await self.take(name, publication["data"], publication["offset"])
            if not page["publications"] and page["offset"] > since[0]:
                self._note_gap(name)  # nothing of what came is left
                self._positions[name] = (page["offset"], page["epoch"])
            if len(page["publications"]) < _PAGE:
                return self._positions[name]

    async def _before_oldest(self, name: str, newest: int) -> int:
        client, timeout = _api()
        found = await sync_to_async(channel_state.history, thread_sensitive=False)(
            client, self._on_wire(name), timeout, limit=1
        )
        oldest = found["publications"]
        return int(oldest[0]["offset"]) - 1 if oldest else newest

    def _note_gap(self, name: str) -> None:
        logger.warning("%s: messages are lost, the server no longer has them.", name)
        self._gaps.add(name)

    async def take(self, name: str, data: Any, offset: int) -> None:
        """Queue a publication; one that is known already is dropped, and what pages whisper."""
        if not offset and is_whisper(data):
            return
        position = self._positions.get(name)
        if offset and position is not None:
            if offset <= position[0]:
                return
            if offset > position[0] + 1:
                self._note_gap(name)
            self._positions[name] = (offset, position[1])
        gap = name in self._gaps
        self._gaps.discard(name)
        epoch = self._positions[name][1] if offset and position is not None else ""
        await self._queue.put(
            Message(
                channel=name,
                payload=data,
                offset=offset or None,
                epoch=epoch,
                after_gap=gap,
                tenant=self._tenant or "",
            )
        )

    def subscribed(self, name: str, position: Any) -> None:
        """Note where a channel begins whose history is another one now."""
        known = self._positions.get(name)
        if position is not None and known is not None and known[1] != position.epoch:
            self._positions[name] = (position.offset, position.epoch)

    async def _fail(self, exc: Exception) -> None:
        await self._queue.put(exc)

    async def ended(self, name: str, code: int, reason: str) -> None:
        """Tell whoever iterates that the server has ended a subscription for good."""
        if self._client is not None:
            await self._fail(
                ServerRefused(
                    f"The server ended the subscription to {name!r} ({code} {reason}).",
                    channel=name,
                    code=code,
                )
            )


def _api() -> tuple[Client, float]:
    client = get_backend().client()
    if client is None:
        raise InstantConfigError(
            'Nothing is published to a server here: INSTANT["BACKEND"] has none to listen to.'
        )
    return client, conf.current().timeout


def _token(name: str | None, tenant: str) -> str:
    signer = Signer(Listener(), tenant=tenant)
    return (signer.connection_token() if name is None else signer.channel_token(name)).value
