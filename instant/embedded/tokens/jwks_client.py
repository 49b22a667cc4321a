"""Fetching key sets over HTTP: one request at a time to each URL, and not too many of them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiohttp

from .jwks import MissingKey, PublishedKeys, UnusableKeySet

log = logging.getLogger("instant.embedded")

TRIES = 2
TIMEOUT = 1.0
# Seconds between requests, however many tokens with invented key ids arrive.
INTERVAL = 1.0
SIZE_LIMIT = 2**20

_OK = 200


@dataclass(slots=True)
class _Url:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: float = -INTERVAL
    failed: float = -INTERVAL


class JwksClient:
    """Fetches missing keys; who needs one while its set is being fetched waits for that set."""

    def __init__(self) -> None:
        self._urls: WeakKeyDictionary[PublishedKeys, dict[str, _Url]] = WeakKeyDictionary()

    async def fetch(self, http: aiohttp.ClientSession, key: MissingKey) -> None:
        """Fetch the set that should hold the key; the key may still be missing afterwards."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        url = self._urls.setdefault(key.keys, {}).setdefault(key.url, _Url())
        async with url.lock:
            if key.arrived or url.begun >= asked or url.failed >= asked:
                return
            await asyncio.sleep(url.begun + INTERVAL - clock())
            url.begun = clock()
            if not await self._fetch(http, key):
                url.failed = clock()

    async def _fetch(self, http: aiohttp.ClientSession, key: MissingKey) -> bool:
        why = ""
        for _ in range(TRIES):
            try:
                text = await self._get(http, key.url)
                key.keys.add_set(key.url, text)
            except UnusableKeySet as exc:
                why = str(exc)
                break
            except (aiohttp.ClientError, OSError, ValueError) as exc:  # OSError: timeouts too
                why = type(exc).__name__
            else:
                return True
        log.warning("%s: no keys: %s", key.keys.path, why)
        return False

    @staticmethod
    async def _get(http: aiohttp.ClientSession, url: str) -> str:
        body = bytearray()
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as response:
            if response.status != _OK:
                raise aiohttp.ClientPayloadError(f"status {response.status}")
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise UnusableKeySet("it is too long")
        return body.decode("utf-8", "replace")
