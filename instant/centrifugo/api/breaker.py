"""A server that can't be reached is not asked again and again: callers fail at once meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Note what becomes of the block, which asks the server; raise ServerNotAsked instead."""
        if self.is_open:
            self._take_turn()
        began = time.monotonic()
        try:
            yield
        except (ServerUnreachable, PublishTimeout) as exc:
            self._failed(exc, time.monotonic() - began)
            raise
        except Exception:  # a reply, whatever it says
            self._succeeded()
            raise
        except BaseException:  # an attempt that is given up tells nothing
            self._try_again()
            raise
        if self.failures:
            self._succeeded()

    def _take_turn(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            try:
                self._turn.pop()
            except IndexError:
                if now > self._until + _LOST:
                    self._try_again()
            else:
                return
        self.not_asked += 1
        raise ServerNotAsked(
            f"{self._url} could not be reached {self.failures} times in a row, so it was not asked "
            f"this time. It is tried again in {max(self._until - now, 0):.1f} s or sooner. Start "
            f"the server with “manage.py runws”, or correct CENTRIFUGO_HOST and CENTRIFUGO_PORT."
        )

    def _try_again(self) -> None:
        if self.is_open:
            self._turn = [None]

    def _failed(self, exc: Exception, seconds: float) -> None:
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

    def _succeeded(self) -> None:
        was_open, count = self.is_open, self.not_asked
        self._reset()
        if was_open:
            logger.warning("%s replies again. %d calls failed meanwhile.", self._url, count)
            self._returned(count)
