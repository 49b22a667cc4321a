"""Streams: the publications kept for each channel, and the idempotency keys that were used."""

from __future__ import annotations

import heapq
import secrets
import string
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import TYPE_CHECKING, Protocol

from .publication import Position, Publication

if TYPE_CHECKING:
    # It imports SQLite, which takes a while, and most servers have no history file.
    from .history_file import KeyRow, PublicationRow, StreamRow

# How long a publish with the same idempotency key is not published again; as in Centrifugo.
KEY_LIFETIME = 300.0
# Reading a position extends its life. That is recorded once this part of the life is over, so a
# crash takes no more than that from a position which was only read.
RECORD_AFTER = 0.05
# Whoever reads the history of a channel, or subscribes to it, gets a position in its stream. So
# many streams that nothing was ever published to are kept for those who may come back. A name
# costs nothing to make up, and more streams than that would only fill the memory.
MOST_UNUSED = 10_000
# Streams that `sweep` looks at before others have their turn.
SWEEP_BATCH = 500
# Makes a letter of any byte.
_LETTERS = (string.ascii_letters.encode() * 5)[:256]


def new_epoch() -> str:
    """Make up a name for the life of a stream."""
    return secrets.token_bytes(8).translate(_LETTERS).decode()


class Stream:
    """The publications that are kept for one channel."""

    __slots__ = (
        "epoch",
        "expires",
        "items",
        "meta_expires",
        "meta_recorded",
        "top",
        "version",
        "version_epoch",
    )

    def __init__(self, epoch: str = "") -> None:
        self.epoch = epoch or new_epoch()
        self.top = 0
        self.items: deque[Publication] = deque()
        self.version = 0
        self.version_epoch = ""
        self.expires = 0.0
        self.meta_expires = 0.0
        # The end of the position's life as it was recorded; reading moves only the other.
        self.meta_recorded = 0.0

    @property
    def position(self) -> Position:
        """Return where the stream ends."""
        return Position(self.top, self.epoch)

    def stale(self, version: int, version_epoch: str) -> bool:
        """Tell whether a publication of this version comes too late."""
        if not version or (version_epoch and version_epoch != self.version_epoch):
            return False
        return version <= self.version

    def add(self, publication: Publication, size: int, version: int, version_epoch: str) -> None:
        """Append with the next offset, and drop the oldest above `size`."""
        self.top += 1
        publication.offset = self.top
        if self.top == 1:
            publication.epoch = self.epoch
        self.items.append(publication)
        while len(self.items) > size:
            self.items.popleft()
        self.version, self.version_epoch = version, version_epoch

    def read(
        self, limit: int, *, since: Position | None = None, reverse: bool = False
    ) -> list[Publication]:
        """Return up to `limit` publications, oldest first; all of them if it is negative.

        With `since`, return those after that offset; reversed, those before it, newest first.
        """
        items = list(self.items)
        if since is not None:
            if reverse:
                # If the stream doesn't hold the position any more, it holds nothing before it.
                start = since.offset - 1
                held = any(item.offset == start for item in items)
                items = [item for item in items if item.offset <= start] if held else []
            else:
                items = [item for item in items if item.offset > since.offset]
        if reverse:
            items.reverse()
        return items if limit < 0 else items[:limit]


class Recorder(Protocol):
    """Who is told of every change to streams that has to outlive the process."""

    def changed(self, channel: str, stream: Stream) -> None:
        """Record that a stream's position, version or times changed."""

    def added(self, channel: str, publication: Publication) -> None:
        """Record a new publication."""

    def trimmed(self, channel: str, lowest: int) -> None:
        """Record that no publication below an offset is kept any more."""

    def dropped(self, channel: str) -> None:
        """Record that a stream is gone, with everything in it."""

    def key_used(self, channel: str, key: str, until: float, position: Position) -> None:
        """Record where a publication with an idempotency key is; `until` is the streams' time."""


