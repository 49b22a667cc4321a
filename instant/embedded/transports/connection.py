"""What all connections have in common: a session, its clock, and requests to the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from instant.embedded.config.load import Config
from instant.embedded.errors import Disconnect
from instant.embedded.proxy_client import ProxyClient
from instant.embedded.session.application import ProxyReply, ProxyRequest
from instant.embedded.session.handlers import new_session
from instant.embedded.session.session import Session
from instant.embedded.state.broker import Broker
from instant.embedded.tokens.jwks import MissingKey
from instant.embedded.wire_forms import Form

from .write_queue import WriteQueue

if TYPE_CHECKING:
    # It imports SQLite, which takes a while, and most servers have no history file.
    from instant.embedded.state.history_writer import HistoryWriter

# Seconds that a client may take to read what was queued when its connection was closed.
CLOSE_WAIT = 5.0


class Server(Protocol):
    """What connections need of their server."""

    broker: Broker
    config: Config
    history_writer: HistoryWriter | None
    loop: asyncio.AbstractEventLoop
    proxy_client: ProxyClient
    write_queue: WriteQueue

    def headers_of(self, request: web.Request) -> dict[str, list[str]]:
        """Return the headers of a client's request that a proxy may want."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task that the server keeps alive."""

    def user_of(self, request: web.Request) -> str:
        """Return the user that a reverse proxy vouches for, "" if there is none."""


class Connection:
    """The Peer of a session (see `session/peer.py`), as far as transports agree."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop = server.loop
        self.session: Session
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def send(self, data: bytes) -> None:
        """Queue bytes that are framed already."""
        raise NotImplementedError

    def close(self, disconnect: Disconnect) -> None:
        """Write what is queued, then end the connection."""
        raise NotImplementedError

    def begin(self, request: web.Request, form: Form, transport: str) -> Session:
        """Make the session."""
        self.session = new_session(
            self.server.broker,
            self,
            form=form,
            transport=transport,
            headers=self.server.headers_of(request),
            user=self.server.user_of(request),
        )
        return self.session

    def wake(self, at: float | None) -> None:
        """Call the session's `tick` at a moment of the monotonic clock, None for never."""
        if self._timer is not None:
            if at == self._timer_at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer_at = at
            self._timer = self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.session.tick()

    def ask(self, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        """Ask the application in a task of its own."""
        self.server.spawn(self._ask(request, then))

    async def _ask(self, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        then(await self.server.proxy_client.ask(request))
        self.resume()

    def fetch_key(self, key: MissingKey, then: Callable[[], None]) -> None:
        """Fetch a key in a task of its own."""
        self.server.spawn(self._fetch_key(key, then))

    async def _fetch_key(self, key: MissingKey, then: Callable[[], None]) -> None:
        await self.server.proxy_client.fetch_key(key)
        then()
        self.resume()

    def pause(self, then: Callable[[], None]) -> None:
        """Write what is queued, let others have their turn, and call `then`."""
        writer = self.server.history_writer
        writing = writer.unwritten() if writer is not None else None
        if writing is None:
            self.loop.call_soon(self._unpause, then)
        else:
            # Until then nothing is written that may tell of it.
            writing.add_done_callback(lambda _: self.loop.call_soon(self._unpause, then))

    def _unpause(self, then: Callable[[], None]) -> None:
        then()
        self.resume()

    def resume(self) -> None:
        """Read on; the session may not be busy any more."""
        raise NotImplementedError
