"""Connections whose messages are one endless HTTP response; commands are requests of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from instant.embedded.errors import CONNECTION_CLOSED, SLOW, Disconnect, Malformed
from instant.embedded.json_text import Fields
from instant.embedded.session.session import Session
from instant.embedded.wire_forms import Form

from .body import read_body
from .connection import CLOSE_WAIT, Connection, Server
from .refused_origins import log_once

_NO_STORE = "private, no-cache, no-store, must-revalidate, max-age=0"


class StreamServer(Server, Protocol):
    """What streamed responses need of their server."""

    http_streams: dict[str, StreamConnection]


class StreamConnection(Connection):
    """One streamed response."""

    server: StreamServer

    def __init__(
        self,
        server: StreamServer,
        request: web.Request,
        form: Form,
        transport: str,
        content_type: str,
    ) -> None:
        super().__init__(server)
        self._request = request
        self._queue: list[bytes] = []
        self._queued = 0
        self._limit = server.config.queue_max_size
        self._ready = asyncio.Event()
        self._resumed = asyncio.Event()
        self._ended = False
        self._aborted = False
        self._aborting: asyncio.TimerHandle | None = None
        self._content_type = content_type
        self._form = form
        self._kind = transport

    def send(self, data: bytes) -> None:
        """Queue bytes; the response's own task writes them."""
        self._queue.append(data)
        self._queued += len(data)
        self._ready.set()
        if self._queued > self._limit and self._queued > len(data) and not self._aborted:
            self._aborted = True
            self.loop.call_soon(self._too_slow)

    def _too_slow(self) -> None:
        self.session.close(SLOW)
        self._queue.clear()
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def close(self, disconnect: Disconnect) -> None:
        """End the response once the queue is written."""
        self._ended = True
        self._resumed.set()
        if disconnect is CONNECTION_CLOSED:
            self._queue.clear()
        self._ready.set()
        transport = self._request.transport
        if transport is not None:
            # What is queued must arrive, but not for ever: nobody counts this client any more.
            self._aborting = self.loop.call_later(CLOSE_WAIT, transport.abort)

    def _keep_transport(self) -> None:
        """Don't abort a transport that has nothing left to write."""
        transport = self._request.transport
        if self._aborting is not None and (
            transport is None or not transport.get_write_buffer_size()
        ):
            self._aborting.cancel()

    def resume(self) -> None:
        """Take more commands; the session may not be busy any more."""
        self._resumed.set()

    async def receive(self, text: str) -> None:
        """Hand commands to the session; while it is busy, one request of the client at a time."""
        while self.session.busy and not self.session.closed:
            self._resumed.clear()
            await self._resumed.wait()
        self.session.receive(text)

    async def run(self, connect: Callable[[Session], None], first: bytes) -> web.StreamResponse:
        """Serve the connection until it ends; `first` is written, then `connect` is called."""
        response = web.StreamResponse(
            headers={
                "Content-Type": self._content_type,
                "Cache-Control": _NO_STORE,
                "Pragma": "no-cache",
                "X-Accel-Buffering": "no",
                **cors(self.server, self._request),
            }
        )
        await response.prepare(self._request)
        session = self.begin(self._request, self._form, self._kind)
        self.server.http_streams[session.session] = self
        try:
            if first:
                await response.write(first)
            connect(session)
            while True:
                await self._ready.wait()
                self._ready.clear()
                while self._queue:
                    data, self._queued = b"".join(self._queue), 0
                    self._queue.clear()
                    if self.server.history_writer is not None:
                        await self.server.history_writer.written()
                    await response.write(data)
                if self._ended:
                    break
            # Another request on this connection would be aborted with what this one leaves unread.
            response.force_close()
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            session.disconnected()
            self.server.http_streams.pop(session.session, None)
            self._keep_transport()
        return response


def cors(server: StreamServer, request: web.Request) -> dict[str, str]:
    """Return the headers that let an allowed origin read a response; another one gets none."""
    origin = request.headers.get("Origin")
    if not origin:
        return {}
    if not server.config.origins.allow(origin):
        log_once(origin)
        return {}
    headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
    asked = request.headers.get("Access-Control-Request-Headers")
    if asked and asked != "null":
        headers["Access-Control-Allow-Headers"] = asked
    return headers


