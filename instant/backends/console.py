"""Publications are printed, for work without a server."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from instant.backends.base import BaseBackend
from instant.publishing.publication import Envelope

__all__ = ["ConsoleBackend"]


class ConsoleBackend(BaseBackend):
    """Writes one line for each publication to standard output."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """See BaseBackend.send()."""
        stream = self._stream or sys.stdout
        with self._lock:
            for envelope in envelopes:
                envelope.mark("sent")
                for publication in envelope.publications:
                    stream.write(f"{publication.channel} {envelope.body.decode()}\n")
            stream.flush()
