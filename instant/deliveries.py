"""What a namespace promises of its messages, chosen by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["AtMostOnce", "Delivery", "Latest", "Recoverable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the server keeps of a channel; take one of the kinds below."""

    size: int
    """How many messages; 0: none."""
    ttl: timedelta
    """For how long; the server counts in seconds."""
    latest: bool
    """Whether a new subscriber gets the newest at once."""

    def __post_init__(self) -> None:
        size: object = self.size
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"size must be a whole number of messages, not {self.size!r}.")
        ttl: object = self.ttl
        if not isinstance(ttl, timedelta) or (size and ttl < timedelta(seconds=1)):
            raise ValueError(f"ttl must be a timedelta of a second or more, not {self.ttl!r}.")


class AtMostOnce(Delivery):
    """Nothing is kept: who is not connected when it is published misses it."""

    def __init__(self) -> None:
        super().__init__(size=0, ttl=timedelta(0), latest=False)


class Latest(Delivery):
    """The newest message is kept: a new subscriber, and one that comes back, get it at once."""

    def __init__(self, *, ttl: timedelta = timedelta(days=1)) -> None:
        super().__init__(size=1, ttl=ttl, latest=True)


class Recoverable(Delivery):
    """
    Missed messages are replayed after a lost connection. The default.

    As long as they are among the last ``size`` and no older than ``ttl``; beyond, the client
    is told that it missed some.
    """

    def __init__(self, *, size: int = 100, ttl: timedelta = timedelta(minutes=5)) -> None:
        super().__init__(size=size, ttl=ttl, latest=False)
