"""The connections that have something to write, written to once per turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from operator import methodcaller
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # It imports SQLite, which takes a while, and most servers have no history file.
    from instant.embedded.state.history_writer import HistoryWriter

# Connections that are written to before the event loop does anything else: a fan-out to thousands
# must not keep a publisher waiting for its answer.
FLUSH_BATCH = 128
_FLUSH = methodcaller("flush")
_FLUSH_HELD = methodcaller("flush_held")


class QueuingConnection(Protocol):
    """A connection that queues its messages."""

    def flush(self) -> None:
        """Write what is queued."""

    def hold(self) -> None:
        """Set what is queued aside for `flush_held`."""

    def flush_held(self) -> None:
        """Write what was set aside."""


class WriteQueue:
    """Has connections write what they queued, once per turn of the event loop.

    With a history file they write when the history that their messages tell of is written.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, history_writer: HistoryWriter | None = None
    ) -> None:
        self._loop = loop
        self._history_writer = history_writer
        self._connections: deque[QueuingConnection] = deque()
        self._scheduled = False

    def add(self, connection: QueuingConnection) -> None:
        """Have the connection write its queue soon."""
        self._connections.append(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        writer = self._history_writer
        writing = writer.unwritten() if writer is not None else None
        if writing is None:
            self._write(self._connections, _FLUSH)
            return
        # These messages may tell of history that isn't written yet, later ones of still more.
        held, self._connections = self._connections, deque()
        for connection in held:
            connection.hold()
        writing.add_done_callback(lambda _: self._write(held, _FLUSH_HELD))

    def _write(
        self,
        connections: deque[QueuingConnection],
        write: Callable[[QueuingConnection], None],
    ) -> None:
        for _ in range(min(len(connections), FLUSH_BATCH)):
            write(connections.popleft())
        if connections and connections is not self._connections:
            self._loop.call_soon(self._write, connections, write)
        elif self._connections:
            self._loop.call_soon(self._run)
        else:
            self._scheduled = False
