"""Publications kept per channel: offsets, epochs, and what a publisher may repeat safely."""

from __future__ import annotations

import heapq
import secrets
import string
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from instant.embedded.json_text import load, quote

if TYPE_CHECKING:
    from .history_file import PublicationRow, RepeatRow, StreamRow
    from .history_writer import Journal

# How long a publish with an idempotency key is remembered (Centrifugo's brokers: 5 minutes).
REPEAT_WINDOW = 300.0
# Reading prolongs the life of a position. The journal hears of it after this part of that life, so
# that a crash costs a position that was only read no more than that.
NOTE_AFTER = 0.05


class Position(NamedTuple):
    """A place in a channel's stream."""

    offset: int = 0
    epoch: str = ""


@dataclass(slots=True)
class Publication:
    """One publication; `data`, `info` and `tags` are JSON texts, "" where absent."""

    data: str
    info: str = ""
    tags: str = ""
    version: int = 0
    offset: int = 0
    epoch: str = ""

    def tag_map(self) -> dict[str, str]:
        """Return the tags by name."""
        found: dict[str, str] = load(self.tags) if self.tags else {}
        return found

    def fields(self, data: str, *, with_epoch: bool, delta: bool = False) -> str:
        """Write the publication with other data in its place."""
        out = '{"data":' + data
        if self.info:
            out += ',"info":' + self.info
        if self.offset:
            out += f',"offset":{self.offset}'
        if self.tags:
            out += ',"tags":' + self.tags
        if delta:
            out += ',"delta":true'
        if with_epoch:
            # The client protocol names the epoch with a stream's first publication only.
            if self.epoch:
                out += f',"epoch":"{self.epoch}"'
            if self.version:
                out += f',"version":{self.version}'
        return out + "}"

    def json(self) -> str:
        """Write the publication as the client protocol has it."""
        return self.fields(self.data, with_epoch=True)

    def api_json(self) -> str:
        """Write the publication as the HTTP API has it: no epoch, no version."""
        return self.fields(self.data, with_epoch=False)

    def full_text(self) -> str:
        """Write the publication for a reader of deltas, data whole: a JSON string of its text."""
        return self.fields(quote(self.data), with_epoch=False)


