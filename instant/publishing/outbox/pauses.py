"""What has failed and waits for its next attempt: ever longer."""

from __future__ import annotations

from collections.abc import Callable, Hashable

__all__ = ["Pauses"]

_FIRST, _LONGEST = 0.1, 5.0
"""Seconds after a failure until the next attempt."""


class Pauses:
    """When each thing that has failed is tried again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: dict[Hashable, tuple[int, float]] = {}
        """How often in a row, and until when it waits."""

    def failed(self, thing: Hashable, *, at_least: float = 0.0) -> bool:
        """Let it wait, for so many seconds or longer; tell whether this is its first failure."""
        count, _ = self._failed.get(thing, (0, 0.0))
        pause = max(min(_FIRST * 2.0 ** min(count, 10), _LONGEST), at_least)
        self._failed[thing] = count + 1, self._clock() + pause
        return count == 0

    def left(self, thing: Hashable) -> float:
        """Return the seconds that it has to wait; 0 for what may be tried."""
        _, until = self._failed.get(thing, (0, float("-inf")))
        return max(until - self._clock(), 0.0)

    def succeeded(self, thing: Hashable) -> bool:
        """Let it wait no more; tell whether it had failed."""
        return self._failed.pop(thing, None) is not None

    def next(self) -> float | None:
        """Return the seconds until something may be tried that can't be now; None without any."""
        return min(filter(None, map(self.left, self._failed)), default=None)
