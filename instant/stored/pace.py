"""How much is done at once, where nobody knows beforehand how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

__all__ = ["Pace"]

_FIRST = 8

_LONG, _SHORT = 0.5, 0.1
"""Seconds: of what takes longer half as much is done at once, of what takes less twice as much."""


class Pace:
    """
    A block around each step, of ``size`` things: ``most`` of them, or as few as take so long.

    What holds locks is short so, whatever one of the things brings along.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = min(_FIRST, most)
        self._most, self._clock, self._began = most, clock, 0.0

    def __enter__(self) -> Self:
        self._began = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        took = self._clock() - self._began
        if took > _LONG:
            self.size = max(self.size // 2, 1)
        elif took < _SHORT:
            self.size = min(self.size * 2, self._most)
