"""What happens to streams, written to the history file in batches, beside the event loop.

Nothing that a client or a publisher is told may be forgotten by a crash: an offset that was seen
and then given to another publication would hide that one. So whoever speaks to them first waits for
`barrier`, and what happened since the last batch is one transaction of a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from instant.embedded.errors import StoreError

from .history_file import Batch, PublicationRow, RepeatRow, Store, StreamRow

if TYPE_CHECKING:
    from .streams import Position, Publication, Stream

log = logging.getLogger("instant.embedded")


class Journal:
    """Keeps a store up to date with streams.

    `now` is the streams' clock, `wall` is Unix time. `failed` is called once where the file can't
    be written any more: barriers then never open, and the server has to stop.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        wall: Callable[[], float],
        failed: Callable[[StoreError], None],
    ) -> None:
        self._store = store
        self._now = now
        self._wall = wall
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="instant-history")
        self._gone: dict[str, None] = {}
        self._streams: dict[str, Stream] = {}
        self._publications: dict[str, list[Publication]] = {}
        self._floors: dict[str, int] = {}
        self._repeats: list[RepeatRow] = []
        self._pending = False
        self._next: asyncio.Future[None] = self._loop.create_future()
        self._writing: asyncio.Future[None] | None = None
        self._broken = False

    # -- what happens -----------------------------------------------------------------------------

    def changed(self, channel: str, stream: Stream) -> None:
        """Note that a stream's own members are other ones."""
        self._streams[channel] = stream
        self._schedule()

    def added(self, channel: str, publication: Publication) -> None:
        """Note a new publication."""
        self._publications.setdefault(channel, []).append(publication)
        self._schedule()

    def trimmed(self, channel: str, lowest: int) -> None:
        """Note that no publication below an offset is kept."""
        self._floors[channel] = lowest
        self._schedule()

    def dropped(self, channel: str) -> None:
        """Note that a stream is gone, with everything in it."""
        self._gone[channel] = None
        self._streams.pop(channel, None)
        self._publications.pop(channel, None)
        self._floors.pop(channel, None)
        self._schedule()

    def repeatable(self, channel: str, key: str, until: float, position: Position) -> None:
        """Note what publishes with a key are answered until a moment of the streams' clock."""
        ends = until - self._now() + self._wall()
        self._repeats.append(RepeatRow(channel, key, ends, position.offset, position.epoch))
        self._schedule()

    # -- writing it -------------------------------------------------------------------------------

    def barrier(self) -> asyncio.Future[None] | None:
        """Return what opens when all that has happened is written; None where it is already."""
        return self._next if self._pending or self._broken else self._writing

    async def settled(self) -> None:
        """Wait until all that has happened is written."""
        barrier = self.barrier()
        if barrier is not None:
            # One of many who wait may be cancelled; the others still wait for the same thing.
            await asyncio.shield(barrier)

    def _schedule(self) -> None:
        if not self._pending:
            self._pending = True
            if self._writing is None:
                self._loop.call_soon(self._begin)

    def _moment(self, at: float, ahead: float) -> float:
        return at + ahead if at else 0.0

    def _batch(self) -> Batch:
        ahead = self._wall() - self._now()
        batch = Batch(gone=list(self._gone), repeats=self._repeats, floors=[*self._floors.items()])
        for channel, stream in self._streams.items():
            batch.streams.append(
                StreamRow(
                    channel,
                    stream.epoch,
                    stream.top,
                    str(stream.version),
                    stream.version_epoch,
                    self._moment(stream.expires, ahead),
                    self._moment(stream.meta_expires, ahead),
                )
            )
        for channel, publications in self._publications.items():
            lowest = self._floors.get(channel, 0)
            batch.publications += [
                PublicationRow(
                    channel, found.offset, found.data, found.info, found.tags, str(found.version)
                )
                for found in publications
                if found.offset >= lowest
            ]
        self._gone, self._streams, self._publications = {}, {}, {}
        self._floors, self._repeats = {}, []
        return batch

    def _begin(self) -> None:
        if self._writing is not None or not self._pending or self._broken:
            return
        self._pending = False
        self._writing, self._next = self._next, self._loop.create_future()
        work = self._loop.run_in_executor(
            self._thread, self._store.write, self._batch(), self._wall()
        )
        work.add_done_callback(self._written)

    def _written(self, work: asyncio.Future[None]) -> None:
        error = work.exception()
        opened, self._writing = self._writing, None
        if error is not None:
            self._broken = True
            log.critical("the history can't be written: %s", error)
            self._failed(error if isinstance(error, StoreError) else StoreError(str(error)))
            return
        if opened is not None and not opened.done():
            opened.set_result(None)
        self._begin()

    async def close(self) -> None:
        """Write what is left and give the file back."""
        if not self._broken:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.settled(), 10)
        await self._loop.run_in_executor(None, self._thread.shutdown)
        self._store.close()
