"""What a namespace promises of its messages, chosen by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["RULES", "AtMostOnce", "Delivery", "Latest", "Recoverable", "Stored"]

RULES = ("disabled", "cache", "cacheall", "store")
"""How long a message is stored: not at all; until one reader acknowledged it; all did; for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the server keeps of a channel; take one of the kinds below."""

    size: int
    """How many messages; 0: none."""
    ttl: timedelta
    """For how long; the server counts in seconds."""
    latest: bool
    """Whether a new subscriber gets the newest at once."""
    rule: str = "disabled"
    """How long the database keeps a message, one of ``RULES``."""
    max_age: timedelta | None = None
    """After which the database keeps it no longer, whatever the rule says."""
    max_count: int | None = None
    """How many messages of a channel the database keeps, whatever the rule says."""

    def __post_init__(self) -> None:
        size: object = self.size
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"size must be a whole number of messages, not {self.size!r}.")
        ttl: object = self.ttl
        if not isinstance(ttl, timedelta) or (size and ttl < timedelta(seconds=1)):
            raise ValueError(f"ttl must be a timedelta of a second or more, not {self.ttl!r}.")
        if self.rule not in RULES:
            raise ValueError(
                f"rule must be one of {', '.join(map(repr, RULES))}, not {self.rule!r}."
            )
        age: object = self.max_age
        if age is not None and (not isinstance(age, timedelta) or age <= timedelta(0)):
            raise ValueError(f"max_age must be a timedelta above 0 or None, not {age!r}.")
        count: object = self.max_count
        if count is not None and (
            not isinstance(count, int) or isinstance(count, bool) or count < 1
        ):
            raise ValueError(f"max_count must be a whole number above 0 or None, not {count!r}.")


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


class Stored(Delivery):
    """
    Messages are rows in the database, too, until their readers acknowledged them.

    ``rule`` says how long: ``cache`` until one reader did, ``cacheall`` until every reader did,
    ``store`` for ever, ``disabled`` not at all. ``max_age`` and ``max_count`` (messages of one
    channel) delete earlier, whoever has acknowledged what. The server keeps its own history for
    short gaps, as for ``Recoverable``.
    """

    def __init__(
        self,
        rule: str = "cacheall",
        *,
        size: int = 100,
        ttl: timedelta = timedelta(minutes=5),
        max_age: timedelta | None = None,
        max_count: int | None = None,
    ) -> None:
        super().__init__(
            size=size, ttl=ttl, latest=False, rule=rule, max_age=max_age, max_count=max_count
        )
