"""Requests to push services: bounded in time and size, to public addresses, without redirects."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from instant.stored.push.addresses import is_local, is_public

__all__ = ["Outcome", "Request", "send"]

_MOST_AT_ONCE = 20
_MAX_TEXT = 300
"""Bytes that are read of what a push service says of a failure."""


class Request(NamedTuple):
    """What is sent to one browser."""

    endpoint: str
    headers: Mapping[str, str]
    body: bytes


class Outcome(NamedTuple):
    """What became of it."""

    status: int
    """0 where there was no answer."""
    retry_after: float = 0.0
    """Seconds for which the push service wants to be left alone."""
    text: str = ""


class PublicOnly(AbstractResolver):
    """Finds addresses; refuses a name of which any is private."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return where to connect to; raise OSError."""
        found = await _look_up(host, port, family)
        addresses = [str(info[4][0]) for info in found]
        if not addresses or not (is_local(host) or all(map(is_public, addresses))):
            raise OSError(f"{host} has no address, or one in a private network.")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address, info in zip(addresses, found, strict=True)
        ]

    async def close(self) -> None:
        """Hold nothing."""


async def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)


def send(requests: Sequence[Request], timeout: float) -> list[Outcome]:
    """Send them, some at a time, and return what became of each; never raises for one."""
    return asyncio.run(_send(requests, timeout))


async def _send(requests: Sequence[Request], timeout: float) -> list[Outcome]:  # noqa: ASYNC109  of each
    connector = aiohttp.TCPConnector(
        resolver=PublicOnly(), use_dns_cache=False, limit=_MOST_AT_ONCE, ssl=_context()
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        turns = asyncio.Semaphore(_MOST_AT_ONCE)
        return await asyncio.gather(*(_post(session, turns, one, timeout) for one in requests))


def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _post(
    session: aiohttp.ClientSession,
    turns: asyncio.Semaphore,
    request: Request,
    timeout: float,  # noqa: ASYNC109  all told
) -> Outcome:
    try:
        async with (
            turns,
            asyncio.timeout(timeout),
            session.post(
                request.endpoint,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response,
        ):
            text = ""
            if response.status >= 400:  # noqa: PLR2004
                text = (await response.content.read(_MAX_TEXT)).decode(errors="replace")
            return Outcome(response.status, _retry_after(response.headers), text)
    except TimeoutError:
        return Outcome(0, text="no answer in time")
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        return Outcome(0, text=str(exc.__cause__ or exc) or type(exc).__name__)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of ``Retry-After``, which may be a number or a date."""
    given = headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit() and len(given) < 10:  # noqa: PLR2004
        return float(given)
    try:
        until = parsedate_to_datetime(given)
    except (TypeError, ValueError):
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
