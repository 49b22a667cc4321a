"""
HTTP/1.1 for both connection pools: encode requests, parse replies, translate errors.

Does no I/O itself. The usual reply (``200`` with a length) is parsed by hand, because publishing
is one small POST after another and a general parser takes as long as the round trip; every other
reply is parsed by ``http.client``.
"""

from __future__ import annotations

import http.client
import io
import ssl
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlsplit

from instant.exceptions import InvalidReply, PublishError, PublishTimeout, ServerUnreachable

__all__ = [
    "NotConnected",
    "NothingRead",
    "Reply",
    "Request",
    "Target",
    "body_span",
    "publish_error",
    "read_any",
]

Reply = tuple[int, bytes, bool]
"""Status, body, and whether the connection can be used again."""


_MAX_DIGITS = 15
_FIRST_FINAL = 200


class NothingRead(Exception):
    """The connection broke before the first byte of a reply: the only case in which to retry."""


class NotConnected(OSError):
    """No connection in time. Nothing was sent, so this is not a PublishTimeout."""


class Request(bytes):
    """The bytes of a request. Its repr hides the API key in them, as tracebacks show locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} bytes>"


class Target:
    """A server's address, with the headers of all requests to it."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or "localhost"
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/")
        lines = [f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
        self._headers = "\r\n".join([*lines, "Content-Length: "])
        self._heads: dict[str, bytes] = {}

    def request(self, path: str, body: bytes) -> Request:
        """Return a complete POST request."""
        head = self._heads.get(path)
        if head is None:
            head = Request(f"POST {self._path}{path} HTTP/1.1\r\n{self._headers}".encode())
            self._heads[path] = head
        return Request(b"%b%d\r\n\r\n%b" % (head, len(body), body))


def body_span(data: bytes | bytearray) -> tuple[int, int] | None:
    """
    Return where the body starts and ends, for a ``200`` with a Content-Length.

    ``data`` holds at least the headers; its end may still be to come. Returns None for any other
    reply.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"HTTP/1.1 200 "):
        return None
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0 or b"\r\ntransfer-encoding:" in head or b"\r\nconnection:" in head:
        return None
    digits = head[at + 17 :].split(b"\r\n", 1)[0].strip()
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return None
    start = end + 4
    return start, start + int(digits)


def read_any(read: Callable[[], bytes]) -> Reply:
    """
    Read any reply: another status, chunked, or ended by closing the connection.

    ``read()`` returns the next bytes, and no bytes at the end of the connection.
    """
    source = cast("io.RawIOBase", _Source(read))
    response = http.client.HTTPResponse(source, method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        if response.status < _FIRST_FINAL:  # the final reply would be taken for the next one
            raise http.client.UnknownProtocol(f"status {response.status}")
        reply = response.status, response.read(), not response.will_close
    except ValueError as exc:  # http.client lets an invalid length through to int()
        raise http.client.HTTPException(str(exc)) from exc
    else:
        return reply
    finally:
        response.close()


class _Source(io.RawIOBase):
    """The file object that ``http.client`` reads from."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        super().__init__()
        self._read = read
        self._rest = b""

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._rest or self._read()
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        self._rest = data[size:]
        return size


def publish_error(exc: Exception, url: str) -> PublishError:
    """Return the error to raise for a failed request. Its message names the remedy."""
    if isinstance(exc, TimeoutError):
        return PublishTimeout(
            f"No reply from {url} in time (INSTANT['TIMEOUT']), so it may or may not have been "
            f"published. Is the server overloaded, or is something else listening there?"
        )
    if isinstance(exc, NothingRead):
        return ServerUnreachable(
            f"{url} closed the connection without a reply. "
            f"Is it Centrifugo, and does it expect http or https?"
        )
    if isinstance(exc, http.client.IncompleteRead):
        return ServerUnreachable(
            f"{url} closed the connection in the middle of its reply, so it may or may not have "
            f"been published. See the server's log."
        )
    if isinstance(exc, http.client.HTTPException):
        return InvalidReply(
            f"{url} did not reply in HTTP ({type(exc).__name__}). "
            f"Is it Centrifugo, and does it expect http or https?"
        )
    reason = getattr(exc, "strerror", None) or exc
    return ServerUnreachable(
        f"No connection to {url}: {reason}. Start the server (“manage.py runws”; in "
        f"development “manage.py runserver” does), "
        f"or correct CENTRIFUGO_HOST and CENTRIFUGO_PORT."
    )
