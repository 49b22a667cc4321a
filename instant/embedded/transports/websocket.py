"""WebSocket connections: aiohttp reads, and frames that are made once are written past it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol, TypeAlias, cast

from aiohttp import WSMsgType, web

from instant.embedded.errors import (
    BAD_REQUEST_CLOSE,
    INAPPROPRIATE_PROTOCOL,
    SLOW,
    Disconnect,
    Malformed,
)
from instant.embedded.json_text import Fields
from instant.embedded.wire_forms import Form

from .connection import CLOSE_WAIT, Connection, Server
from .refused_origins import log_once

log = logging.getLogger("instant.embedded")

# Seconds between ping frames to one-way clients, if the pings of the client protocol are off.
HEARTBEAT = 25.0
_PROTOCOLS = frozenset(("centrifuge-json", "centrifuge-protobuf"))

Socket: TypeAlias = web.WebSocketResponse


class WebSocketServer(Server, Protocol):
    """What WebSockets need of their server."""

    websockets: set[WebSocketConnection]


class WebSocketConnection(Connection):
    """One WebSocket. Frames that are made already are written to the transport, past aiohttp."""

    form = Form.WEBSOCKET
    kind = "websocket"

    server: WebSocketServer

    def __init__(self, server: WebSocketServer, request: web.Request, socket: Socket) -> None:
        super().__init__(server)
        self._request = request
        self._queue: list[bytes] = []
        self._held: list[bytes] = []
        self._resumed = asyncio.Event()
        self._limit = server.config.queue_max_size
        self.socket = socket
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._aborting: asyncio.TimerHandle | None = None

    def send(self, data: bytes) -> None:
        """Queue a frame; it is written in the loop's next turn."""
        if not self._queue:
            self.server.write_queue.add(self)
        self._queue.append(data)

    def flush(self) -> None:
        """Write the queue in one call; a client that doesn't read what it is sent is closed."""
        self._write(self._queue)

    def hold(self) -> None:
        """Set the queue aside."""
        self._held += self._queue
        self._queue.clear()

    def flush_held(self) -> None:
        """Write what was set aside."""
        self._write(self._held)

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
        """Write what is queued and close; a slow client has only a moment to read it."""
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
            self.flush_held()
            self.flush()
        patience = self.server.config.write_timeout if disconnect is SLOW else CLOSE_WAIT
        transport = self._transport
        if transport is not None:
            # What was written before the close must arrive, but not for ever.
            self._aborting = self.loop.call_later(patience, transport.abort)
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close(
                code=disconnect.code, message=disconnect.reason.encode(), drain=False
            )
        self._keep_transport()

    def resume(self) -> None:
        """Read on; the session may not be busy any more."""
        self._resumed.set()

    async def run(self) -> web.StreamResponse:
        """Serve the connection until it ends."""
        await self.socket.prepare(self._request)
        self._transport = self._request.transport
        self.begin(self._request, self.form, self.kind)
        self.server.websockets.add(self)
        try:
            await self._listen()
        finally:
            self.server.websockets.discard(self)
            self.session.disconnected()
            self._queue.clear()
            self._held.clear()
        return self.socket

    def _keep_transport(self) -> None:
        """Don't abort a transport that has nothing left to write."""
        transport = self._transport
        if self._aborting is not None and (
            transport is None or not transport.get_write_buffer_size()
        ):
            self._aborting.cancel()

    async def read(self) -> str | None:
        """Return the client's next message, None if there are no more."""
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
                # Frames that aren't read wait in the client's own socket, where they cost nothing.
                self._resumed.clear()
                await self._resumed.wait()


class OneWayWebSocketConnection(WebSocketConnection):
    """A WebSocket that carries pushes only; the client sends nothing but its connect request."""

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
    """Make aiohttp's side; a client that offers subprotocols expects the server to choose one."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    known = tuple(name for name in map(str.strip, offered.split(",")) if name in _PROTOCOLS)
    return web.WebSocketResponse(
        timeout=CLOSE_WAIT,
        autoping=True,
        compress=False,
        heartbeat=heartbeat,
        # aiohttp refuses a message as long as its limit, and 0 means no limit to it.
        max_msg_size=limit + 1 if limit > 0 else 0,
        protocols=known,
    )


def _refused(server: WebSocketServer, request: web.Request) -> web.Response | None:
    """Refuse what can't become a WebSocket: 403 for its origin, 400 if it isn't a handshake."""
    origin = request.headers.get("Origin")
    if not server.config.origins.allow(origin):
        log_once(origin or "")
        return web.Response(status=403, text="Forbidden\n")
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade != "websocket" or request.method != "GET":
        return web.Response(status=400, text="Bad Request\n")
    return None


async def serve_websocket(server: WebSocketServer, request: web.Request) -> web.StreamResponse:
    """Answer a WebSocket handshake; a client that wants the binary protocol is closed with 3506."""
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
    """Tell whether a client wants the binary protocol."""
    asked = (request.query.get(name) for name in ("cf_protocol", "format"))
    if "protobuf" in asked:
        return True
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    names = [name for name in map(str.strip, offered) if name in _PROTOCOLS]
    return names[:1] == ["centrifuge-protobuf"]


async def serve_uni_websocket(server: WebSocketServer, request: web.Request) -> web.StreamResponse:
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
