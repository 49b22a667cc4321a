"""Listening: HTTP connections that are given as much time and memory as Centrifugo gives them.

The head of a request, its first line and its headers, may take 10 seconds and a mebibyte; both are
the limits of Go's server. When there are more connections than files may be open, whoever has sent
no request makes room for whoever comes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import OrderedDict
from enum import Enum, auto
from typing import Any, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError

log = logging.getLogger("instant.embedded")

HEAD_TIME = 10.0
HEAD_LIMIT = 2**20 + 4096
# Seconds that a connection is kept between two requests.
KEEPALIVE = 75.0
# Files that are left for everything but connections of clients.
_RESERVE = 200
# How many wait until they are accepted, and how many are accepted before anything else is done.
_BACKLOG = 2048
_AT_ONCE = 100
# As many as fit.
_HEADERS = HEAD_LIMIT // 4
_END = b"\r\n\r\n"
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n431 Request Header Fields Too Large"
)


class _Stage(Enum):
    HEAD = auto()
    REQUEST = auto()
    IDLE = auto()


class HttpConnection(web.RequestHandler):
    """One connection of a client, before it becomes a WebSocket and after."""

    __slots__ = ("_listener", "_received", "_stage", "_tail", "_timer")

    def __init__(self, listener: Listener) -> None:
        # A body is what was sent: like Centrifugo, this server looks at no Content-Encoding.
        super().__init__(
            listener.http,
            loop=listener.loop,
            access_log=cast("logging.Logger", None),  # which is no log, though no Logger
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE,
            max_line_size=HEAD_LIMIT,
            max_field_size=HEAD_LIMIT,
            max_headers=_HEADERS,
        )
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head of a request."""
        super().connection_made(transport)
        self._await_head()
        self._listener.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait for nothing any more."""
        self._end_head(_Stage.IDLE)
        self._listener.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is too long is refused before it is read."""
        if self._stage is not _Stage.REQUEST and not self._take_head(data):
            return
        super().data_received(data)

    def _await_head(self) -> None:
        self._stage = _Stage.HEAD
        self._received = 0
        self._tail = b""
        self._timer = self._listener.loop.call_later(self._listener.head_time, self.abort)
        self._listener.silent[self] = None

    def _end_head(self, stage: _Stage) -> None:
        self._stage = stage
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._listener.silent.pop(self, None)

    def _take_head(self, data: bytes) -> bool:
        """Take a part of a head; tell whether it may be read."""
        if self._stage is _Stage.IDLE:
            if _END in data:
                # Mostly it comes at once, and needs no timer.
                self._stage = _Stage.REQUEST
                return True
            self._await_head()
        seen = self._tail + data
        if _END in seen:
            self._end_head(_Stage.REQUEST)
            return True
        self._tail = seen[-len(_END) + 1 :]
        self._received += len(data)
        if self._received <= HEAD_LIMIT:
            return True
        if isinstance(self.transport, asyncio.Transport):
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        return False

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a bug; what somebody sent that isn't HTTP is no news."""
        level = (
            logging.DEBUG if isinstance(kw.get("exc_info"), HttpProcessingError) else logging.ERROR
        )
        log.log(level, *args, **kw)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the rest of an answer, and wait for the next request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._stage is _Stage.REQUEST:
                self._stage = _Stage.IDLE

    def abort(self) -> None:
        """Close at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


def _most_connections() -> int:
    try:
        import resource  # noqa: PLC0415  Windows has none, and no such limit
    except ImportError:
        return 2**31
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = allowed == resource.RLIM_INFINITY
    return 2**31 if unlimited else max(allowed - _RESERVE, allowed // 2)


class Listener:
    """A port, and the connections that came to it."""

    def __init__(self, http: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        self.http = http
        self.loop = loop
        self.head_time = HEAD_TIME
        self.most = _most_connections()
        # Connections that have sent no whole head, the oldest first.
        self.silent: OrderedDict[HttpConnection, None] = OrderedDict()
        self._open: set[HttpConnection] = set()
        self._told = False
        self._server: asyncio.Server

    async def listen(self, host: str, port: int) -> int:
        """Begin to listen, and return the port; raises OSError."""
        self._server = await self.loop.create_server(
            lambda: HttpConnection(self), host or None, port, backlog=_AT_ONCE
        )
        for listening in self._server.sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(_BACKLOG)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def close(self) -> None:
        """Listen no more; connections stay."""
        self._server.close()

    def opened(self, connection: HttpConnection) -> None:
        """Take a new connection, instead of a silent one if there are too many."""
        self._open.add(connection)
        if len(self._open) <= self.most:
            return
        if not self._told:
            self._told = True
            log.warning(
                "more connections than open files allow: of %d, whoever has sent no request is "
                "closed (ulimit -n, LimitNOFILE)",
                self.most,
            )
        next(iter(self.silent)).abort()

    def lost(self, connection: HttpConnection) -> None:
        """Forget a connection."""
        self._open.discard(connection)
