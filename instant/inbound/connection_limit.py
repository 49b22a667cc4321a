"""
``INSTANT["CALLS"]``: how much a page may ask of Django over one connection.

A process counts by itself, and tells the cache after each tenth of the limit: most pages never
cost a round trip to it, and neither does one that is refused. No connection is refused below the
limit. One process is exact; of several, each may let through up to a tenth more before it notices.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict, deque

from django.core.cache import caches

from instant import conf
from instant.conf.throttle import Rate
from instant.inbound.limiter import Full, Limit, cache_key
from instant.inbound.policies.rate import too_many

__all__ = ["check_connection"]

logger = logging.getLogger("instant.handlers")

_PARTS = 10
_MOST = 50_000
"""Connections that a process counts for; of more, those that were silent longest are forgotten."""


class _Connection:
    """The calls of one connection that this process has answered."""

    __slots__ = ("refused_until", "times", "untold")

    def __init__(self) -> None:
        self.times: deque[float] = deque()
        """When, by the monotonic clock, for the rate's seconds."""
        self.untold = 0
        """How many of the last ones the cache doesn't know of."""
        self.refused_until = 0.0


class _Connections:
    """Those that have called in the last seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Connection] = OrderedDict()

    def count(self, client: str, rate: Rate, part: int) -> bool:
        """Count a call; tell whether the cache has to be told. Raises Full."""
        now = time.monotonic()
        since = now - rate.seconds
        with self._lock:
            known = self._known.setdefault(client, _Connection())
            self._known.move_to_end(client)
            self._forget(since)
            times = known.times
            while times and times[0] <= since:
                times.popleft()
            if len(times) >= rate.times:
                raise Full(math.ceil(times[0] - since))
            if now < known.refused_until:
                raise Full(math.ceil(known.refused_until - now))
            times.append(now)
            known.untold = min(known.untold + 1, len(times))
            if known.untold < part:
                return False
            known.untold = 0
            return True

    def refuse(self, client: str, seconds: int, part: int) -> None:
        """Take back the call that was counted last, and refuse others for so long."""
        with self._lock:
            known = self._known.get(client)
            if known is not None and known.times:
                known.times.pop()
                known.untold = min(known.untold + part - 1, len(known.times))
                known.refused_until = time.monotonic() + seconds

    def _forget(self, since: float) -> None:
        while len(self._known) > 1:
            first = next(iter(self._known.values()))
            if len(self._known) <= _MOST and first.times and first.times[-1] > since:
                return
            self._known.popitem(last=False)


_connections = _Connections()


def check_connection(client: str) -> None:
    """
    Count a call or a publication of a connection; raise Refused (429) where it is one too many.

    Callers without a connection aren't counted. A cache that fails is logged, and this process
    counts for itself.
    """
    rate = conf.current().calls
    if rate is None or not client:
        return
    part = max(1, rate.times // _PARTS)
    try:
        if _connections.count(client, rate, part):
            _tell(client, rate, part)
    except Full as exc:
        logger.info("A connection is refused for %d s: too many calls.", exc.retry_after)
        raise too_many(exc.retry_after) from None


def _tell(client: str, rate: Rate, part: int) -> None:
    parts = Rate(-(-rate.times // part), rate.seconds)
    try:
        Limit(caches[conf.current().cache], cache_key("calls", client), parts).take()
    except Full as exc:
        _connections.refuse(client, exc.retry_after, part)
        raise
    except Exception:
        logger.exception("The cache failed: this process counts the calls of connections alone.")
