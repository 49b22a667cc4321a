"""POST requests over a small pool of kept-alive connections."""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from instant.centrifugo.api import http1
from instant.centrifugo.api.http1 import NotConnected, NothingRead, Target

__all__ = ["Address", "ConnectionPool", "is_quiet", "look_up"]

_MAX_IDLE = 32
_CHUNK = 64 * 1024

Address = tuple[int, int, int, str, Any]
"""As getaddrinfo() returns it: family, type, protocol, canonical name, address."""


class ConnectionPool:
    """
    Kept-alive connections to one server, safe for threads and forks.

    The connection used last is reused first, so that surplus ones grow old and get closed. A
    connection is reused only after a complete reply; after any exception it is closed. A request
    is retried once, on a new connection, and only if a kept-alive connection broke before the
    first byte of a reply, as it does after the server was restarted.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str]) -> None:
        self._target = Target(url, headers)
        self._idle: list[socket.socket] = []
        self._pid = os.getpid()
        self._closed = False
        # The finalizer also runs when the interpreter exits.
        weakref.finalize(self, _close_all, self._idle)

    def post(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:
        """
        Send a body and return status and body of the reply.

        ``timeout`` is in seconds, for everything from connecting to the last byte of the reply.
        Raises ServerUnreachable, PublishTimeout or InvalidReply.
        """
        deadline = time.monotonic() + timeout
        request = self._target.request(path, body)
        try:
            sock = self._take()
            if sock is not None:
                try:
                    return self._exchange(sock, request, deadline)
                except NothingRead:
                    # The other idle connections were opened to the same server, which is gone.
                    self._drop_idle()
            return self._exchange(self._connect(deadline), request, deadline)
        except (OSError, NothingRead, http.client.HTTPException) as exc:
            raise http1.publish_error(exc, self._target.url) from exc

    def close(self) -> None:
        """Close the idle connections, and those in use as soon as their request ends."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        _close_all(self._idle)

    def _take(self) -> socket.socket | None:
        if self._pid != os.getpid():
            # Forked: the parent talks over these sockets, so only our copies are closed. The
            # number comes last: another thread that sees it takes what is in the pool.
            self._drop_idle()
            self._pid = os.getpid()
        while self._idle:
            try:
                sock = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if is_quiet(sock.fileno()) and not _has_more(sock):
                return sock
            sock.close()
        return None

    def _connect(self, deadline: float) -> socket.socket:
        """Try each address of the host, each for an equal share of the remaining time."""
        target = self._target
        addresses = look_up(target.host, target.port)
        for number, (family, kind, proto, _name, address) in enumerate(addresses):
            sock = socket.socket(family, kind, proto)
            try:
                sock.settimeout(_remaining(deadline) / (len(addresses) - number))
                sock.connect(address)
            except OSError as exc:
                sock.close()
                if number < len(addresses) - 1:
                    continue
                if isinstance(exc, TimeoutError):
                    raise NotConnected("not in time (INSTANT['TIMEOUT'])") from exc
                raise
            except BaseException:
                sock.close()
                raise
            break
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.tls is not None:
                sock.settimeout(_remaining(deadline))
                return target.tls.wrap_socket(sock, server_hostname=target.host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _exchange(self, sock: socket.socket, request: bytes, deadline: float) -> tuple[int, bytes]:
        reusable = False
        owner = os.getpid()
        try:
            try:
                sock.settimeout(_remaining(deadline))
                sock.sendall(request)
                data = sock.recv(_CHUNK)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
                raise NothingRead from exc
            if not data:
                raise NothingRead
            status, body, whole = _read(sock, data, deadline)
            reusable = (
                whole and not self._closed and len(self._idle) < _MAX_IDLE and owner == os.getpid()
            )
            return status, body
        finally:
            if reusable:
                self._idle.append(sock)
            else:
                sock.close()


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _close_all(idle: list[socket.socket]) -> None:
    while idle:
        try:
            idle.pop().close()
        except IndexError:  # another thread took the last one
            return


def look_up(host: str, port: int, flags: int = 0) -> Sequence[Address]:
    """Return the addresses of a host; raise NotConnected. It takes as long as the system likes."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except OSError as exc:
        raise NotConnected(exc.errno, exc.strerror) from exc
    except UnicodeError as exc:  # a name that can't be one
        raise NotConnected(f"{host!r} is not a host name") from exc


def is_quiet(descriptor: int) -> bool:
    """Tell whether an idle connection is open and has no unsolicited data to read."""
    try:
        if hasattr(select, "poll"):  # select() fails for descriptors over 1023
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return not poll.poll(0)
        return not select.select([descriptor], [], [], 0)[0]
    except (OSError, ValueError):
        return False


def _has_more(sock: socket.socket) -> bool:
    """Tell whether the TLS layer has buffered data that was not read."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _read(sock: socket.socket, data: bytes, deadline: float) -> http1.Reply:
    """Read the rest of a reply that starts with ``data``."""

    def receive() -> bytes:
        sock.settimeout(_remaining(deadline))
        return sock.recv(_CHUNK)

    span = http1.body_span(data)
    if span is None:
        first = [data]
        return http1.read_any(lambda: first.pop() if first else receive())
    start, stop = span
    if len(data) < stop:
        buffer = bytearray(data)
        while len(buffer) < stop:
            part = receive()
            if not part:
                raise http.client.IncompleteRead(b"", stop - len(buffer))
            buffer += part
        data = bytes(buffer)
    # After excess bytes the connection must not be used again.
    return 200, data[start:stop], len(data) == stop
