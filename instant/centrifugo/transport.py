"""
HTTP POSTs over a small pool of kept-alive connections.

Publishing is one small POST after another, and a general HTTP client spends four times the
hop on it. So: one ``sendall``, a reader for the plain answer, ``http.client`` for all others.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from instant.exceptions import InvalidReply, PublishTimeout, ServerUnreachable

__all__ = ["Transport"]

_MAX_IDLE = 32
_MAX_HEAD = 64 * 1024
_CHUNK = 64 * 1024


class _NothingRead(Exception):
    """The connection broke before a byte of the answer came; the only case for a retry."""


class Transport:
    """
    A pool of connections to one address, for any number of threads and for forks.

    Connections are used last in, first out, so that idle ones age and are found closed. A
    socket is put back only after a whole answer; on any exception it is thrown away. A
    request is sent a second time once, on a new connection, and only where a kept-alive
    connection broke before a byte of the answer came (the server was restarted).
    """

    def __init__(self, url: str, *, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._url = url
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/")
        lines = [f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
        self._headers = "\r\n".join([*lines, "Content-Length: "])
        self._heads: dict[str, bytes] = {}
        self._idle: list[socket.socket] = []
        self._pid = os.getpid()

    def post(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:
        """
        Send a body and return status and body of the answer.

        ``timeout`` is in seconds for all of it: connecting, sending, waiting, reading. Raises
        ServerUnreachable, PublishTimeout or InvalidReply.
        """
        deadline = time.monotonic() + timeout
        head = self._heads.get(path)
        if head is None:
            head = f"POST {self._path}{path} HTTP/1.1\r\n{self._headers}".encode()
            self._heads[path] = head
        request = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        try:
            sock = self._take()
            if sock is not None:
                try:
                    return self._exchange(sock, request, deadline)
                except _NothingRead:
                    # The others were opened to the same, now gone, server.
                    self.close()
            return self._exchange(self._connect(deadline), request, deadline)
        except TimeoutError as exc:
            raise PublishTimeout(
                f"No answer from {self._url} within {timeout:.3g} s (INSTANT['TIMEOUT']). "
                f"Whether it was published is unknown. Is the server overloaded, or something "
                f"else than Centrifugo listening there?"
            ) from exc
        except _NothingRead as exc:
            raise ServerUnreachable(
                f"{self._url} closed the connection without an answer. "
                f"Is it Centrifugo, and http or https as it expects?"
            ) from exc
        except http.client.IncompleteRead as exc:
            raise ServerUnreachable(
                f"{self._url} broke off in the middle of its answer. "
                f"Whether it was published is unknown; see the server's log."
            ) from exc
        except http.client.HTTPException as exc:
            raise InvalidReply(
                f"{self._url} did not answer in HTTP ({type(exc).__name__}). "
                f"Is it Centrifugo, and http or https as it expects?"
            ) from exc
        except OSError as exc:
            raise ServerUnreachable(
                f"No connection to {self._url}: {exc.strerror or exc}. Start the server with "
                f"“manage.py runws”, or correct CENTRIFUGO_HOST and CENTRIFUGO_PORT."
            ) from exc

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their exchange ends."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread took the last one
                return

    def _take(self) -> socket.socket | None:
        if self._pid != os.getpid():
            # Forked: the parent talks over these sockets, so only our copies are closed.
            self._pid = os.getpid()
            self.close()
        while self._idle:
            try:
                sock = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if self._tls is not None or _is_quiet(sock):
                return sock
            sock.close()
        return None

    def _connect(self, deadline: float) -> socket.socket:
        sock = socket.create_connection((self._host, self._port), _remaining(deadline))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock.settimeout(_remaining(deadline))
                return self._tls.wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _exchange(self, sock: socket.socket, request: bytes, deadline: float) -> tuple[int, bytes]:
        whole = False
        try:
            try:
                sock.settimeout(_remaining(deadline))
                sock.sendall(request)
                data = sock.recv(_CHUNK)
            except ConnectionError as exc:
                raise _NothingRead from exc
            if not data:
                raise _NothingRead
            answer = _read_plain(sock, data, deadline)
            if answer is None:
                status, body, reusable = _read_any(sock, data, deadline)
            else:
                status, body, reusable = answer
            whole = reusable and len(self._idle) < _MAX_IDLE and self._pid == os.getpid()
            return status, body
        finally:
            if whole:
                self._idle.append(sock)
            else:
                sock.close()


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _is_quiet(sock: socket.socket) -> bool:
    """Tell whether an idle connection is open and nothing unasked for waits on it."""
    try:
        sock.settimeout(0)
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _read_plain(
    sock: socket.socket, data: bytes, deadline: float
) -> tuple[int, bytes, bool] | None:
    """Read ``200`` with Content-Length; None (and ``data`` kept by the caller) for all else."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"HTTP/1.1 200 "):
        return None
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0 or b"\r\ntransfer-encoding:" in head or b"\r\nconnection:" in head:
        return None
    digits = head[at + 17 :].split(b"\r\n", 1)[0].strip()
    if not digits.isdigit():
        return None
    stop = end + 4 + int(digits)
    if len(data) < stop:
        parts, length = [data], len(data)
        while length < stop:
            sock.settimeout(_remaining(deadline))
            part = sock.recv(_CHUNK)
            if not part:
                raise http.client.IncompleteRead(b"", stop - length)
            parts.append(part)
            length += len(part)
        data = b"".join(parts)
    # Bytes after the answer belong to nobody; the connection must not be used again.
    return 200, data[end + 4 : stop], len(data) == stop


def _read_any(sock: socket.socket, data: bytes, deadline: float) -> tuple[int, bytes, bool]:
    """Read any answer: other statuses, chunked, closing, in pieces."""
    response = http.client.HTTPResponse(
        cast("socket.socket", _Replay(sock, data, deadline)), method="POST"
    )
    try:
        response.begin()
        body = response.read()
        return response.status, body, not response.will_close
    finally:
        response.close()


class _Replay(io.RawIOBase):
    """What was read already, then the socket; each read within the deadline."""

    def __init__(self, sock: socket.socket, data: bytes, deadline: float) -> None:
        super().__init__()
        self._sock, self._data, self._deadline = sock, data, deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._data:
            size = min(len(buffer), len(self._data))
            buffer[:size] = self._data[:size]
            self._data = self._data[size:]
            return size
        self._sock.settimeout(_remaining(self._deadline))
        return self._sock.recv_into(buffer)
