"""WebSocket connections: aiohttp's handshake and parser, our own frames on the way out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from aiohttp import WSMsgType, web

from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    INAPPROPRIATE_PROTOCOL,
    SLOW,
    Disconnect,
    Malformed,
)
from instant.embedded.json_text import Fields
from instant.embedded.session.application import ProxyReply, ProxyRequest
from instant.embedded.session.handlers import new_session
from instant.embedded.session.session import Session
from instant.embedded.tokens.jwks import MissingKey
from instant.embedded.wire_forms import Form

if TYPE_CHECKING:
    from instant.embedded.server import EmbeddedServer

log = logging.getLogger("instant.embedded")

# How long a closing handshake may take.
CLOSE_WAIT = 5.0
# One-way clients are pinged with frames too, also where the protocol's own pings are off.
HEARTBEAT = 25.0
_PROTOCOLS = frozenset(("centrifuge-json", "centrifuge-protobuf"))

Socket: TypeAlias = web.WebSocketResponse


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

    def ask(self, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        """Ask the application in a task of its own."""
        self.server.spawn(self._ask(request, then))

    async def _ask(self, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        then(await self.server.proxy_client.ask(request))
        self.resumed()

    def fetch_key(self, key: MissingKey, then: Callable[[], None]) -> None:
        """Fetch a key in a task of its own."""
        self.server.spawn(self._fetch_key(key, then))

    async def _fetch_key(self, key: MissingKey, then: Callable[[], None]) -> None:
        await self.server.proxy_client.fetch_key(key)
        then()
        self.resumed()

    def resumed(self) -> None:
        """Take note that the session may have gone on after an answer."""

    def flush(self) -> None:
        """Write what is queued."""
        raise NotImplementedError

    def seal(self) -> None:
        """Set what is queued aside, to be written when the journal has caught up with it."""
        raise NotImplementedError

    def release(self) -> None:
        """Write what was set aside."""
        raise NotImplementedError


class WebSocketConnection(Connection):
    """One WebSocket: reads with aiohttp, writes frames that are already made to the transport."""

    form = Form.WEBSOCKET
    kind = "websocket"

    def __init__(self, server: EmbeddedServer, request: web.Request, socket: Socket) -> None:
        super().__init__(server)
        self._request = request
        self._queue: list[bytes] = []
        self._sealed: list[bytes] = []
        self._resumed = asyncio.Event()
        self._limit = server.config.queue_max_size
        self.socket = socket
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._aborting: asyncio.TimerHandle | None = None

    def send(self, data: bytes) -> None:
        """Queue a frame; it is written in the loop's next turn."""
        if not self._queue:
            self.server.flusher.mark(self)
        self._queue.append(data)

    def flush(self) -> None:
        """Write the queue in one call; who doesn't read what was written before is sent away."""
        self._write(self._queue)

    def seal(self) -> None:
        """Set the queue aside."""
        self._sealed += self._queue
        self._queue.clear()

    def release(self) -> None:
        """Write what was set aside."""
        self._write(self._sealed)

    def _write(self, queue: list[bytes]) -> None:
        transport = self._transport
        if not queue or transport is None:
            return
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        queue.clear()
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
        if disconnect is not SLOW and self.server.history_writer is None:
            self.flush()
        self.server.spawn(self._close(disconnect))

    async def _close(self, disconnect: Disconnect) -> None:
        if disconnect is not SLOW and self.server.history_writer is not None:
            await self.server.history_writer.written()
            self.release()
            self.flush()
        patience = self.server.config.write_timeout if disconnect is SLOW else CLOSE_WAIT
        transport = self._transport
        if transport is not None:
            # What is written before the close must arrive, but not for ever.
            self._aborting = self.loop.call_later(patience, transport.abort)
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close(
                code=disconnect.code, message=disconnect.reason.encode(), drain=False
            )
        self._forget_transport()

    def resumed(self) -> None:
        """Go on reading."""
        self._resumed.set()

    async def run(self) -> web.StreamResponse:
        """Serve the connection until it ends."""
        await self.socket.prepare(self._request)
        self._transport = self._request.transport
        self.session = new_session(
            self.server.broker,
            self,
            form=self.form,
            transport=self.kind,
            headers=self.server.headers_of(self._request),
            user=self.server.user_of(self._request),
        )
        self.server.sockets.add(self)
        try:
            await self._listen()
        finally:
            self.server.sockets.discard(self)
            self.session.disconnected()
            self._queue.clear()
            self._sealed.clear()
        return self.socket

    def _forget_transport(self) -> None:
        """Let go of a transport that has nothing left to write."""
        transport = self._transport
        if self._aborting is not None and (
            transport is None or not transport.get_write_buffer_size()
        ):
            self._aborting.cancel()

    async def read(self) -> str | None:
        """Return the client's next message, None where there is no more."""
        message = await self.socket.receive()
        if message.type is WSMsgType.TEXT:
            return cast("str", message.data)
        if message.type is WSMsgType.BINARY:
            return cast("bytes", message.data).decode("utf-8", "replace")
        return None

    async def _listen(self) -> None:
        session = self.session
        while (text := await self.read()) is not None:
            session.receive(text)
            while session.busy and not session.closed:
                # The client's next frames wait where they cost nothing: in its own socket.
                self._resumed.clear()
                await self._resumed.wait()


