"""Limits on how many clients are connected, and on how fast they connect."""

from __future__ import annotations

from collections.abc import Callable


class ConnectionLimit:
    """Limits connections to `limit`, and attempts to `rate` a second; 0 is no limit.

    `rate` is a token bucket, as in Centrifugo: so many attempts at once, one more for each second.
    """

    def __init__(
        self, limit: int, rate: int, count: Callable[[], int], now: Callable[[], float]
    ) -> None:
        self._limit = limit
        self._rate = rate
        self._count = count
        self._now = now
        self._left = float(rate)
        self._filled_at = now()

    def allows(self) -> bool:
        """Tell whether one more client may connect, and count the attempt."""
        if self._rate:
            now = self._now()
            self._left = min(self._rate, self._left + now - self._filled_at)
            self._filled_at = now
            if self._left < 1:
                return False
            self._left -= 1
        return not self._limit or self._count() < self._limit
