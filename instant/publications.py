"""What travels: a Publication for each channel, in Envelopes that share one encoded payload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Envelope", "Publication", "State"]

State = Literal["deferred", "sent", "failed"]


@dataclass(slots=True, eq=False)
class Publication:
    """One publication to one channel, as publish() returns it."""

    id: str
    """Unique to the call; also the idempotency key where none was given."""
    channel: str
    payload: Mapping[str, Any]
    """What subscribers receive: channel, site, message, data, event_class, bucket."""
    state: State = "deferred"
    """``deferred`` until the transaction commits (or the batch ends), then sent or failed."""
    offset: int | None = None
    """Position in the channel's history; None until known, or where there is no history."""
    epoch: str | None = None
    """Which history ``offset`` belongs to."""


@dataclass(slots=True, eq=False)
class Envelope:
    """One payload, encoded when publish() was called, and the publications that carry it."""

    publications: Sequence[Publication]
    """One for publish(), one a channel for broadcast()."""
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
