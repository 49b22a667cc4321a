"""Publications that leave together because a block of code says so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from instant.backends import get_backend
from instant.publishing.delivery import deliver_quietly
from instant.publishing.publication import Envelope

__all__ = ["batch", "current_batch"]

_current: ContextVar[batch | None] = ContextVar("instant_batch", default=None)


def current_batch() -> batch | None:
    """Return the innermost open batch of this thread or task."""
    found = _current.get()
    # A task or thread that a block started may outlive it, with a copy of its context.
    while found is not None and found.closed:
        found = found.outer
    return found


class batch:  # noqa: N801  used as a verb, like contextlib's context managers
    """
    Send all publications of a block together, in order, in one request when it ends.

    Use ``with batch():`` around publish() and broadcast(), ``async with batch():`` around
    their async twins. What is published inside a transaction still waits for its commit. A
    block that raises sends nothing, but for what was committed in it. Leaving the block
    raises the PublishError of a failed exchange, or BatchError where the server refused some
    of the publications.
    """

    def __init__(self) -> None:
        self.closed = False
        self.outer: batch | None = None
        self._envelopes: list[tuple[Envelope, bool]] = []
        self._token: Token[batch | None] | None = None

    def add(self, envelopes: Sequence[Envelope], *, committed: bool = False) -> None:
        """Take envelopes along; committed ones are sent whatever becomes of the block."""
        self._envelopes.extend((envelope, committed) for envelope in envelopes)

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("A batch is entered once; make a new one: with batch(): …")
        self.outer = current_batch()
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        due = self._close(exc_type)
        if due:
            get_backend().send(due)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        due = self._close(exc_type)
        if due:
            await get_backend().asend(due)

    def _close(self, exc_type: type[BaseException] | None) -> Sequence[Envelope]:
        """Return what is to be sent now: nothing after an exception or inside another batch."""
        self.closed = True
        with suppress(ValueError):  # a generator may be closed in another context
            if self._token is not None:
                _current.reset(self._token)
        if exc_type is not None:
            self._give_up()
            return ()
        outer = current_batch()
        if outer is not None:
            for envelope, committed in self._envelopes:
                outer.add((envelope,), committed=committed)
            return ()
        return [envelope for envelope, _ in self._envelopes]

    def _give_up(self) -> None:
        """Send what was committed, which raises nothing, and mark the rest as failed."""
        for envelope, committed in self._envelopes:
            if not committed:
                envelope.give_up()
        due = [envelope for envelope, committed in self._envelopes if committed]
        outer = current_batch()
        if due and outer is not None:
            outer.add(due, committed=True)
        elif due:
            deliver_quietly(due)
