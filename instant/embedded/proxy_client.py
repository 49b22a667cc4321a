"""Requests to the application, and to whoever publishes the keys of tokens, over HTTP."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import aiohttp

from instant.embedded.session.application import ProxyReply, ProxyRequest, read_reply
from instant.embedded.tokens.jwks import MissingKey
from instant.embedded.tokens.jwks_client import JwksClient

from .errors import ClientError

log = logging.getLogger("instant.embedded")

_OK = 200


class ProxyClient:
    """Sends requests to the endpoints of a config; its pool of connections is made when needed."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None
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
        headers = [
            *(
                (name, value)
                for name, value in proxy.static_headers.items()
                if name.lower() not in {known for known, _ in request.headers}
            ),
            *request.headers,
            ("Content-Type", "application/json"),
        ]
        try:
            async with self._pool().post(
                proxy.endpoint,
                data=request.body.encode(),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=proxy.timeout or None),
            ) as response:
                if response.status != _OK:
                    return self._of_status(request, response.status)
                return read_reply(request.kind, await response.text("utf-8", "replace"))
        except (aiohttp.ClientError, OSError, ValueError) as exc:  # OSError: timeouts too
            log.warning(
                "%s proxy: nothing answers at %s: %s",
                request.kind,
                _without_login(proxy.endpoint),
                type(exc).__name__,
            )
            return ProxyReply(failed=True)

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
        if self._http is not None:
            await self._http.close()


def _without_login(url: str) -> str:
    """Return the address as a log may have it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
