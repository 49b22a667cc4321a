"""WebSocket connections: aiohttp's handshake and parser, our own frames on the way out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from .errors import SLOW, Disconnect
from .session import Session, Then

if TYPE_CHECKING:
    from .questions import Question
    from .server import EmbeddedServer

log = logging.getLogger("instant.embedded")

# Connections written to before the event loop looks at anything else: a fan-out to thousands does
# not keep a publisher waiting for its answer.
FLUSH_BATCH = 128
# How long a closing handshake may take.
CLOSE_WAIT = 5.0


class Flusher:
    """Writes what connections have queued, once per turn of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: deque[Connection] = deque()
        self._scheduled = False

    def mark(self, connection: Connection) -> None:
        """Have the connection's queue written soon."""
        self._dirty.append(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        dirty = self._dirty
        for _ in range(min(len(dirty), FLUSH_BATCH)):
            dirty.popleft().flush()
        if dirty:
            self._loop.call_soon(self._run)
        else:
            self._scheduled = False


class Connection:
    """What every kind of connection has: a session, a clock and a way to ask the application."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self.loop = server.loop
        self.session: Session
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def wake(self, at: float | None) -> None:
        """Call the session's `tick` at a moment of the monotonic clock."""
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

    def ask(self, question: Question, then: Then) -> None:
        """Ask the application in a task of its own."""
        self.server.spawn(self._ask(question, then))

    async def _ask(self, question: Question, then: Then) -> None:
        then(await self.server.proxies.ask(question))
        self.resumed()

    def resumed(self) -> None:
        """Take note that the session may have gone on after an answer."""

    def flush(self) -> None:
        """Write what is queued."""
        raise NotImplementedError


class WebSocketConnection(Connection):
    """One WebSocket: reads with aiohttp, writes frames that are already made to the transport."""

    def __init__(self, server: EmbeddedServer, request: web.Request) -> None:
        super().__init__(server)
        self._request = request
        self._queue: list[bytes] = []
        self._queued = 0
        self._resumed = asyncio.Event()
        self._limit = server.config.queue_max_size
        self.socket = web.WebSocketResponse(
            timeout=CLOSE_WAIT,
            autoping=True,
            compress=False,
            max_msg_size=server.config.websocket_limit,
            protocols=("centrifuge-json",),
        )
        self._transport: asyncio.Transport | None = None
        self._closing = False

    def send(self, data: bytes) -> None:
        """Queue a frame; it is written in the loop's next turn."""
        if not self._queue:
            self.server.flusher.mark(self)
        self._queue.append(data)
        self._queued += len(data)

    def flush(self) -> None:
        """Write the queue in one call; who doesn't read what was written before is sent away."""
        queue, transport = self._queue, self._transport
        if not queue or transport is None:
            return
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        queue.clear()
        self._queued = 0
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(data) > max(self._limit, len(data)):
            self.session.close(SLOW)
            return
        transport.write(data)

    def close(self, disconnect: Disconnect) -> None:
        """Write what is queued and close; a slow client gets no more than a moment for it."""
        if self._closing:
            return
        self._closing = True
        self._resumed.set()
        if disconnect is not SLOW:
            self.flush()
        self.server.spawn(self._close(disconnect))

    async def _close(self, disconnect: Disconnect) -> None:
        patience = self.server.config.write_timeout if disconnect is SLOW else CLOSE_WAIT
        transport = self._transport
        if transport is not None:
            # What is written before the close must arrive, but not for ever.
            self.loop.call_later(patience, transport.abort)
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close(
                code=disconnect.code, message=disconnect.reason.encode(), drain=False
            )

    def resumed(self) -> None:
        """Go on reading."""
        self._resumed.set()

    async def run(self) -> web.StreamResponse:
        """Serve the connection until it ends."""
        await self.socket.prepare(self._request)
        self._transport = self._request.transport
        self.session = Session(
            self.server.broker,
            self,
            headers=self.server.headers_of(self._request),
        )
        session = self.session
        self.server.sockets.add(self)
        try:
            while True:
                message = await self.socket.receive()
                if message.type is WSMsgType.TEXT:
                    session.receive(message.data)
                elif message.type is WSMsgType.BINARY:
                    session.receive(message.data.decode("utf-8", "replace"))
                else:
                    break
                while session.busy and not session.closed:
                    # The client's next frames wait where they cost nothing: in its own socket.
                    self._resumed.clear()
                    await self._resumed.wait()
        finally:
            self.server.sockets.discard(self)
            session.lost()
            self._queue.clear()
        return self.socket


async def serve_websocket(server: EmbeddedServer, request: web.Request) -> web.StreamResponse:
    """Answer a WebSocket handshake: 403 for a foreign origin, 400 for no handshake at all."""
    if not server.config.origins.allow(request.headers.get("Origin")):
        return web.Response(status=403, text="Forbidden\n")
    if not web.WebSocketResponse().can_prepare(request):
        return web.Response(status=400, text="Bad Request\n")
    limit = server.config.connection_limit
    if limit and len(server.sockets) >= limit:
        return web.Response(status=503)
    return await WebSocketConnection(server, request).run()
