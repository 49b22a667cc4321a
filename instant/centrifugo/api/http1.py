"""
HTTP/1.1 as both transports need it: requests to bytes, bytes to answers, errors to ours.

Pure, but for the reading that is handed in. The plain answer (``200`` with a length) is cut
out by hand, because publishing is one small POST after another and a general parser costs as
much as the hop; every other answer goes to ``http.client``.
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
"""Status, body, and whether the connection may be used again."""


_MAX_DIGITS = 15
_FIRST_FINAL = 200


class NothingRead(Exception):
    """The connection broke before a byte of the answer came; the only case for a retry."""


class NotConnected(OSError):
    """No connection in time; nothing was sent, so it is no PublishTimeout."""


class Request(bytes):
    """The bytes of a request. They hold the API key, and a traceback's locals show reprs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} bytes>"


class Target:
    """An address with the headers that all requests to it have."""

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
        """Return a whole POST request."""
        head = self._heads.get(path)
        if head is None:
            head = Request(f"POST {self._path}{path} HTTP/1.1\r\n{self._headers}".encode())
            self._heads[path] = head
        return Request(b"%b%d\r\n\r\n%b" % (head, len(body), body))


def body_span(data: bytes | bytearray) -> tuple[int, int] | None:
    """
    Return where body and answer end, for a ``200`` with Content-Length whose head is here.

    The first number is the body's start, the second the end of the answer, which may not
    have come yet. None for any other answer.
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
    Read any answer: other statuses, chunked, closing, in pieces.

    ``read()`` returns the next bytes, none at the end of the connection.
    """
    source = cast("io.RawIOBase", _Source(read))
    response = http.client.HTTPResponse(source, method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        if response.status < _FIRST_FINAL:  # the answer proper would answer the next request
            raise http.client.UnknownProtocol(f"status {response.status}")
        answer = response.status, response.read(), not response.will_close
    except ValueError as exc:  # http.client leaves what int() says of a length
        raise http.client.HTTPException(str(exc)) from exc
    else:
        return answer
    finally:
        response.close()


class _Source(io.RawIOBase):
    """The file that ``http.client`` wants of a socket."""

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
    """Return our error for what went wrong in an exchange, with the remedy."""
    if isinstance(exc, TimeoutError):
        return PublishTimeout(
            f"No answer from {url} in time (INSTANT['TIMEOUT']). Whether it was published is "
            f"unknown. Is the server overloaded, or something else than Centrifugo listening there?"
        )
    if isinstance(exc, NothingRead):
        return ServerUnreachable(
            f"{url} closed the connection without an answer. "
            f"Is it Centrifugo, and http or https as it expects?"
        )
    if isinstance(exc, http.client.IncompleteRead):
        return ServerUnreachable(
            f"{url} broke off in the middle of its answer. "
            f"Whether it was published is unknown; see the server's log."
        )
    if isinstance(exc, http.client.HTTPException):
        return InvalidReply(
            f"{url} did not answer in HTTP ({type(exc).__name__}). "
            f"Is it Centrifugo, and http or https as it expects?"
        )
    reason = getattr(exc, "strerror", None) or exc
    return ServerUnreachable(
        f"No connection to {url}: {reason}. Start the server with “manage.py runws”, "
        f"or correct CENTRIFUGO_HOST and CENTRIFUGO_PORT."
    )
