"""What a policy is: a generator around the call, which does the waiting of nobody."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from instant.inbound.call import Call
    from instant.inbound.registry import Handler

__all__ = ["Policy", "Proceed", "Steps", "Wait", "checked_seconds"]


@dataclass(frozen=True, slots=True)
class Proceed:
    """Go on to the next policy, or to the function; what it answers is sent back."""

    within: float | None = None
    """Seconds after which OutOfTime is thrown instead, a TimeoutError; see ``deadline``."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back after so many seconds."""

    seconds: float


_MOST = 30 * 86_400
"""Seconds; Memcached would take more for a date."""

Steps = Generator[Proceed | Wait, Any, Any]
"""What a policy yields; what it returns is the answer."""


class Policy:
    """
    Subclass it and write ``around()``, once for handlers of both kinds.

    It runs in a thread where it may query the database and the cache, and must not sleep: it
    yields ``Wait``. It refuses by raising ``Refused``. What is raised behind it comes out of its
    ``yield Proceed()``.
    """

    uses_cache: ClassVar[bool] = False
    """Whether it has to find in ``INSTANT["CACHE"]`` what other processes have left there."""

    uses_address: bool = False
    """Whether it asks where the caller is, so that the server has to tell."""
    defers: ClassVar[bool] = False
    """Whether it puts the call off: those behind it are met when it is run."""

    def around(self, call: Call, handler: Handler) -> Steps:  # noqa: ARG002  for subclasses
        """Yield ``Proceed()`` where the call may go on, and return the answer."""
        return (yield Proceed())

    def problems(self, handler: Handler) -> list[str]:  # noqa: ARG002
        """Return why it can't work with a handler; the system check shows it."""
        return []

    def __str__(self) -> str:
        """Say it as ``manage.py handlers`` shows it."""
        return type(self).__name__.lower()


def checked_seconds(given: object, option: str, least: float = 1) -> float:
    """Return the seconds that an option of a handler says. Raises ValueError for anything else."""
    if isinstance(given, int | float) and not isinstance(given, bool) and least <= given < _MOST:
        return given
    raise ValueError(
        f"A handler's {option} is a number of seconds from {least:g} on, not {given!r}."
    )
