"""The asynchronous twin of the transport: aiohttp, one session per running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

import aiohttp
from yarl import URL

from instant.exceptions import InvalidReply, PublishTimeout, ServerUnreachable

__all__ = ["AsyncTransport"]


class AsyncTransport:
    """
    Sends like ``Transport``, for any number of event loops.

    Each loop gets one session when it first sends. The loop closes it when it shuts down its
    asynchronous generators, which asyncio.run() and asgiref's async_to_sync() both do.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)
        self._urls: dict[str, URL] = {}
        # A session refers to its loop, so weak keys would keep both: _keep() takes them out.
        self._sessions: dict[
            asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, AsyncGenerator[None]]
        ] = {}

    async def post(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:  # noqa: ASYNC109
        """See Transport.post()."""
        session = await self._session()
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(f"{self._url}{path}")
        try:
            async with asyncio.timeout(timeout):
                try:
                    return await self._exchange(session, url, body)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
                    if isinstance(exc, aiohttp.ClientConnectorError):
                        raise
                    # A kept-alive connection that the server had closed: nothing was read.
                    return await self._exchange(session, url, body)
        except TimeoutError as exc:
            raise PublishTimeout(
                f"No answer from {self._url} within {timeout:.3g} s (INSTANT['TIMEOUT']). "
                f"Whether it was published is unknown. Is the server overloaded, or something "
                f"else than Centrifugo listening there?"
            ) from exc
        except aiohttp.ClientPayloadError as exc:
            raise ServerUnreachable(
                f"{self._url} broke off in the middle of its answer. "
                f"Whether it was published is unknown; see the server's log."
            ) from exc
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
            raise ServerUnreachable(
                f"No connection to {self._url}: {exc}. Start the server with “manage.py runws”, "
                f"or correct CENTRIFUGO_HOST and CENTRIFUGO_PORT."
            ) from exc
        except aiohttp.ClientError as exc:
            raise InvalidReply(
                f"{self._url} did not answer in HTTP ({type(exc).__name__}). "
                f"Is it Centrifugo, and http or https as it expects?"
            ) from exc

    async def _exchange(
        self, session: aiohttp.ClientSession, url: URL, body: bytes
    ) -> tuple[int, bytes]:
        async with session.post(url, data=body, allow_redirects=False) as response:
            return response.status, await response.read()

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        kept = self._sessions.get(loop)
        if kept is not None:
            return kept[0]
        session = aiohttp.ClientSession(
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The deadline is asyncio.timeout(), which covers the retry too.
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        for other in [other for other in self._sessions if other.is_closed()]:
            self._sessions.pop(other, None)  # closed without a shutdown of its generators
        keeper = self._keep(loop, session)
        await anext(keeper)
        self._sessions[loop] = (session, keeper)
        return session

    async def _keep(
        self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession
    ) -> AsyncGenerator[None]:
        """Close the session when the event loop shuts down its asynchronous generators."""
        try:
            yield
        finally:
            self._sessions.pop(loop, None)
            await session.close()
