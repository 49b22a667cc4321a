"""One stream while it is written: what is gathered, when it is written down, and how it ends."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from math import inf
from typing import Any

from instant import conf
from instant.channels.names import USER_NAMESPACE, namespace_of
from instant.exceptions import StreamCancelled, StreamError, StreamTooLong
from instant.namespaces import find_namespace
from instant.streaming import rows, telling
from instant.streaming.keeper import keeper
from instant.streaming.model import Stream
from instant.streaming.text import clean, length
from instant.tenancy import current as tenancy

__all__ = ["BETWEEN", "Writing"]

logger = logging.getLogger("instant.streams")

BETWEEN = 0.055
"""Seconds between two messages at least, which makes 18 a second."""

_MERGED, _LARGE = 256, 65_536
"""So many pieces, or characters in several, become one piece."""


class Writing:
    """
    What both forms of ``stream()`` have in common; for several threads.

    Whoever writes writes down what was gathered, if the last time is long enough ago. What stays
    behind because nothing follows is written down by the keeper, a thread beside all streams.
    """

    def __init__(self, channel: str, *, user: Any, resumes: bool, limit: int | None) -> None:
        self.channel = channel
        self._user, self._resumes, self._limit = user, resumes, limit
        self._stream: Stream | None = None
        self._gathered: list[str] = []
        self._length = 0
        self._flushed = self._seen = self._told = 0.0
        self._over: Exception | None = None
        self._lock, self._writes = threading.Lock(), threading.Lock()
        self._merge_from = self._pieces = 0
        self._is_kept = False
        self.tenant = ""

    @property
    def stream(self) -> Stream:
        """Return the row, which is there from the beginning on."""
        if self._stream is None:
            raise ValueError("Write inside the block: “with stream(…) as out: out.write(…)”.")
        return self._stream

    @property
    def length(self) -> int:
        """Return the length of the text, with what isn't written down yet."""
        return self._length

    def begin(self) -> None:
        """Make it this one's, and tell pages that it begins."""
        if self._stream is not None:
            raise ValueError("A stream is written in one block. Call stream() again.")
        rows.close_old_connection()
        if self._limit is None:
            self._limit = conf.current().stream_limit
        self.tenant = tenancy.current()
        _warn_where_nobody_reads(self.channel)
        # A test's transaction hides the row from another thread.
        is_alone = rows.is_in_transaction()
        stream = rows.begin(self.channel, user=self._user, resumes=self._resumes)
        self._stream = stream
        self._length = self._merge_from = stream.length
        self._flushed = self._seen = self._told = time.monotonic()
        telling.tell(stream, stream.length)
        if not is_alone:
            self._is_kept = True
            keeper.watch(self)

    def add(self, text: str) -> bool:
        """Gather text; tell whether it is time to write it down. Raises StreamError."""
        stream = self.stream
        if not isinstance(text, str):
            raise TypeError(f"A stream is text, not {type(text).__name__}.")
        if stream.state != Stream.State.WRITING:
            raise ValueError(f"{self.channel} has ended.")
        text = clean(text)
        with self._lock:
            if self._over is not None:
                raise self._over
            size = self._length + length(text)
            if self._limit is not None and size > self._limit:
                raise StreamTooLong(
                    f"{self.channel} would have {size:,} characters, and {self._limit:,} are "
                    "possible. See INSTANT['STREAM_LIMIT'], or stream(…, limit=)."
                )
            is_first = text and not self._gathered
            if text:
                self._gathered.append(text)
                self._length = size
        is_due = time.monotonic() >= self._flushed + BETWEEN
        if is_first and not is_due:
            keeper.ring()
        return bool(self._gathered) and is_due

    def flush(self) -> None:
        """
        Write down what is gathered, and tell pages; raises what the keeper has met, too.

        In a transaction, which began in the block, the keeper does it: by a connection of its own,
        so that pages see the text before the commit.
        """
        if self._is_kept and rows.is_in_transaction():
            if self._over is not None:
                raise self._over
            keeper.ring()
            return
        with self._writes:
            if self._over is not None:
                raise self._over
            self._write_down()

    def _write_down(self, state: str = Stream.State.WRITING) -> None:
        stream = self.stream
        with self._lock:
            text, self._gathered = "".join(self._gathered), []
        if not text and state == Stream.State.WRITING:
            return
        at = stream.length
        try:
            stream.length = rows.append(stream, text, state)
        except StreamError as exc:
            self._over = exc
            raise
        except BaseException:
            with self._lock:
                self._gathered.insert(0, text)
            raise
        stream.state = state
        self._flushed = self._seen = self._told = time.monotonic()
        telling.tell(stream, at, text)
        self._merge_when_many(at)

    def _merge_when_many(self, at: int) -> None:
        """
        Each character is written twice at most, however long the text becomes.

        ``at`` is where the last one begins. If that is large it stays as it is: whoever reads a
        part of the text reads whole pieces.
        """
        stream, self._pieces = self.stream, self._pieces + 1
        is_over = stream.state != Stream.State.WRITING
        if self._pieces < _MERGED and stream.length - self._merge_from < _LARGE and not is_over:
            return
        until, count = stream.length, self._pieces
        if until - at >= _LARGE:
            until, count = at, count - 1
        if count > 1:
            rows.merge(stream, self._merge_from, until)
        self._merge_from, self._pieces = stream.length, 0

    def end(self, state: str) -> None:
        """Write down the rest and how it ended, and tell pages; raises as write() does."""
        keeper.forget(self)
        with self._writes, suppress(StreamError):
            if self._over is None:
                self._write_down(state)
        if isinstance(self._over, StreamCancelled):
            self.stream.state = Stream.State.CANCELLED
        elif self._over is not None:
            self.stream.state = Stream.State.FAILED
            raise self._over

    def is_cancelled(self, error: BaseException | None) -> bool:
        """Tell whether an error says that this stream was cancelled."""
        return isinstance(error, StreamCancelled) and error is self._over

    def due(self) -> float:
        """Return when the keeper has something to do, by ``time.monotonic()``."""
        if self._over is not None:
            return inf
        beat = self._seen + rows.BEAT
        return min(self._flushed + BETWEEN, beat) if self._gathered else beat

    def keep(self) -> None:
        """Do what is due, for the keeper; raises what the database raises."""
        if self._over is not None or not self._writes.acquire(blocking=False):
            return  # whoever writes just now does it
        try:
            with tenancy.activate(self.tenant):
                if self._gathered:
                    self._write_down()
                elif rows.beat(self.stream):
                    telling.tell(self.stream, self.stream.length)
                    self._told = time.monotonic()
            self._seen = time.monotonic()
        except StreamError as exc:
            self._over = exc
        finally:
            self._writes.release()

    def is_silent(self) -> bool:
        """Tell whether pages have heard nothing for so long that they need a sign of life."""
        return (
            self._over is None
            # Whose lease could not be renewed just now isn't known to be alive.
            and time.monotonic() - self._seen < rows.BEAT
            and time.monotonic() - self._told >= rows.SIGN
        )

    def sign(self) -> None:
        """Publish one."""
        self._told = time.monotonic()
        with tenancy.activate(self.tenant):
            telling.sign(self.stream)


def _warn_where_nobody_reads(channel: str) -> None:
    """Log that no page may read a channel of a namespace that no code declares."""
    name = namespace_of(channel)
    if name and name != USER_NAMESPACE and find_namespace(channel) is None:
        logger.warning(
            "%s: no page may read this stream, since no namespace in a realtime.py has such a "
            "channel. Declare one with name = %r and a pattern that fits.",
            channel,
            name,
        )
