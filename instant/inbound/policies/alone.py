"""Find an answer in the cache, or be the only one, over all processes, who makes it."""

from __future__ import annotations

import time
from collections.abc import Generator

from django.core.cache import caches

from instant.inbound import lease
from instant.inbound.answers import Refused
from instant.inbound.policies.base import Wait

__all__ = ["PATIENCE", "found_or_alone"]

PATIENCE = 20.0
"""Seconds for which a call waits for another that makes its answer; the server waits 3."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


def found_or_alone(alias: str, key: str) -> Generator[Wait, None, str | lease.Lease]:
    """
    Return what the cache has, or a lease where it is the caller's to make it.

    While somebody else makes it, it waits. Raises Refused (503) where that takes too long, and
    whatever the cache raises.
    """
    cache = caches[alias]
    deadline = time.monotonic() + PATIENCE
    pause = _FIRST_PAUSE
    while not isinstance(found := cache.get(key), str):
        mine = lease.take(alias, f"{key}.lease")
        if mine is not None:
            try:
                found = cache.get(key)  # who had the lease between the two looks has made it
            except BaseException:
                mine.give_back()
                raise
            if not isinstance(found, str):
                return mine
            mine.give_back()
            break
        if time.monotonic() > deadline:
            raise Refused(503, "not available", temporary=True)
        yield Wait(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return found
