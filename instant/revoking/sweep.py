"""
Everybody who is present, asked for again every so often: for rights that end without a signal.

Rules that look at the clock, ``QuerySet.update()``, raw SQL, users and sessions that another
system deletes, and a server that lets an expired token go on: whatever it was, ``SWEEP`` seconds
later it is seen. A round asks for some channels at a time and spreads them, so that neither
database nor server notice it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api.commands import Channels
from instant.exceptions import PublishError
from instant.revoking.affected import Affected
from instant.revoking.enforce import enforce
from instant.revoking.present import decided_on
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = ["Sweep"]

logger = logging.getLogger("instant.enforcement")

_AT_ONCE = 100
"""Channels that are asked for together."""

_FIRST = 60.0
"""Seconds until the first round: a process that is restarted often makes one all the same."""


class Sweep:
    """
    Rounds over all channels that are in use.

    A round begins every two thirds of SWEEP and takes half of that at most, so that between
    two looks at one channel there is never more than SWEEP.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: list[tuple[str, str]] = []
        """Tenants and their channels; whoever has none in use costs nothing."""
        self._pause = 0.0
        self._began: float | None = None
        self._next: float | None = None

    def step(self) -> float | None:
        """Ask for the next channels if it is time; return the seconds until it will be."""
        sweep = conf.current().sweep
        if sweep is None:
            return None
        now, period = self._clock(), sweep * 2 / 3
        if self._next is None:
            self._next = now + min(_FIRST, period)
        if now >= self._next:
            if not self._left:
                self._begin(now, period)
            self._ask()
            if self._left or self._began is None:
                self._next = now + self._pause
            else:
                self._next = max(self._began + period, now)
        return max(self._next - now, 0.0)

    def all_at_once(self) -> int:
        """Make a whole round now; return how many channels were asked for."""
        self._left = self._found()
        count = len(self._left)
        while self._left:
            self._ask()
        return count

    def _begin(self, now: float, period: float) -> None:
        self._began = now
        self._left = self._found()
        parts = -(-len(self._left) // _AT_ONCE)
        self._pause = period / 2 / max(parts, 1)

    def _found(self) -> list[tuple[str, str]]:
        client = get_backend().client()
        if client is None:
            return []
        [found] = client.run([Channels("*")], conf.current().timeout)
        if isinstance(found, PublishError):
            raise found
        if not tenancy.are_used():
            return [("", name) for name in sorted(decided_on(found))]
        named = sorted(map(wire.split, found))
        ours = decided_on(name for _, name in named)
        return [(tenant, name) for tenant, name in named if name in ours]

    def _ask(self) -> None:
        part, self._left = self._left[:_AT_ONCE], self._left[_AT_ONCE:]
        for tenant, channels in tenancy.by_tenant(part, lambda one: one[0]):
            names = {name for _, name in channels}
            error: Exception | None
            try:
                with tenancy.activate(tenant):
                    [error] = enforce([Affected(channels=names)])
            except Exception as exc:  # noqa: BLE001  it holds up no other tenant
                error = exc
            if error is not None:
                logger.warning("Some who are present could not be asked for again: %s", error)
