"""A person, and what one room keeps about them: how that is exported and erased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Part", "Person"]

Row = dict[str, Any]
"""What is exported of a row: of JSON's types, but for dates."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose data it is about."""

    sub: str
    """The primary key as text, as tokens name them."""
    user: Any = None
    """The user, None where there is none any more."""
    sent_goes: bool = False
    """Whether what they sent to others is erased, too."""

    @property
    def pk(self) -> Any:
        """The primary key; None where there is no user, and so no row that refers to one."""
        return None if self.user is None else self.user.pk


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is kept about a person in one place, in the current tenant."""

    name: str
    """Its name in what is exported."""
    covers: tuple[str, ...] = ()
    """Which fields name the person: “Message.sender”. Each of ours is somebody's."""
    export: Callable[[Person], Iterator[Row]]
    """Yield it."""
    erase: Callable[[Person], int] | None = None
    """Erase it, and return how many rows that were; None where it stays, or isn't kept."""
    becomes: str = ""
    """What becomes of it, where that is not plain."""
