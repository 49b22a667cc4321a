"""What a session needs of its transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from instant.embedded.errors import Disconnect
from instant.embedded.tokens.jwks import MissingKey

from .application import ProxyReply, ProxyRequest


class Peer(Protocol):
    """The other end of a session; none of its methods may call back before it returns."""

    def send(self, data: bytes) -> None:
        """Queue bytes that are framed already."""

    def close(self, disconnect: Disconnect) -> None:
        """Write what is queued, then end the connection."""

    def wake(self, at: float | None) -> None:
        """Call the session's `tick` at this moment of the clock, or not at all if it is None.

        It replaces any moment that was asked for before.
        """

    def ask(self, request: ProxyRequest, then: Callable[[ProxyReply], None]) -> None:
        """Ask the application, and call `then` with its reply."""

    def pause(self, then: Callable[[], None]) -> None:
        """Write what is queued, let others have their turn, and call `then`."""

    def fetch_key(self, key: MissingKey, then: Callable[[], None]) -> None:
        """Fetch the key, and call `then` whether or not it was found."""
