"""
At most so many in any period, counted in Django's cache.

Whoever is let through takes one of so many slots: a cache key that ends by itself. Of all that
Django's caches can do only ``add()`` is atomic in each but the file one: ``incr()`` is not in
three of them. A slot is held until the time that stands in it, by the clock of this host, since
Memcached and the database end an entry up to a second early.

A key names the period, counted since 1970, in which its slot was taken, and is never taken again
afterwards: two that ``add()`` at the same moment what has just ended in the database cache would
both be told that they have it. So a slot is free if neither this period's key holds it, nor the
last one's, nor the next one's, by the clock of another host. What was taken as the period ended
is given back: another may have looked before.
"""

from __future__ import annotations

import math
import random
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.cache import BaseCache
from django.core.cache.backends.db import BaseDatabaseCache
from django.utils.crypto import salted_hmac

from instant.conf.throttle import Rate

__all__ = ["Full", "KeepsNothing", "Limit", "cache_key"]

_ROUNDS = 40
"""Looks at all slots; each can fail only where others were faster, or where nothing is kept."""

_FORGOTTEN = 3
"""
Times that nothing is there of what another has just added, after which the cache is asked.

Either it keeps nothing, or others take and give back faster than this process looks, as those do
who wait for a result: each takes the lease, finds it, and gives it back.
"""

_PROBED = 10
"""Seconds that what is added to ask it is kept at most."""

_SAMPLE = 4
"""Slots that are looked at first, where there are more: most callers find a free one there."""

_TRIED = 16
"""Slots that are tried before others are looked at again."""

_PAUSE = 0.02
"""Seconds, on average half of it, after which SQLite lets another connection write."""


class Full(Exception):
    """No slot is free; ``retry_after`` is in how many seconds one is."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many; try again in {retry_after} s")
        self.retry_after = retry_after


class KeepsNothing(OSError):
    """The cache takes what it is given, and doesn't have it afterwards."""


def cache_key(kind: str, *parts: str) -> str:
    """Return a key that any cache takes, and from which nobody reads the parts."""
    text = "\0".join(parts).encode(errors="surrogatepass")  # of what a caller may have sent
    digest = salted_hmac(f"instant.{kind}", text, algorithm="sha256").hexdigest()
    return f"instant.{kind}:{digest}"


@dataclass(frozen=True, slots=True)
class Limit:
    """The slots of one thing that is limited: ``name`` is a key, see cache_key()."""

    cache: BaseCache
    name: str
    rate: Rate

    def take(self) -> str:
        """
        Take a slot for the rate's seconds, and return its key, which give_back() takes.

        Raises Full, and KeepsNothing or what the cache raises where it doesn't work.
        """
        sampled = self.rate.times > _SAMPLE
        kept_nothing = 0
        for _ in range(_ROUNDS):
            period = self._period()
            slots = self._some() if sampled else range(self.rate.times)
            held = self._held(slots, period)
            tried = [slot for slot in slots if slot not in held]
            if not tried and not sampled:
                raise Full(self._wait(held.values()))
            sampled = False
            if not tried:
                continue
            for slot in random.sample(tried, min(len(tried), _TRIED)):
                key = self._key(slot, period)
                if self._add(key):
                    if self._period() == period:
                        return key
                    self.give_back(key)
                    break
            else:
                kept_nothing += not self._held(tried, period)
            if isinstance(self.cache, BaseDatabaseCache):
                # Let others write: add() tells nobody that SQLite was busy.
                time.sleep(random.random() * _PAUSE)  # noqa: S311  no secret
            elif kept_nothing >= _FORGOTTEN:
                self._probe()
                kept_nothing = 0
        self._probe()
        raise Full(1)  # others were faster each time

    def renew(self, key: str) -> str:
        """Hold a slot of one's own for the rate's seconds from now; return its key of now."""
        slot = key[len(self.name) + 1 :].partition(":")[0]
        key = self._key(int(slot), self._period())
        self.cache.set(key, time.time() + self.rate.seconds, self._timeout)
        return key

    def give_back(self, *keys: str) -> None:
        """Free slots that were taken."""
        self.cache.delete_many(keys)

    def forget(self) -> None:
        """Free all slots."""
        self.cache.delete_many(list(self._keys(range(self.rate.times), self._period())))

    def is_held(self) -> bool:
        """Tell whether any slot is held."""
        return bool(self._held(range(self.rate.times), self._period()))

    @property
    def _timeout(self) -> int:
        # Until the next period is over, in which it is looked at, and the second that is lost.
        return 2 * self.rate.seconds + 1

    def _period(self) -> int:
        return int(time.time() // self.rate.seconds)

    def _key(self, slot: int, period: int) -> str:
        return f"{self.name}:{slot}:{period}"

    def _keys(self, slots: range | list[int], period: int) -> dict[str, int]:
        """Return all keys that may hold the slots, with the slot of each."""
        return {self._key(s, p): s for s in slots for p in (period - 1, period, period + 1)}

    def _some(self) -> list[int]:
        return random.sample(range(self.rate.times), _SAMPLE)

    def _held(self, slots: range | list[int], period: int) -> dict[int, float]:
        """Return which of the slots are held, and until when."""
        keys = self._keys(slots, period)
        found = self.cache.get_many(list(keys))
        now = time.time()
        return {keys[key]: until for key, until in found.items() if until > now}

    def _add(self, key: str) -> bool:
        return bool(self.cache.add(key, time.time() + self.rate.seconds, self._timeout))

    def _probe(self) -> None:
        """Raise KeepsNothing unless the cache has what is added."""
        key = f"{self.name}:{secrets.token_hex(8)}"
        if not self.cache.add(key, 1, _PROBED) or self.cache.get(key) is None:
            raise KeepsNothing("The cache keeps nothing.")
        self.cache.delete(key)

    def _wait(self, held: Iterable[float]) -> int:
        seconds = math.ceil(min(held) - time.time())
        return min(max(seconds, 1), self.rate.seconds)
