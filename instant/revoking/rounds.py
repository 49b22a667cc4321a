"""
Looking into one tenant after the other, where each may have rows of its own.

A tenant of which something is known to be due is looked into then, and one that somebody has
called for at once. What a process that died has left is found by looking: into each tenant
every five seconds, but never into more than 100 in that time, so that it takes 50 seconds for
1,000 tenants. An idle one costs what activate() does, and one query.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterable

from django.db import close_old_connections

from instant.revoking.affected import has_rules
from instant.tenancy import current as tenancy

__all__ = ["Rounds"]

logger = logging.getLogger("instant.enforcement")

_EVERY = 5.0
_AT_ONCE = 100
"""Tenants that one look goes into; then it is the sweep's turn, and that of what is known."""

_ABOUT = 1.0
"""So much too early is better than five seconds too late."""

_SLOWEST = 60.0
"""Seconds until a tenant in which it failed is looked into again, in the end."""

_MOST_FAILURES = 3
"""After so many in a row it is the database, and no tenant: the rest would wait for it."""


class Rounds:
    """When to look into which tenant; ``look()`` returns the seconds until there is something."""

    def __init__(
        self, look: Callable[[], float | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look, self._clock = look, clock
        self._turns: dict[str, float] = {}
        """When each tenant is to be looked into again."""
        self._known: set[str] = set()
        """The tenants of which something is known to be due then."""
        self._failures: dict[str, int] = {}
        self._called: set[str] = set()
        self._listed = float("-inf")
        self._needed: tuple[bool, float] = (False, float("-inf"))

    def call(self, tenants: Iterable[str]) -> None:
        """Have them looked into at the next look; from any thread."""
        self._called |= set(tenants)
        self._needed = (True, self._clock() + _SLOWEST)

    def look(self) -> float | None:
        """
        Look into the tenants whose turn it is; return the seconds until something is due.

        None where nothing is known to be. What fails in one is logged and holds up no other.
        """
        now = self._clock()
        self._list(now)
        due = [name for name, turn in self._turns.items() if turn <= now + _ABOUT]
        due = [name for name in due if name not in self._known or self._turns[name] <= now]
        in_a_row = 0
        for name in heapq.nsmallest(_AT_ONCE, due, key=self._order):
            in_a_row = 0 if self._look_into(name) else in_a_row + 1
            if in_a_row == _MOST_FAILURES:
                break
        known = [self._turns[name] for name in self._known]
        return max(min(known) - self._clock(), 0.0) if known else None

    def any(self, is_needed: Callable[[], bool]) -> bool:
        """Tell whether it is so in any tenant; an answer is believed for a minute."""
        if has_rules():
            return True
        if self._clock() >= self._needed[1]:
            found = any(self._ask(name, is_needed) for name in tenancy.every())
            self._needed = (found, self._clock() + _SLOWEST)
        return self._needed[0]

    def _ask(self, name: str, is_needed: Callable[[], bool]) -> bool:
        try:
            with tenancy.activate(name):
                return is_needed()
        except Exception as exc:  # noqa: BLE001  what isn't migrated has nothing for us
            logger.debug("Nobody knows whether the tenant “%s” has channels: %s", name, exc)
            return False

    def _order(self, name: str) -> tuple[bool, float]:
        return name not in self._known, self._turns[name]

    def _list(self, now: float) -> None:
        """Learn which tenants there are, as often as each is looked into, and who was called."""
        called, self._called = self._called, set()
        if now - self._listed >= self._pause() or not called <= self._turns.keys():
            names = list(tenancy.every())
            self._listed = now
            self._turns = {name: self._turns.get(name, now) for name in names}
            self._known &= self._turns.keys()
            self._failures = {n: count for n, count in self._failures.items() if n in self._turns}
        for name in called & self._turns.keys():
            self._turns[name] = now
            self._known.add(name)

    def _pause(self) -> float:
        return max(_EVERY, _EVERY * len(self._turns) / _AT_ONCE)

    def _look_into(self, name: str) -> bool:
        """Look into a tenant, and say when it is its turn again; tell whether that was possible."""
        self._known.discard(name)
        try:
            with tenancy.activate(name):
                known = self._look()
        except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            if failures == 1:
                logger.error(  # noqa: TRY400  the message says it all
                    "Follow-up checks can't be made for the tenant “%s”: %s", name, exc
                )
            self._turns[name] = self._clock() + min(_EVERY * 2.0 ** (failures - 1), _SLOWEST)
            close_old_connections()  # a broken one would stay broken
            return False
        self._failures.pop(name, None)
        pause = self._pause()
        if known is not None and known <= pause:
            self._known.add(name)
            pause = max(known, 0.0)
        self._turns[name] = self._clock() + pause
        return True
