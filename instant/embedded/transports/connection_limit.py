"""Who may still connect: limits on how many clients there are and how fast they come."""

from __future__ import annotations

from collections.abc import Callable


class Gate:
    """Counts connections against `limit` and attempts against `rate`; 0 is no limit.

    `rate` is a bucket as Centrifugo has it: so many at once, one more for each second.
    """

    def __init__(
        self, limit: int, rate: int, count: Callable[[], int], now: Callable[[], float]
    ) -> None:
        self._limit = limit
        self._rate = rate
        self._count = count
        self._now = now
        self._tokens = float(rate)
        self._filled_at = now()

    def admits(self) -> bool:
        """Tell whether one more may come, and count the attempt."""
        if self._rate:
            now = self._now()
            self._tokens = min(self._rate, self._tokens + now - self._filled_at)
            self._filled_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
        return not self._limit or self._count() < self._limit
