"""Requests to the application, and to whoever publishes the keys of tokens, over HTTP."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

import aiohttp

from instant.embedded.session.application import ProxyReply, ProxyRequest, read_reply
from instant.embedded.tokens.jwks import MissingKey
from instant.embedded.tokens.jwks_client import JwksClient

from .errors import ClientError
from .plain_http import Address, PlainHttp, plain_address, written_headers

log = logging.getLogger("instant.embedded")

_OK = 200
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ProxyClient:
    """Sends requests to the endpoints of a config; its pool of connections is made when needed."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None
        self._plain = PlainHttp()
        self._addresses: dict[str, Address | None] = {}
        self._keys = JwksClient()

    def _pool(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._http

    async def fetch_key(self, key: MissingKey) -> None:
        """Fetch the key set that should hold a key; afterwards the key is known, or it isn't."""
        await self._keys.fetch(self._pool(), key)

    async def ask(self, request: ProxyRequest) -> ProxyReply:
        """Ask the application; a failure of any kind is a failed reply."""
        proxy = request.proxy
        try:
            async with asyncio.timeout(proxy.timeout or None):
                status, text = await self._post(request)
        except (aiohttp.ClientError, OSError, EOFError, ValueError) as exc:  # OSError: timeouts too
            log.warning(
                "%s proxy: nothing answers at %s: %s",
                request.kind,
                _without_login(proxy.endpoint),
                type(exc).__name__,
            )
            return ProxyReply(failed=True)
        return read_reply(request.kind, text) if status == _OK else self._of_status(request, status)

    async def _post(self, request: ProxyRequest) -> tuple[int, str]:
        """Return the status of the answer, and its text where that is read."""
        endpoint = request.proxy.endpoint
        headers, body = _headers(request), request.body.encode()
        if endpoint not in self._addresses:
            self._addresses[endpoint] = plain_address(endpoint)
        address = self._addresses[endpoint]
        if address is not None and not any(name.lower() in _FRAMING for name, _ in headers):
            status, found = await self._plain.post(address, written_headers(headers), body)
            if status not in _REDIRECTS:
                return status, found.decode(errors="replace")
        async with self._pool().post(endpoint, data=body, headers=headers) as response:
            text = await response.text("utf-8", "replace") if response.status == _OK else ""
            return response.status, text

    @staticmethod
    def _of_status(request: ProxyRequest, status: int) -> ProxyReply:
        proxy = request.proxy
        error: ClientError | None = proxy.errors.get(status)
        if error is not None:
            return ProxyReply(error=error)
        disconnect = proxy.disconnects.get(status)
        if disconnect is not None:
            return ProxyReply(disconnect=disconnect)
        log.warning(
            "%s proxy: %s answered with status %d",
            request.kind,
            _without_login(proxy.endpoint),
            status,
        )
        return ProxyReply(failed=True)

    async def close(self) -> None:
        """Close the pool."""
        self._plain.close()
        if self._http is not None:
            await self._http.close()


def _headers(request: ProxyRequest) -> list[tuple[str, str]]:
    known = {name for name, _ in request.headers}
    fixed = request.proxy.static_headers.items()
    return [
        *((name, value) for name, value in fixed if name.lower() not in known),
        *request.headers,
        ("Content-Type", "application/json"),
    ]


def _without_login(url: str) -> str:
    """Return the address as a log may have it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
