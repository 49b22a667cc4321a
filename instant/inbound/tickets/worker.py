"""Our own worker: a process that claims jobs and runs them, one at a time, until it is stopped."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from django.db import DatabaseError, InterfaceError, connections

from instant.inbound.tickets import rows, telling, upkeep, waking, work
from instant.inbound.tickets.between_jobs import close_old_connections
from instant.revoking.host import Bell, readable
from instant.tenancy import current as tenancy

__all__ = ["Worker"]

logger = logging.getLogger("instant.tickets")

_EVERY = 0.5
"""Seconds between two looks, where nothing rings: several workers of a host share one bell."""

_FOR_EACH = 0.01
"""And so many for each tenant."""

_NOTED_EVERY = 2.0
"""Seconds until what was published is noted, where there is always another job."""

_AWAY = 2.0
"""Seconds until a database that is away is asked again."""


class Worker:
    """Runs the most urgent job of some queues, or of all, again and again."""

    def __init__(
        self, queues: Sequence[str] = (), parent: int = 0, *, most: int | None = None
    ) -> None:
        self._queues = tuple(queues)
        self._parent = parent
        """The process that has forked us, and without which we work no longer; 0 for none."""
        self._most = most
        self._stopped = threading.Event()
        self._complained = False
        self._failing: set[str] = set()
        """Tenants whose jobs can't be claimed now."""
        self.ran = 0
        """How many jobs it has run."""

    @property
    def is_over(self) -> bool:
        """Whether it has run as many jobs as it may."""
        return self._most is not None and self.ran >= self._most

    def stop(self) -> None:
        """Claim no other job; for a signal's handler."""
        self._stopped.set()

    def run(self) -> None:
        """Work until stop(), or until the parent has died: it would start others in our place."""
        bell = Bell(waking.BELL)
        try:
            self._work(lambda pause: self._wait(pause, bell))
        finally:
            bell.close()
            connections.close_all()

    def _work(self, wait: Callable[[float], object]) -> None:
        with telling.noting_later() as note:
            noted = time.monotonic()
            while not self._stopped.is_set() and not self._is_orphan():
                pause = self._turn()
                if pause or time.monotonic() >= noted + _NOTED_EVERY:
                    note()
                    noted = time.monotonic()
                if pause and not self._stopped.is_set():
                    wait(pause)

    def _is_orphan(self) -> bool:
        if not self._parent or os.getppid() == self._parent:
            return False
        logger.error("A worker's process has lost its parent, and ends.")
        return True

    def drain(self) -> None:
        """Run what waits now, and what comes meanwhile."""
        while not self._stopped.is_set() and self._next():
            pass

    def _turn(self) -> float:
        """Run one job; return for how long nothing is to be expected."""
        try:
            if self._next():
                return 0.0
        except (DatabaseError, InterfaceError) as exc:
            if not self._complained:
                logger.error("Jobs can't be claimed: %s", exc)  # noqa: TRY400
            self._complained = True
            connections.close_all()
            return _AWAY
        self._complained = False
        return _EVERY + (_FOR_EACH * len(list(tenancy.every())) if tenancy.are_used() else 0)

    def _next(self) -> bool:
        close_old_connections()
        if not tenancy.are_used():
            self._note()
            found = work.run_next("", self._queues)
        else:
            tenant = self._most_urgent()
            found = tenant is not None and work.run_next(tenant, self._queues)
        self.ran += found
        if self.is_over:
            self.stop()
        return found

    def _note(self) -> None:
        """Note that somebody works for the current tenant, where anybody asks."""

    def _most_urgent(self) -> str | None:
        """Return the tenant whose next job goes first of all."""
        best: tuple[int, float] | None = None
        found = None
        failed: Exception | None = None
        are_all_away = True
        for tenant in upkeep.everywhere():
            upkeep.now_and_then()
            self._note()
            try:
                head = rows.head(self._queues)
            except (DatabaseError, InterfaceError) as exc:
                failed = exc
                self._complain_of(tenant, exc)
                continue
            are_all_away = False
            self._failing.discard(tenant)
            if head is None:
                continue
            rank = (-head[0], head[1].timestamp())
            if best is None or rank < best:
                best, found = rank, tenant
        if failed is not None and are_all_away:
            raise failed
        return found

    def _complain_of(self, tenant: str, exc: Exception) -> None:
        """Say once that a tenant's jobs wait: its database is away, or its tables aren't there."""
        if tenant not in self._failing:
            logger.error("Jobs of the tenant %s can't be claimed: %s", tenant, exc)
        self._failing.add(tenant)

    def _wait(self, seconds: float, bell: Bell) -> None:
        if bell.socket is None:
            self._stopped.wait(seconds)
            return
        try:
            ready = readable([bell.socket], seconds)
        except (OSError, ValueError):
            self._stopped.wait(seconds)
            return
        if ready:
            bell.clear()
