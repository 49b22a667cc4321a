"""
One at a time, over all processes, for as long as its process lives.

A lease is the only slot of a Limit. A thread, which runs while any lease of this process is held,
renews those that are held for long; those of a process that has died end by themselves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass, field

from django.core.cache import BaseCache, caches
from django.db import connections

from instant.conf.throttle import Rate
from instant.inbound.limiter import Full, Limit

__all__ = ["SECONDS", "Lease", "take"]

logger = logging.getLogger("instant.handlers")

SECONDS = 6
"""Within which the lease of a process that has died is another's."""

_RENEWED_EVERY = SECONDS / 3
_IDLE_ROUNDS = 5


@dataclass(slots=True, eq=False)
class Lease:
    """Held from take() to give_back()."""

    alias: str
    name: str
    key: str
    renewed: float
    """By the monotonic clock."""
    _earlier: str = ""
    """Its key in the period before, which may hold it, too."""
    _changing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def give_back(self) -> None:
        """Let others have it; a cache that fails lets it end by itself."""
        if not _keeper.let_go(self):
            return  # somebody may have it already
        try:
            with self._changing:
                keys = [key for key in (self.key, self._earlier) if key]
                _limit(caches[self.alias], self.name).give_back(*keys)
        except Exception:
            logger.exception("The cache failed: a lease ends in %d s.", SECONDS)

    def end_with(self, owner: object) -> None:
        """Renew it no longer than the owner lives; then it ends by itself."""
        weakref.finalize(owner, _keeper.forget, self).atexit = False

    def renew(self) -> None:
        """Hold it for SECONDS from now, unless it has ended meanwhile: then it is another's."""
        with self._changing:
            now = time.monotonic()
            if _keeper.holds(self) and now - self.renewed < SECONDS:
                key = _limit(caches[self.alias], self.name).renew(self.key)
                if key != self.key:
                    self.key, self._earlier = key, self.key
                self.renewed = now


def take(alias: str, name: str) -> Lease | None:
    """Return the lease of this name, or None while somebody has it; raises what the cache does."""
    now = time.monotonic()
    try:
        key = _limit(caches[alias], name).take()
    except Full:
        return None
    lease = Lease(alias, name, key, now)
    _keeper.keep(lease)
    return lease


def _limit(cache: BaseCache, name: str) -> Limit:
    return Limit(cache, name, Rate(1, SECONDS))


class _Keeper:
    """The thread that renews, there from the first lease until there was none for a while."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Hold nothing. In a fork too: leases, thread and lock are the parent's."""
        self._lock = threading.Lock()
        self._held: set[Lease] = set()
        self._thread: threading.Thread | None = None

    def keep(self, lease: Lease) -> None:
        with self._lock:
            self._held.add(lease)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="instant-leases", daemon=True
                )
                self._thread.start()

    def let_go(self, lease: Lease) -> bool:
        """Tell whether it was held."""
        with self._lock:
            was_held = lease in self._held
            self._held.discard(lease)
            return was_held

    def forget(self, lease: Lease) -> None:
        # Without the lock: a collector of garbage may call it where this very thread has it.
        self._held.discard(lease)

    def holds(self, lease: Lease) -> bool:
        return lease in self._held

    def _run(self) -> None:
        idle = 0
        while True:
            time.sleep(_RENEWED_EVERY)
            with self._lock:
                leases = list(self._held)
                idle = 0 if leases else idle + 1
                if idle >= _IDLE_ROUNDS:
                    self._thread = None
                    return
            self._renew(leases)

    def _renew(self, leases: list[Lease]) -> None:
        due = time.monotonic() - _RENEWED_EVERY / 2
        try:
            for lease in leases:
                if lease.renewed < due:
                    lease.renew()
        except Exception:
            logger.exception("The cache failed: leases were not renewed.")
        finally:
            connections.close_all()


_keeper = _Keeper()


def _begin() -> None:
    _keeper.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)