def new_epoch() -> str:
    """Make a name for the life of a stream."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(8))


class Stream:
    """One channel's kept publications."""

    __slots__ = (
        "epoch",
        "expires",
        "items",
        "meta_expires",
        "meta_noted",
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
        # The end of the position's life as the journal has it; reading alone moves the other.
        self.meta_noted = 0.0

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
        """Append, give the next offset, forget what is beyond `size`."""
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
        """Return up to `limit` publications (all where it is negative), oldest first.

        With `since`, those after that offset; reversed, those before it, newest first.
        """
        items = list(self.items)
        if since is not None:
            if reverse:
                # A position the stream doesn't hold any more has nothing before it that it does.
                start = since.offset - 1
                held = any(item.offset == start for item in items)
                items = [item for item in items if item.offset <= start] if held else []
            else:
                items = [item for item in items if item.offset > since.offset]
        if reverse:
            items.reverse()
        return items if limit < 0 else items[:limit]


class Streams:
    """All channels' streams, each with two clocks: its publications' and its position's.

    `now` returns seconds; expiry is looked at when a stream is touched and by `sweep`. A `journal`
    is told of every change that has to outlive the process.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.journal: Journal | None = None
        self._streams: dict[str, Stream] = {}
        self._repeats: dict[tuple[str, str], tuple[float, Position]] = {}
        self._repeat_ends: list[tuple[float, tuple[str, str]]] = []

    def __len__(self) -> int:
        return len(self._streams)

    def find(self, channel: str) -> Stream | None:
        """Return the stream if there is one, without touching its clocks."""
        stream = self._streams.get(channel)
        if stream is None:
            return None
        now = self._now()
        if stream.meta_expires and now >= stream.meta_expires:
            del self._streams[channel]
            if self.journal is not None:
                self.journal.dropped(channel)
            return None
        if stream.items and stream.expires and now >= stream.expires:
            self._clear(channel, stream)
        return stream

    def get(self, channel: str, meta_ttl: float) -> Stream:
        """Return the channel's stream, a new one where there was none; its position lives on."""
        stream = self.find(channel)
        created = stream is None
        if stream is None:
            stream = self._streams[channel] = Stream()
        stream.meta_expires = self._now() + meta_ttl if meta_ttl else 0.0
        if self.journal is not None and (
            created or stream.meta_expires - stream.meta_noted > meta_ttl * NOTE_AFTER
        ):
            self._note(channel, stream)
        return stream

    def _note(self, channel: str, stream: Stream) -> None:
        stream.meta_noted = stream.meta_expires
        if self.journal is not None:
            self.journal.changed(channel, stream)

    def _clear(self, channel: str, stream: Stream) -> None:
        stream.items.clear()
        if self.journal is not None:
            self.journal.trimmed(channel, stream.top + 1)

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

        Returns the stream's position, the publication before this one, and whether it was kept: one
        with a version that isn't newer is dropped.
        """
        stream = self.get(channel, meta_ttl)
        stream.expires = self._now() + ttl
        if stream.stale(publication.version, version_epoch):
            self._note(channel, stream)
            return stream.position, None, False
        previous = stream.items[-1] if stream.items else None
        stream.add(publication, size, publication.version, version_epoch)
        if self.journal is not None:
            self._note(channel, stream)
            self.journal.added(channel, publication)
            lowest = stream.items[0].offset
            if lowest > 1:
                self.journal.trimmed(channel, lowest)
        return stream.position, previous, True

    def remove(self, channel: str) -> None:
        """Forget a channel's publications; offsets go on."""
        stream = self.find(channel)
        if stream is not None:
            self._clear(channel, stream)

    def repeated(self, channel: str, key: str) -> Position | None:
        """Return what a publish with this key was answered lately, None for a new one."""
        found = self._repeats.get((channel, key))
        return found[1] if found is not None and found[0] > self._now() else None

    def remember(self, channel: str, key: str, position: Position) -> None:
        """Answer further publishes with this key with `position`."""
        until = self._now() + REPEAT_WINDOW
        self._remember(channel, key, until, position)
        if self.journal is not None:
            self.journal.repeatable(channel, key, until, position)

    def _remember(self, channel: str, key: str, until: float, position: Position) -> None:
        self._repeats[channel, key] = (until, position)
        heapq.heappush(self._repeat_ends, (until, (channel, key)))

    def restore(
        self,
        streams: Iterable[StreamRow],
        publications: Iterable[PublicationRow],
        repeats: Iterable[RepeatRow],
        wall: float,
    ) -> None:
        """Take over what a journal kept; `wall` is the Unix time of this moment."""
        behind = self._now() - wall
        for row in streams:
            stream = self._streams[row.channel] = Stream(row.epoch)
            stream.top = row.top
            stream.version, stream.version_epoch = int(row.version), row.version_epoch
            stream.expires = row.expires + behind if row.expires else 0.0
            stream.meta_expires = row.meta_expires + behind if row.meta_expires else 0.0
            stream.meta_noted = stream.meta_expires
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
        for repeat in repeats:
            position = Position(repeat.offset, repeat.epoch)
            self._remember(repeat.channel, repeat.key, repeat.until + behind, position)

    def note_all(self) -> None:
        """Tell the journal how long each position lives, to the second."""
        for channel, stream in self._streams.items():
            self._note(channel, stream)

    def sweep(self) -> None:
        """Free what has expired."""
        now = self._now()
        while self._repeat_ends and self._repeat_ends[0][0] <= now:
            _, name = heapq.heappop(self._repeat_ends)
            found = self._repeats.get(name)
            if found is not None and found[0] <= now:
                del self._repeats[name]
        for channel in list(self._streams):
            self.find(channel)
