"""What can be wrong with models that broadcast."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error

from instant.broadcasting.declaration import problems

__all__ = ["broadcasts"]


def broadcasts() -> Iterator[CheckMessage]:
    """Yield a message for each declaration that can't work; its model tells nothing."""
    for problem in problems():
        yield Error(problem, id="instant.E018")
