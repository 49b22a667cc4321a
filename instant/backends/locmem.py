"""Publications stay in a list, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from instant.backends.base import BaseBackend
from instant.channels.names import LISTENERS_CHANNEL
from instant.publishing.publication import Envelope, Publication

__all__ = ["LocmemBackend"]


class LocmemBackend(BaseBackend):
    """Keeps what was sent in ``outbox``, oldest first."""

    def __init__(self) -> None:
        self.outbox: list[Publication] = []

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """See BaseBackend.send()."""
        for envelope in envelopes:
            envelope.mark("sent")
            if tuple(envelope.channels) != (LISTENERS_CHANNEL,):  # a copy is no publication
                self.outbox.extend(envelope.publications)

    async def asend(self, envelopes: Sequence[Envelope]) -> None:
        """See BaseBackend.asend()."""
        self.send(envelopes)
