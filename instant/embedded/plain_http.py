"""Posts to an application over kept-alive connections without TLS: a quarter of a client's cost.

As much of HTTP/1.1 as an answer needs. Addresses with https, a login or a redirect are aiohttp's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

# Of the head of an answer.
_LONGEST_HEAD = 64 * 1024
# Kept for the next request; more are closed after their answer.
_IDLE = 100
_BEGINNING = b"HTTP/1."
_NO_CONTENT = frozenset({204, 304})
_LONGEST_NUMBER = 16
_DIGITS = {10: frozenset(b"0123456789"), 16: frozenset(b"0123456789abcdefABCDEF")}
_INTERIM = range(100, 200)


class BadAnswer(ValueError):
    """What came is no answer in HTTP/1.1, or not all of one."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is."""

    host: str
    port: int
    target: bytes
    named: bytes
    """For the header Host."""


def plain_address(url: str) -> Address | None:
    """Return where to connect for a URL; None for one that this module isn't for."""
    parts = urlsplit(url)
    if parts.scheme != "http" or "@" in parts.netloc or not parts.hostname or not url.isascii():
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(char <= " " or char == "\x7f" for char in target + parts.netloc):
        return None
    return Address(parts.hostname, parts.port or 80, target.encode(), parts.netloc.encode())


def written_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Write headers. Raises ValueError for one that would be more than one line."""
    lines = [f"{name}: {value}" for name, value in headers]
    if any(char in line for line in lines for char in "\r\n\0"):
        raise ValueError("a header has a line break")
    return "".join(f"{line}\r\n" for line in lines).encode(errors="surrogateescape")


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class PlainHttp:
    """Connections by host and port; one that an answer has left open takes the next request."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[_Connection]] = {}

    async def post(self, address: Address, headers: bytes, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer. Raises OSError, EOFError or ValueError."""
        connection = self._kept(address) or await self._opened(address)
        is_whole = False
        try:
            connection.writer.write(
                b"POST %b HTTP/1.1\r\nHost: %b\r\n%bContent-Length: %d\r\n\r\n%b"
                % (address.target, address.named, headers, len(body), body)
            )
            status, is_kept, found = await _answer(connection.reader)
            is_whole = True
        finally:
            if not is_whole:  # cancelled, or out of time, too
                connection.writer.transport.abort()
        self._keep(address, connection, is_kept=is_kept)
        return status, found

    def _kept(self, address: Address) -> _Connection | None:
        idle = self._idle.get((address.host, address.port), [])
        while idle:
            connection = idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return None

    @staticmethod
    async def _opened(address: Address) -> _Connection:
        return _Connection(
            *await asyncio.open_connection(address.host, address.port, limit=_LONGEST_HEAD)
        )

    def _keep(self, address: Address, connection: _Connection, *, is_kept: bool) -> None:
        idle = self._idle.setdefault((address.host, address.port), [])
        if is_kept and len(idle) < _IDLE:
            idle.append(connection)
        else:
            connection.writer.close()

    def close(self) -> None:
        """Close what is idle."""
        for idle in self._idle.values():
            for connection in idle:
                connection.writer.close()
        self._idle.clear()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Read an answer: its status, whether the connection may be used again, and its body."""
    status, fields, is_newer = await _head(reader)
    while status in _INTERIM:
        status, fields, is_newer = await _head(reader)
    options = {option.strip() for option in fields.get(b"connection", b"").lower().split(b",")}
    is_kept = b"close" not in options and (is_newer or b"keep-alive" in options)
    if status in _NO_CONTENT:
        return status, is_kept, b""
    if b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"].lower() != b"chunked":
            raise BadAnswer("an unknown transfer encoding")
        return status, is_kept, await _chunks(reader)
    if b"content-length" not in fields:
        return status, False, await reader.read()
    return status, is_kept, await reader.readexactly(_number(fields[b"content-length"], 10))


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bool]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadAnswer("a head that is too long") from None
    first, *lines = head[:-4].split(b"\r\n")
    if not first.startswith(_BEGINNING):
        raise BadAnswer("no HTTP/1.1")
    version, _, rest = first.partition(b" ")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadAnswer("a header without a name")
        name, value = name.lower(), value.strip()
        if name in fields and name in {b"content-length", b"transfer-encoding"}:
            raise BadAnswer("two lengths")
        fields[name] = value
    return _number(rest[:3], 10), fields, version != b"HTTP/1.0"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = _number(line.partition(b";")[0].strip(), 16)
        if not size:
            break
        found.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise BadAnswer("a chunk that doesn't end")
    while await reader.readuntil(b"\r\n") != b"\r\n":  # what follows the body
        pass
    return b"".join(found)


def _number(text: bytes, base: int) -> int:
    if not text or len(text) > _LONGEST_NUMBER or not set(text) <= _DIGITS[base]:
        raise BadAnswer("a number was expected")
    return int(text, base)
