"""What travels: publications, one a channel, in envelopes that share one encoded payload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

__all__ = ["Envelope", "Position", "Publication", "Publications", "State"]

State = Literal["deferred", "queued", "sent", "failed", "refused"]
Position = tuple[int | None, str | None]
"""Offset and epoch."""


@dataclass(slots=True, eq=False)
class Publication:
    """One publication to one channel, as publish() returns it."""

    id: str
    """
    What subscribers receive as ``id``: unique to the call, or the same for all that have one
    idempotency key; it is the idempotency key where none was given. A view that answers it lets
    the page confirm what it showed already.
    """
    channel: str
    payload: Mapping[str, Any]
    """What subscribers receive: channel, site, message, data, event_class, bucket, id, tab."""
    state: State = "deferred"
    """
    ``deferred`` until the transaction commits (or the batch ends), then sent or failed.

    With the outbox ``queued`` as soon as it is a row, which is sent after the commit. ``refused``
    where ``@before_send`` lets nothing be sent.
    """
    offset: int | None = None
    """Position in the channel's history; None until known, or where there is no history."""
    epoch: str | None = None
    """Which history ``offset`` belongs to."""


class Publications(Sequence[Publication]):
    """
    The publications of one broadcast(), in the order of its channels.

    Each is made when the first is looked at: a thousand objects and a thousand positions
    that nobody reads would cost more than sending them.
    """

    __slots__ = ("_id", "_made", "_notes", "_payload", "channels")

    def __init__(self, id: str, channels: Sequence[str], payload: Mapping[str, Any]) -> None:  # noqa: A002  its name in Publication
        self._id = id
        self._payload = payload
        self._notes: list[Callable[[list[Publication]], None]] = []
        self._made: list[Publication] | None = None
        self.channels = channels

    @property
    def id(self) -> str:
        """Return the one id of all."""
        return self._id

    def note(self, note: Callable[[list[Publication]], None]) -> None:
        """Have something done with the publications as soon as there are any."""
        if self._made is None:
            self._notes.append(note)
        else:
            note(self._made)

    def _all(self) -> list[Publication]:
        if self._made is None:
            made = [Publication(self._id, channel, self._payload) for channel in self.channels]
            for note in self._notes:
                note(made)
            self._made, self._notes = made, []
        return self._made

    @overload
    def __getitem__(self, index: int) -> Publication: ...
    @overload
    def __getitem__(self, index: slice) -> list[Publication]: ...
    def __getitem__(self, index: int | slice) -> Publication | list[Publication]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Publication]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self.channels)

    def __repr__(self) -> str:
        return repr(self._all())


@dataclass(slots=True, eq=False)
class Envelope:
    """One payload, encoded when publish() was called, and the publications that carry it."""

    channels: Sequence[str]
    """
    One for publish(), one or more for broadcast(), as the server knows them.

    With tenants these are other names than those of the publications.
    """
    publications: Sequence[Publication]
    """One a channel, in the same order."""
    body: bytes
    """The payload as JSON."""
    idempotency_key: str
    """The server answers a repeated key without publishing again, for five minutes."""
    timeout: float | None = None
    """Seconds for each request that carries it; None: ``INSTANT["TIMEOUT"]``."""
    on_commit: bool = True
    """False where the caller wants no commit to be waited for."""
    using: str | None = None
    """The database whose transaction it belongs to, where the caller names one."""
    passing: bool = False
    """Whether it is for those who listen just now: the server's history has nothing of it."""

    def mark(self, state: State) -> None:
        """Set the state of all its publications."""
        Part(self, 0, len(self.channels)).mark(state)

    def give_up(self) -> None:
        """Mark what was not sent as failed."""
        Part(self, 0, len(self.channels)).give_up()

    def queue_failed(self) -> None:
        """Mark what failed as queued: there is a row of it, which is sent later."""
        Part(self, 0, len(self.channels)).queue_failed()


@dataclass(slots=True, eq=False)
class Part:
    """Some of an envelope's publications, which go into one request: those from start to stop."""

    envelope: Envelope
    start: int
    stop: int

    @property
    def channels(self) -> Sequence[str]:
        """Return the names that the server gets."""
        return self.envelope.channels[self.start : self.stop]

    def __len__(self) -> int:
        return self.stop - self.start

    def part(self, index: int) -> Part:
        """Return the part of one of its publications."""
        return Part(self.envelope, self.start + index, self.start + index + 1)

    def channel(self, index: int) -> str:
        """Return the channel of one of its publications, as it was given to publish()."""
        publications = self.envelope.publications
        if isinstance(publications, Publications):
            return publications.channels[self.start + index]
        return publications[self.start + index].channel

    def sent(self, positions: Callable[[], Sequence[Position]]) -> None:
        """Note that all were sent; ``positions()`` gives one position a channel, if asked."""

        def send(publications: Sequence[Publication]) -> None:
            for publication, position in zip(publications, positions(), strict=True):
                publication.offset, publication.epoch = position
                publication.state = "sent"

        self._each(send)

    def mark(self, state: State) -> None:
        """Set the state of all."""

        def mark(publications: Sequence[Publication]) -> None:
            for publication in publications:
                publication.state = state

        self._each(mark)

    def give_up(self) -> None:
        """Mark what was not sent as failed."""

        def give_up(publications: Sequence[Publication]) -> None:
            for publication in publications:
                if publication.state != "sent":
                    publication.state = "failed"

        self._each(give_up)

    def queue_failed(self) -> None:
        """Mark what failed as queued."""

        def queue(publications: Sequence[Publication]) -> None:
            for publication in publications:
                if publication.state == "failed":
                    publication.state = "queued"

        self._each(queue)

    def _each(self, note: Callable[[Sequence[Publication]], None]) -> None:
        publications = self.envelope.publications
        if not isinstance(publications, Publications):
            note(publications[self.start : self.stop])
            return
        start, stop = self.start, self.stop
        publications.note(lambda made: note(made[start:stop]))