class Streams:
    """The streams of all channels. Publications and positions expire, each at their own time.

    `now` returns seconds, `has_readers` tells whether a channel has subscribers. What has expired
    is found when a stream is used, and by `sweep`. A `recorder` is told of every change.
    """

    def __init__(self, now: Callable[[], float], has_readers: Callable[[str], bool]) -> None:
        self._now = now
        self._has_readers = has_readers
        self.recorder: Recorder | None = None
        self._streams: dict[str, Stream] = {}
        # Channels that nothing was published to; whoever was looked at longest ago is the first.
        self._unused: OrderedDict[str, None] = OrderedDict()
        self._keys: dict[tuple[str, str], tuple[float, Position]] = {}
        self._key_ends: list[tuple[float, tuple[str, str]]] = []

    def __len__(self) -> int:
        return len(self._streams)

    def find(self, channel: str) -> Stream | None:
        """Return the stream if there is one, without touching its clocks."""
        stream = self._streams.get(channel)
        if stream is None:
            return None
        now = self._now()
        if stream.meta_expires and now >= stream.meta_expires:
            self._drop(channel)
            return None
        if stream.items and stream.expires and now >= stream.expires:
            self._clear(channel, stream)
        return stream

    def get(self, channel: str, meta_ttl: float) -> Stream:
        """Return the channel's stream, new if there was none; its position's life is extended."""
        stream = self.find(channel)
        created = stream is None
        if stream is None:
            stream = self._streams[channel] = Stream()
        stream.meta_expires = self._now() + meta_ttl if meta_ttl else 0.0
        if self.recorder is not None and (
            created or stream.meta_expires - stream.meta_recorded > meta_ttl * RECORD_AFTER
        ):
            self._record(channel, stream)
        if not stream.top:
            self._unused[channel] = None
            self._unused.move_to_end(channel)
            if len(self._unused) > MOST_UNUSED:
                self._drop_unused()
        return stream

    def _drop_unused(self) -> None:
        # One comes, so two are looked at: however many have readers, those without can't add up.
        for channel in tuple(islice(self._unused, 2)):
            if self._has_readers(channel):
                self._unused.move_to_end(channel)
            else:
                self._drop(channel)

    def _drop(self, channel: str) -> None:
        del self._streams[channel]
        self._unused.pop(channel, None)
        if self.recorder is not None:
            self.recorder.dropped(channel)

    def _record(self, channel: str, stream: Stream) -> None:
        stream.meta_recorded = stream.meta_expires
        if self.recorder is not None:
            self.recorder.changed(channel, stream)

    def _clear(self, channel: str, stream: Stream) -> None:
        stream.items.clear()
        if self.recorder is not None:
            self.recorder.trimmed(channel, stream.top + 1)

    def keep(
        self,
        channel: str,
        publication: Publication,
        *,
        size: int,
        ttl: float,
        meta_ttl: float,
        version_epoch: str = "",
    ) -> tuple[Position, Publication | None, bool]:
        """Add a publication.

        Returns the stream's position, the publication before this one, and whether this one was
        kept: it is dropped if it has a version that isn't newer.
        """
        stream = self.get(channel, meta_ttl)
        stream.expires = self._now() + ttl
        if stream.stale(publication.version, version_epoch):
            self._record(channel, stream)
            return stream.position, None, False
        previous = stream.items[-1] if stream.items else None
        stream.add(publication, size, publication.version, version_epoch)
        if stream.top == 1:
            self._unused.pop(channel, None)
        if self.recorder is not None:
            self._record(channel, stream)
            self.recorder.added(channel, publication)
            lowest = stream.items[0].offset
            if lowest > 1:
                self.recorder.trimmed(channel, lowest)
        return stream.position, previous, True

    def remove(self, channel: str) -> None:
        """Drop the publications of a channel; its offsets go on."""
        stream = self.find(channel)
        if stream is not None:
            self._clear(channel, stream)

    def find_key(self, channel: str, key: str) -> Position | None:
        """Return where the publication with this key is, None for a new key."""
        found = self._keys.get((channel, key))
        return found[1] if found is not None and found[0] > self._now() else None

    def add_key(self, channel: str, key: str, position: Position) -> None:
        """Answer further publishes with this key with `position`."""
        until = self._now() + KEY_LIFETIME
        self._add_key(channel, key, until, position)
        if self.recorder is not None:
            self.recorder.key_used(channel, key, until, position)

    def _add_key(self, channel: str, key: str, until: float, position: Position) -> None:
        self._keys[channel, key] = (until, position)
        heapq.heappush(self._key_ends, (until, (channel, key)))

    def restore(
        self,
        streams: Iterable[StreamRow],
        publications: Iterable[PublicationRow],
        keys: Iterable[KeyRow],
        wall: float,
    ) -> None:
        """Take over what a history file kept; `wall` is the Unix time of this moment."""
        behind = self._now() - wall
        for row in streams:
            stream = self._streams[row.channel] = Stream(row.epoch)
            stream.top = row.top
            stream.version, stream.version_epoch = int(row.version), row.version_epoch
            stream.expires = row.expires + behind if row.expires else 0.0
            stream.meta_expires = row.meta_expires + behind if row.meta_expires else 0.0
            stream.meta_recorded = stream.meta_expires
            if not stream.top:
                self._unused[row.channel] = None
        for kept in publications:
            stream = self._streams[kept.channel]
            stream.items.append(
                Publication(
                    data=kept.data,
                    info=kept.info,
                    tags=kept.tags,
                    version=int(kept.version),
                    offset=kept.offset,
                    epoch=stream.epoch if kept.offset == 1 else "",
                )
            )
        for used in keys:
            position = Position(used.offset, used.epoch)
            self._add_key(used.channel, used.key, used.until + behind, position)

    def record_all(self) -> None:
        """Record when each position ends, to the second."""
        for channel, stream in self._streams.items():
            self._record(channel, stream)

    def sweep(self) -> Iterator[None]:
        """Free what has expired; yields now and then, so that others may have their turn."""
        looked_at = count(1)
        now = self._now()
        while self._key_ends and self._key_ends[0][0] <= now:
            _, name = heapq.heappop(self._key_ends)
            found = self._keys.get(name)
            if found is not None and found[0] <= now:
                del self._keys[name]
            if next(looked_at) % SWEEP_BATCH == 0:
                yield
        for channel in list(self._streams):
            self.find(channel)
            if next(looked_at) % SWEEP_BATCH == 0:
                yield