async def _body(request: web.Request, limit: int) -> str:
    return (await read_body(request, limit)).decode("utf-8", "replace")


def _preflight(server: StreamServer, request: web.Request, methods: str) -> web.Response:
    return web.Response(
        status=204,
        headers={
            **cors(server, request),
            "Access-Control-Max-Age": "300",
            "Access-Control-Allow-Methods": methods,
        },
    )


def _wrong_method() -> web.Response:
    return web.Response(status=405)


async def serve_sse(server: StreamServer, request: web.Request) -> web.StreamResponse:
    """Serve a two-way connection as server-sent events; URL or body has the connect command."""
    if request.method == "OPTIONS":
        return _preflight(server, request, "GET, POST, OPTIONS")
    if request.method == "GET":
        first = request.query.get("cf_connect", "")
        if not first:
            return web.Response(status=400)
    elif request.method == "POST":
        first = await _body(request, server.config.sse_limit)
    else:
        return _wrong_method()
    connection = StreamConnection(
        server, request, Form.EVENT, "sse", "text/event-stream; charset=utf-8"
    )
    return await connection.run(lambda session: session.receive(first), b"\r\n")


async def serve_http_stream(server: StreamServer, request: web.Request) -> web.StreamResponse:
    """Serve a two-way connection as lines of a response; the connect command is the body."""
    if request.method == "OPTIONS":
        return _preflight(server, request, "POST, OPTIONS")
    if request.method != "POST":
        return _wrong_method()
    if request.headers.get("Content-Type") == "application/octet-stream":
        # The binary protocol.
        return web.Response(status=400, text="protobuf: only Centrifugo speaks it\n")
    first = await _body(request, server.config.http_stream_limit)
    connection = StreamConnection(
        server, request, Form.LINE, "http_stream", "text/plain; charset=utf-8"
    )
    return await connection.run(lambda session: session.receive(first), b"")


async def serve_uni_sse(server: StreamServer, request: web.Request) -> web.StreamResponse:
    """Serve a one-way connection: bare pushes as server-sent events, for a plain EventSource."""
    if request.method == "GET":
        text = request.query.get("cf_connect", "") or "{}"
    elif request.method == "POST":
        text = await _body(request, server.config.uni_sse_limit)
    else:
        return _wrong_method()
    return await _one_way(
        server, request, text, Form.BARE_EVENT, "uni_sse", "text/event-stream; charset=utf-8"
    )


async def serve_uni_http_stream(server: StreamServer, request: web.Request) -> web.StreamResponse:
    """Serve a one-way connection: bare pushes as lines; the connect request is the body."""
    if request.method == "OPTIONS":
        return _preflight(server, request, "POST, OPTIONS")
    if request.method != "POST":
        return _wrong_method()
    text = await _body(request, server.config.uni_http_stream_limit)
    return await _one_way(
        server, request, text, Form.BARE_LINE, "uni_http_stream", "text/plain; charset=utf-8"
    )


async def _one_way(
    server: StreamServer,
    request: web.Request,
    text: str,
    form: Form,
    transport: str,
    content_type: str,
) -> web.StreamResponse:
    try:
        connect = Fields("{}" if text.strip() == "null" else text)
    except Malformed:
        return web.Response(status=400)
    connection = StreamConnection(server, request, form, transport, content_type)
    first = b"\r\n" if form is Form.BARE_EVENT else b""
    return await connection.run(lambda session: session.connect_one_way(connect), first)


async def serve_emulation(server: StreamServer, request: web.Request) -> web.StreamResponse:
    """Take commands of a streamed connection: 204, or 404 if they are for another node."""
    if request.method == "OPTIONS":
        return _preflight(server, request, "POST, OPTIONS")
    if request.method != "POST":
        return _wrong_method()
    headers = cors(server, request)
    text = await _body(request, server.config.emulation_limit)
    try:
        fields = Fields(text)
        node, session, data = (fields.text(name) for name in ("node", "session", "data"))
    except Malformed:
        return web.Response(status=400, headers=headers)
    if node != server.broker.node:
        return web.Response(status=404, headers=headers)
    connection = server.http_streams.get(session)
    if connection is not None and not connection.session.one_way:
        await connection.receive(data)
    return web.Response(status=204, headers=headers)
