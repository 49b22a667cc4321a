"""``queue=``: the call is accepted with a ticket, and a job runs it later."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from instant.inbound.policies.base import Policy, Steps
from instant.inbound.tickets.methods import declare

if TYPE_CHECKING:
    from instant.inbound.call import Call
    from instant.inbound.registry import Handler

__all__ = ["PRIORITIES", "Queue"]

PRIORITIES = range(-100, 101)
"""As Django's tasks have them: the higher one goes first."""

_NAME = re.compile(r"[-a-zA-Z0-9_.]{1,64}")


class Queue(Policy):
    """Puts a call off. What stands behind it, the job meets: ``dispatch.resume()``."""

    defers = True

    def __init__(self, name: str, priority: int = 0) -> None:
        given: object = name
        if not isinstance(given, str) or not _NAME.fullmatch(given):
            raise ValueError(
                f"queue= takes a name of at most 64 letters, digits, “-”, “_” and “.”, "
                f"not {name!r}."
            )
        if type(priority) is not int or priority not in PRIORITIES:
            raise ValueError(f"priority= takes a whole number from -100 to 100, not {priority!r}.")
        self.name, self.priority = name, priority
        declare()

    def around(self, call: Call, handler: Handler) -> Steps:  # noqa: ARG002
        """Answer with a ticket."""
        from instant.inbound.tickets.accept import accept  # noqa: PLC0415  it needs the models

        yield from ()
        return accept(call, self.name, self.priority)

    def problems(self, handler: Handler) -> list[str]:
        """Return why calls can't be put off."""
        if handler.kind == "rpc":
            return []
        return ["queue= is for methods: whoever publishes waits for what becomes of it."]

    def __str__(self) -> str:
        return f"queue={self.name!r}" + (f", priority={self.priority}" if self.priority else "")
