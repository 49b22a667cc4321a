"""The asynchronous connection pool: idle connections for each event loop."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncGenerator, Mapping
from typing import cast

from instant.centrifugo.api import addresses, http1
from instant.centrifugo.api.http1 import NotConnected, NothingRead, Target
from instant.centrifugo.api.pool import is_quiet

__all__ = ["AsyncConnectionPool"]

_MAX_IDLE = 32


class AsyncConnectionPool:
    """
    Kept-alive connections to one server, for any number of event loops.

    Each loop has its own connections. They are closed when the loop shuts down its asynchronous
    generators, as asyncio.run() and asgiref's async_to_sync() do.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str]) -> None:
        self._target = Target(url, headers)
        self._resolver = addresses.Resolver(self._target.host, self._target.port)
        # A connection refers to its loop, so weak keys would keep both: _keep() takes them out.
        self._pools: dict[asyncio.AbstractEventLoop, _LoopPool] = {}

    async def post(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:  # noqa: ASYNC109
        """See ConnectionPool.post()."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop) or await self._pool(loop)
        deadline = loop.time() + timeout
        request = self._target.request(path, body)
        try:
            connection = pool.take()
            if connection is not None:
                try:
                    return await pool.exchange(connection, request, deadline)
                except NothingRead:
                    # The other idle connections were opened to the same server, which is gone.
                    pool.close()
            connection = await self._connect(loop, deadline)
            return await pool.exchange(connection, request, deadline)
        except (OSError, NothingRead, http.client.HTTPException) as exc:
            raise http1.publish_error(exc, self._target.url) from exc

    async def _connect(self, loop: asyncio.AbstractEventLoop, deadline: float) -> _Connection:
        target = self._target
        try:
            async with asyncio.timeout_at(deadline):
                sock = await addresses.connect(await self._resolver.resolve())
                _, connection = await loop.create_connection(
                    _Connection,
                    sock=sock,
                    ssl=target.tls,
                    server_hostname=target.host if target.tls else None,
                )
        except TimeoutError as exc:
            raise NotConnected("not in time (INSTANT['TIMEOUT'])") from exc
        return connection

    async def _pool(self, loop: asyncio.AbstractEventLoop) -> _LoopPool:
        for other in list(self._pools):  # a copy: other threads' loops come and go
            if other.is_closed():
                self._pools.pop(other, None)  # closed without a shutdown of its generators
        pool = self._pools[loop] = _LoopPool(loop)
        pool.keeper = self._keep(loop, pool)
        await anext(pool.keeper)
        return pool

    async def _keep(self, loop: asyncio.AbstractEventLoop, pool: _LoopPool) -> AsyncGenerator[None]:
        """Close the pool when the event loop shuts down its asynchronous generators."""
        try:
            yield
        finally:
            self._pools.pop(loop, None)
            pool.close()
            await asyncio.sleep(0)  # lets the loop close the sockets


class _LoopPool:
    """The idle connections of one event loop, last in, first out."""

    keeper: AsyncGenerator[None]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: list[_Connection] = []

    def take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            # Data that the loop has not read yet would be taken for the next reply.
            sock = connection.transport.get_extra_info("socket")
            if not connection.transport.is_closing() and is_quiet(sock.fileno()):
                return connection
            connection.transport.abort()
        return None

    def close(self) -> None:
        while self._idle:
            self._idle.pop().transport.abort()

    async def exchange(
        self, connection: _Connection, request: bytes, deadline: float
    ) -> tuple[int, bytes]:
        """Send the request and wait; the connection is reused only after a complete reply."""
        reusable = False
        alarm = self._loop.call_at(deadline, connection.fail, TimeoutError())
        try:
            status, body, whole = await connection.ask(request, self._loop)
            reusable = whole and len(self._idle) < _MAX_IDLE
            return status, body
        finally:
            alarm.cancel()
            if reusable:
                self._idle.append(connection)
            else:
                connection.transport.abort()


class _Connection(asyncio.Protocol):
    """One connection, with at most one request in flight."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._waiter: asyncio.Future[http1.Reply] | None = None
        self._data = bytearray()
        self._is_new = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # TCP always has one

    def ask(self, request: bytes, loop: asyncio.AbstractEventLoop) -> asyncio.Future[http1.Reply]:
        """Send a request and return a future for the reply."""
        waiter = self._waiter = loop.create_future()
        self._is_new = False
        if self.transport.is_closing():
            self.fail(NothingRead())
        else:
            self.transport.write(request)
            if self._data:
                self.data_received(b"")
        return waiter

    def fail(self, exc: Exception) -> None:
        """Fail the request in flight."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(exc)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None and not self._is_new:
            self.transport.abort()  # nobody asked: what came must not answer the next request
            return
        self._data += data
        if self._waiter is None:  # some loops read before they tell of the connection
            return
        span = http1.body_span(self._data)
        if span is None:
            self._read_any(ended=False)
        elif len(self._data) >= span[1]:
            # Bytes after the reply are never used.
            self._finish((200, bytes(self._data[span[0] : span[1]]), len(self._data) == span[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is None:
            return
        if not self._data:
            self.fail(NothingRead() if exc is None or isinstance(exc, ConnectionError) else exc)
        elif http1.body_span(self._data) is not None:
            self.fail(http.client.IncompleteRead(b""))
        else:
            self._read_any(ended=True)

    def _read_any(self, *, ended: bool) -> None:
        """Try to read an unusual reply from the data so far; start over with more data."""
        parts = [bytes(self._data)]

        def read() -> bytes:
            if parts:
                return parts.pop()
            if ended:
                return b""
            raise _Incomplete

        try:
            self._finish(http1.read_any(read))
        except _Incomplete:
            return
        except (http.client.HTTPException, OSError) as exc:
            self.fail(exc)

    def _finish(self, reply: http1.Reply) -> None:
        waiter, self._waiter = self._waiter, None
        self._data.clear()
        if waiter is not None and not waiter.done():
            waiter.set_result(reply)


class _Incomplete(Exception):
    """More of the reply is to come."""
