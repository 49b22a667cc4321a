"""A job without the thread beside it: for tests, whose transaction no other connection can see."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from instant.inbound.answers import Cancelled
from instant.inbound.tickets import contents, job, rows, telling
from instant.inbound.tickets.model import Ticket

__all__ = ["Still", "run_jobs"]


class Still:
    """
    Tells progress at once, each time, and looks each time whether it was cancelled.

    On the thread of an event loop, where nothing may be waited for, only the end tells it.
    """

    def __init__(self, ticket: Ticket, _seconds: float) -> None:
        self.ticket = ticket
        self.last: dict[str, str] = {}
        """What was told; it is written with the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        pass

    def tell(self, done: Any, message: str) -> None:
        """Publish it; raises as check() does."""
        self.last = contents.progress(done, message)
        self.check()
        if _is_in_loop():
            return
        for name, value in self.last.items():
            setattr(self.ticket, name, value)
        telling.tell(self.ticket)

    def check(self) -> None:
        """Raise Cancelled where it was."""
        if not _is_in_loop() and not rows.is_ours(self.ticket):
            raise Cancelled


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_jobs(*queues: str) -> int:
    """Run the jobs that wait in these queues, or in all, in their order; return how many."""
    count = 0
    while (ticket := rows.claim(queues)) is not None:
        job.run(ticket, Still)
        count += 1
    return count
