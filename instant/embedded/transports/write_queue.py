"""Writes of many connections, once per turn of the event loop, and after the journal."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from operator import methodcaller
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from instant.embedded.state.history_writer import HistoryWriter

# Connections written to before the event loop looks at anything else: a fan-out to thousands does
# not keep a publisher waiting for its answer.
FLUSH_BATCH = 128
_FLUSH = methodcaller("flush")
_RELEASE = methodcaller("release")


class Queueing(Protocol):
    """What has messages to write."""

    def flush(self) -> None:
        """Write what is queued."""

    def seal(self) -> None:
        """Set what is queued aside, to be written when the journal has caught up with it."""

    def release(self) -> None:
        """Write what was set aside."""


class Flusher:
    """Writes what connections have queued, once per turn of the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, history_writer: HistoryWriter | None = None
    ) -> None:
        self._loop = loop
        self._history_writer = history_writer
        self._dirty: deque[Queueing] = deque()
        self._scheduled = False

    def mark(self, connection: Queueing) -> None:
        """Have the connection's queue written soon."""
        self._dirty.append(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        writer = self._history_writer
        writing = writer.unwritten() if writer is not None else None
        if writing is None:
            self._take(self._dirty, _FLUSH)
            return
        # What is queued may tell of what isn't written yet, and what is queued later of still more.
        sealed, self._dirty = self._dirty, deque()
        for connection in sealed:
            connection.seal()
        writing.add_done_callback(lambda _: self._release(sealed))

    def _release(self, sealed: deque[Queueing]) -> None:
        self._take(sealed, _RELEASE)

    def _take(self, waiting: deque[Queueing], write: Callable[[Queueing], None]) -> None:
        for _ in range(min(len(waiting), FLUSH_BATCH)):
            write(waiting.popleft())
        if waiting and waiting is not self._dirty:
            self._loop.call_soon(self._take, waiting, write)
        elif self._dirty:
            self._loop.call_soon(self._run)
        else:
            self._scheduled = False
