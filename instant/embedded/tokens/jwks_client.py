"""Fetches key sets over HTTP: one request at a time for an address, and not too many of them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiohttp

from .jwks import KeySets, KeyWish, UnusableSet

log = logging.getLogger("instant.embedded")

TRIES = 2
TIMEOUT = 1.0
# Tokens with an invented key id can't make this server ask more often than that.
INTERVAL = 1.0
SIZE_LIMIT = 2**20

_OK = 200


@dataclass(slots=True)
class _Address:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: float = -INTERVAL
    failed: float = -INTERVAL


class KeyFetcher:
    """Grants wishes for keys; who wishes while others wait shares what they get."""

    def __init__(self) -> None:
        self._addresses: WeakKeyDictionary[KeySets, dict[str, _Address]] = WeakKeyDictionary()

    async def grant(self, client: aiohttp.ClientSession, wish: KeyWish) -> None:
        """Fetch the set in which the key should be; where it isn't, the wish stays a wish."""
        clock = asyncio.get_running_loop().time
        wished = clock()
        address = self._addresses.setdefault(wish.keys, {}).setdefault(wish.url, _Address())
        async with address.lock:
            if wish.granted or address.begun >= wished or address.failed >= wished:
                return
            await asyncio.sleep(address.begun + INTERVAL - clock())
            address.begun = clock()
            if not await self._fetch(client, wish):
                address.failed = clock()

    async def _fetch(self, client: aiohttp.ClientSession, wish: KeyWish) -> bool:
        why = ""
        for _ in range(TRIES):
            try:
                text = await self._get(client, wish.url)
                wish.keys.take(wish.url, text)
            except UnusableSet as exc:
                why = str(exc)
                break
            except (aiohttp.ClientError, OSError, ValueError) as exc:  # OSError: timeouts too
                why = type(exc).__name__
            else:
                return True
        log.warning("%s: no keys: %s", wish.keys.path, why)
        return False

    @staticmethod
    async def _get(client: aiohttp.ClientSession, url: str) -> str:
        body = bytearray()
        async with client.get(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as response:
            if response.status != _OK:
                raise aiohttp.ClientPayloadError(f"status {response.status}")
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise UnusableSet("it is too long")
        return body.decode("utf-8", "replace")
