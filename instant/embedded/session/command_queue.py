"""The commands of one client that wait: for replies of the application, or for others' turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .peer import Peer

# Commands of one client that are handled before others have their turn.
TURN = 16


class CommandQueue:
    """Has commands handled in their order, a few in each turn.

    What a frame of 64 kB asks for may be gigabytes. So after a few commands, or when their replies
    are more than may wait for a client, what is queued is written, which ends the connection if
    the client doesn't read it, and other clients have their turn.
    """

    def __init__(self, handle: Callable[[str], None], peer: Peer, most_bytes: int) -> None:
        # Requests to the application that may be under way; one, until the client is connected.
        self.at_once = 1
        self._handle = handle
        self._peer = peer
        self._most_bytes = most_bytes
        self._waiting: deque[str] = deque()
        self._requests = 0
        self._paused = False
        # How many commands were handled in this turn, and the bytes of their replies.
        self._handled = 0
        self._replied = 0

    @property
    def busy(self) -> bool:
        """Tell whether the next command has to wait."""
        return self._paused or self._requests >= self.at_once

    def add(self, commands: Iterable[str]) -> None:
        """Handle commands, now or later."""
        self._waiting.extend(commands)
        self.run()

    def run(self) -> None:
        """Handle commands until one has to wait."""
        while self._waiting and not self.busy:
            if self._handled >= TURN or self._replied > self._most_bytes:
                self._paused = True
                self._peer.pause(self._go_on)
                return
            self._handled += 1
            self._handle(self._waiting.popleft())

    def _go_on(self) -> None:
        self._paused = False
        self._handled = self._replied = 0
        self.run()

    def clear(self) -> None:
        """Forget the commands that wait."""
        self._waiting.clear()

    def replied(self, size: int) -> None:
        """Count the bytes of a reply."""
        self._replied += size

    def asking(self) -> None:
        """Count a request to the application."""
        self._requests += 1

    def answered(self) -> None:
        """Count a reply of the application."""
        self._requests -= 1
