"""A server that can't be reached is not asked again and again: callers fail at once meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType

from instant.exceptions import PublishTimeout, ServerNotAsked, ServerUnreachable

__all__ = ["Breaker"]

logger = logging.getLogger("instant.producers")

_TIMES = 20
"""A failed attempt is followed by a pause of so many times what it took: who waits is one."""
_SHORTEST, _LONGEST = 0.1, 5.0
"""Seconds of such a pause."""
_LOST = 60.0
"""Seconds after which an attempt counts as failed of which nothing is heard: a fork has it not."""


class Breaker:
    """
    Opens when so many calls in a row could not reach the server, and closes with the first reply.

    While it is open a call raises ServerNotAsked in microseconds. After each pause one call, and
    only one, tries. Safe for threads, event loops and forks: it has no lock that could be held
    in another process. ``lost`` is called with the error when it opens, and ``returned``, with the
    number of calls that were not asked, when it closes.
    """

    def __init__(
        self,
        url: str,
        failures: int | None,
        lost: Callable[[Exception], object] = lambda _error: None,
        returned: Callable[[int], object] = lambda _count: None,
    ) -> None:
        self._url, self._limit = url, failures
        self._lost, self._returned = lost, returned
        self._reset()

    def _reset(self) -> None:
        self.failures = 0
        """Calls in a row that could not reach the server."""
        self.is_open = False
        self.not_asked = 0
        """Calls since it opened that failed at once."""
        self._until = 0.0
        self._turn: list[None] = []
        """Has an element for who comes first: taking it out is atomic."""

    def asking(self) -> _Attempt:
        """
        Return a context manager that notes what becomes of its block, which asks the server.

        Entering it raises ServerNotAsked while others wait.
        """
        return _Attempt(self)

    def take_turn(self) -> None:
        """Let this call be the one that tries, or raise ServerNotAsked."""
        now = time.monotonic()
        if now >= self._until:
            try:
                self._turn.pop()
            except IndexError:
                if now > self._until + _LOST:
                    self.try_again()
            else:
                return
        self.not_asked += 1
        raise ServerNotAsked(
            f"{self._url} could not be reached {self.failures} times in a row, so it was not asked "
            f"this time. It is tried again in {max(self._until - now, 0):.1f} s or sooner. Start "
            f"the server with “manage.py runws”, or correct CENTRIFUGO_HOST and CENTRIFUGO_PORT."
        )

    def try_again(self) -> None:
        """Note that an attempt was given up, which tells nothing."""
        if self.is_open:
            self._turn = [None]

    def failed(self, exc: Exception, seconds: float) -> None:
        """Note that an attempt could not reach the server, after so many seconds."""
        self.failures += 1
        if self._limit is None or self.failures < self._limit:
            return
        self._until = time.monotonic() + min(max(_TIMES * seconds, _SHORTEST), _LONGEST)
        self._turn = [None]
        if not self.is_open:
            self.is_open = True
            logger.error(
                "%d publications in a row failed; until the server replies, others fail at once: "
                "%s",
                self.failures,
                exc,
            )
            self._lost(exc)

    def succeeded(self) -> None:
        """Note that the server has replied, whatever it says."""
        was_open, count = self.is_open, self.not_asked
        self._reset()
        if was_open:
            logger.warning("%s replies again. %d calls failed meanwhile.", self._url, count)
            self._returned(count)


class _Attempt:
    """One call; a class, since publish() makes one each time."""

    __slots__ = ("_began", "_breaker")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> None:
        if self._breaker.is_open:
            self._breaker.take_turn()
        self._began = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        breaker = self._breaker
        if isinstance(exc, ServerUnreachable | PublishTimeout):
            breaker.failed(exc, time.monotonic() - self._began)
        elif exc is not None and not isinstance(exc, Exception):
            breaker.try_again()
        elif breaker.failures:
            breaker.succeeded()
