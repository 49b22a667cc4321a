"""What travels: publications, one a channel, in envelopes that share one encoded payload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

__all__ = ["Envelope", "Position", "Publication", "Publications", "State"]

State = Literal["deferred", "sent", "failed"]
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
    """``deferred`` until the transaction commits (or the batch ends), then sent or failed."""
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

    __slots__ = ("_id", "_made", "_payload", "_positions", "_state", "channels")

    def __init__(self, id: str, channels: Sequence[str], payload: Mapping[str, Any]) -> None:  # noqa: A002  its name in Publication
        self._id = id
        self._payload = payload
        self._state: State = "deferred"
        self._positions: Callable[[], Sequence[Position]] | None = None
        self._made: list[Publication] | None = None
        self.channels = channels

    def sent(self, positions: Callable[[], Sequence[Position]]) -> None:
        """Note that all were sent; ``positions()`` gives one position a channel, if asked."""
        self._state, self._positions = "sent", positions
        if self._made is not None:
            for publication, position in zip(self._made, positions(), strict=True):
                publication.offset, publication.epoch = position
                publication.state = "sent"

    def _all(self) -> list[Publication]:
        if self._made is None:
            self._made = [
                Publication(self._id, channel, self._payload, self._state)
                for channel in self.channels
            ]
            if self._positions is not None:
                self.sent(self._positions)
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
    """One for publish(), one or more for broadcast()."""
    publications: Sequence[Publication]
    """One a channel, in the same order."""
    body: bytes
    """The payload as JSON."""
    idempotency_key: str
    """The server answers a repeated key without publishing again, for five minutes."""

    def mark(self, state: State) -> None:
        """Set the state of all its publications."""
        for publication in self.publications:
            publication.state = state

    def give_up(self) -> None:
        """Mark what was not sent as failed."""
        for publication in self.publications:
            if publication.state != "sent":
                publication.state = "failed"