class OneWayWebSocketConnection(WebSocketConnection):
    """A WebSocket that carries pushes only; the client says one thing, which is its connect."""

    form = Form.BARE_WEBSOCKET
    kind = "uni_websocket"

    async def _listen(self) -> None:
        self.session.pushes_disconnect = self.server.config.uni_websocket_push
        text = self._request.query.get("cf_connect") or await self.read()
        if text is None:
            return
        try:
            connect = Fields("{}" if text.strip() == "null" else text)
        except Malformed:
            self.close(BAD_REQUEST_CLOSE)
        else:
            self.session.connect_one_way(connect)
        while await self.read() is not None:
            pass


def _socket(request: web.Request, limit: int, heartbeat: float | None = None) -> Socket:
    """Make the aiohttp side; a client may ask for a subprotocol, and then it needs one."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    known = tuple(name for name in map(str.strip, offered.split(",")) if name in _PROTOCOLS)
    return web.WebSocketResponse(
        timeout=CLOSE_WAIT,
        autoping=True,
        compress=False,
        heartbeat=heartbeat,
        max_msg_size=limit,
        protocols=known,
    )


def _refused(server: EmbeddedServer, request: web.Request) -> web.Response | None:
    """Answer what is no handshake of ours: 403 for a foreign origin, 400 for none at all."""
    if not server.config.origins.allow(request.headers.get("Origin")):
        return web.Response(status=403, text="Forbidden\n")
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade != "websocket" or request.method != "GET":
        return web.Response(status=400, text="Bad Request\n")
    return None


async def serve_websocket(server: EmbeddedServer, request: web.Request) -> web.StreamResponse:
    """Answer a WebSocket handshake; who asks for the binary protocol is sent away with 3506."""
    refused = _refused(server, request)
    if refused is not None:
        return refused
    socket = _socket(request, server.config.websocket_limit)
    try:
        if not _binary(request):
            return await WebSocketConnection(server, request, socket).run()
        await socket.prepare(request)
    except web.HTTPBadRequest:
        return web.Response(status=400, text="Bad Request\n")
    log.warning("refusing a client that asks for protobuf, which only Centrifugo speaks")
    why = INAPPROPRIATE_PROTOCOL
    with contextlib.suppress(ConnectionError, RuntimeError):
        await socket.close(code=why.code, message=why.reason.encode())
    return socket


def _binary(request: web.Request) -> bool:
    """Tell whether a client asks for the binary protocol."""
    asked = (request.query.get(name) for name in ("cf_protocol", "format"))
    if "protobuf" in asked:
        return True
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    names = [name for name in map(str.strip, offered) if name in _PROTOCOLS]
    return names[:1] == ["centrifuge-protobuf"]


async def serve_uni_websocket(server: EmbeddedServer, request: web.Request) -> web.StreamResponse:
    """Answer the handshake of a one-way connection."""
    refused = _refused(server, request)
    if refused is not None:
        return refused
    config = server.config
    socket = _socket(request, config.uni_websocket_limit, config.ping_interval or HEARTBEAT)
    try:
        asked = request.query.get("cf_connect")
        if asked:
            Fields("{}" if asked.strip() == "null" else asked)
        return await OneWayWebSocketConnection(server, request, socket).run()
    except Malformed:
        return web.Response(status=400, text="invalid connect request\n")
    except web.HTTPBadRequest:
        return web.Response(status=400, text="Bad Request\n")
