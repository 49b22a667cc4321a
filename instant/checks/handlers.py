"""Handlers that can't answer, or of which nobody can tell which one does."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error

from instant.inbound import registry

__all__ = ["handlers"]


def handlers() -> Iterator[CheckMessage]:
    """Yield what is wrong with the handlers that apps have declared."""
    for handler in registry.handlers():
        for problem in handler.problems():
            yield Error(problem, id="instant.E011")
    for name, claimants in registry.conflicts():
        kind = claimants[0].kind
        yield Error(
            f"{name!r} is answered by {' and by '.join(h.place for h in claimants)}.",
            hint=f"One @on_{kind} answers for a name: give one of them another, or take it away.",
            id="instant.E011",
        )
