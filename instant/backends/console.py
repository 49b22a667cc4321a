"""Publications are printed, for work without a server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from instant.backends.base import BaseBackend
from instant.publishing.publication import Envelope

__all__ = ["ConsoleBackend"]


class ConsoleBackend(BaseBackend):
    """Writes one line for each publication to standard output."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """See BaseBackend.send()."""
        stream = self._stream or sys.stdout
        lines = []
        for envelope in envelopes:
            envelope.mark("sent")
            text = envelope.body.decode()
            lines += [f"{publication.channel} {text}\n" for publication in envelope.publications]
        stream.write("".join(lines))  # at once, so that threads don't mix theirs
        stream.flush()
