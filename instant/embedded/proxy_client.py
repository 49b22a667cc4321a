"""Questions to the application, and to who publishes the keys of tokens, over HTTP."""

from __future__ import annotations

import logging

import aiohttp

from instant.embedded.session.application import Answer, Question, read_answer
from instant.embedded.tokens.jwks import KeyWish
from instant.embedded.tokens.jwks_client import KeyFetcher

from .errors import ClientError

log = logging.getLogger("instant.embedded")

_OK = 200


class Proxies:
    """Asks proxy and key endpoints; one pool of connections, made at the first question."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None
        self._keys = KeyFetcher()

    async def ask(self, question: Question | KeyWish) -> Answer:
        """Post a question and read the answer; a failure of any kind is a failed answer.

        The answer to a wish for a key says nothing: the key is there now, or it isn't.
        """
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        if isinstance(question, KeyWish):
            await self._keys.grant(self._client, question)
            return Answer()
        return await self._post(self._client, question)

    async def _post(self, client: aiohttp.ClientSession, question: Question) -> Answer:
        proxy = question.proxy
        headers = [
            *(
                (name, value)
                for name, value in proxy.static_headers.items()
                if name.lower() not in {known for known, _ in question.headers}
            ),
            *question.headers,
            ("Content-Type", "application/json"),
        ]
        try:
            async with client.post(
                proxy.endpoint,
                data=question.body.encode(),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=proxy.timeout or None),
            ) as response:
                if response.status != _OK:
                    return self._transformed(question, response.status)
                return read_answer(await response.text("utf-8", "replace"))
        except (aiohttp.ClientError, OSError, ValueError) as exc:  # OSError: timeouts too
            log.warning("%s proxy can't be asked: %s", question.kind, type(exc).__name__)
            return Answer(failed=True)

    @staticmethod
    def _transformed(question: Question, status: int) -> Answer:
        proxy = question.proxy
        error: ClientError | None = proxy.errors.get(status)
        if error is not None:
            return Answer(error=error)
        disconnect = proxy.disconnects.get(status)
        if disconnect is not None:
            return Answer(disconnect=disconnect)
        log.warning("%s proxy answered with status %d", question.kind, status)
        return Answer(failed=True)

    async def close(self) -> None:
        """Close the pool."""
        if self._client is not None:
            await self._client.close()
