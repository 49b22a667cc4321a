"""Writing changes of streams to the history file: in batches, by a thread beside the event loop.

A crash must not undo what a client or a publisher has been told: if an offset that somebody has
seen were given to another publication, that one would never be noticed. So whoever is about to
tell them waits until everything is `written`. All changes since the last batch are one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from instant.embedded.errors import HistoryFileError

from .history_file import Batch, HistoryFile, KeyRow, PublicationRow, StreamRow
from .publication import Position, Publication
from .streams import Stream

log = logging.getLogger("instant.embedded")


def _unix_time(at: float, ahead: float) -> float:
    return at + ahead if at else 0.0


class HistoryWriter:
    """Records the changes of streams (see `streams.Recorder`) in a history file.

    `now` is the streams' clock, `wall` is Unix time. `failed` is called once, when the file can't
    be written any more: whoever waits then waits for ever, and the server has to stop.
    """

    def __init__(
        self,
        file: HistoryFile,
        now: Callable[[], float],
        wall: Callable[[], float],
        failed: Callable[[HistoryFileError], None],
    ) -> None:
        self._file = file
        self._now = now
        self._wall = wall
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="instant-history")
        self._dropped: dict[str, None] = {}
        self._streams: dict[str, Stream] = {}
        self._publications: dict[str, list[Publication]] = {}
        self._lowest: dict[str, int] = {}
        self._keys: list[KeyRow] = []
        self._changed = False
        self._next: asyncio.Future[None] = self._loop.create_future()
        self._writing: asyncio.Future[None] | None = None
        self._broken = False

    # -- changes ----------------------------------------------------------------------------------

    def changed(self, channel: str, stream: Stream) -> None:
        """Record that a stream's position, version or times changed."""
        self._streams[channel] = stream
        self._schedule()

    def added(self, channel: str, publication: Publication) -> None:
        """Record a new publication."""
        self._publications.setdefault(channel, []).append(publication)
        self._schedule()

    def trimmed(self, channel: str, lowest: int) -> None:
        """Record that no publication below an offset is kept any more."""
        self._lowest[channel] = lowest
        self._schedule()

    def dropped(self, channel: str) -> None:
        """Record that a stream is gone, with everything in it."""
        self._dropped[channel] = None
        self._streams.pop(channel, None)
        self._publications.pop(channel, None)
        self._lowest.pop(channel, None)
        self._schedule()

    def key_used(self, channel: str, key: str, until: float, position: Position) -> None:
        """Record where a publication with an idempotency key is; `until` is the streams' time."""
        ends = until - self._now() + self._wall()
        self._keys.append(KeyRow(channel, key, ends, position.offset, position.epoch))
        self._schedule()

    # -- writing ----------------------------------------------------------------------------------

    def unwritten(self) -> asyncio.Future[None] | None:
        """Return a future that is done once all changes so far are written; None if they are."""
        return self._next if self._changed or self._broken else self._writing

    async def written(self) -> None:
        """Wait until all changes so far are written."""
        writing = self.unwritten()
        if writing is not None:
            # Many wait for the same future: cancelling one of them must not cancel it.
            await asyncio.shield(writing)

    def _schedule(self) -> None:
        if not self._changed:
            self._changed = True
            if self._writing is None:
                self._loop.call_soon(self._begin)

    def _batch(self) -> Batch:
        ahead = self._wall() - self._now()
        batch = Batch(dropped=list(self._dropped), keys=self._keys, lowest=[*self._lowest.items()])
        for channel, stream in self._streams.items():
            batch.streams.append(
                StreamRow(
                    channel,
                    stream.epoch,
                    stream.top,
                    str(stream.version),
                    stream.version_epoch,
                    _unix_time(stream.expires, ahead),
                    _unix_time(stream.meta_expires, ahead),
                )
            )
        for channel, publications in self._publications.items():
            lowest = self._lowest.get(channel, 0)
            batch.publications += [
                PublicationRow(
                    channel, found.offset, found.data, found.info, found.tags, str(found.version)
                )
                for found in publications
                if found.offset >= lowest
            ]
        self._dropped, self._streams, self._publications = {}, {}, {}
        self._lowest, self._keys = {}, []
        return batch

    def _begin(self) -> None:
        if self._writing is not None or not self._changed or self._broken:
            return
        self._changed = False
        self._writing, self._next = self._next, self._loop.create_future()
        work = self._loop.run_in_executor(
            self._thread, self._file.write, self._batch(), self._wall()
        )
        work.add_done_callback(self._finish)

    def _finish(self, work: asyncio.Future[None]) -> None:
        error = work.exception()
        written, self._writing = self._writing, None
        if error is not None:
            self._broken = True
            log.critical("the history can't be written: %s", error)
            self._failed(
                error if isinstance(error, HistoryFileError) else HistoryFileError(str(error))
            )
            return
        if written is not None and not written.done():
            written.set_result(None)
        self._begin()

    async def close(self) -> None:
        """Write what is left and close the file."""
        if not self._broken:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.written(), 10)
        await self._loop.run_in_executor(None, self._thread.shutdown)
        self._file.close()
