"""Publications that leave together because a block of code says so."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from instant.backends import get_backend
from instant.publications import Envelope

__all__ = ["batch", "current_batch"]

_current: ContextVar[batch | None] = ContextVar("instant_batch", default=None)


def current_batch() -> batch | None:
    """Return the innermost open batch of this thread or task."""
    return _current.get()


class batch:  # noqa: N801  used as a verb, like contextlib's context managers
    """
    Send all publications of a block together, in order, in one request when it ends.

    Use ``with batch():`` around publish() and broadcast(), ``async with batch():`` around
    their async twins. What is published inside a transaction still waits for its commit. A
    block that raises sends nothing. Leaving the block raises the PublishError of a failed
    exchange, or BatchError where the server refused some of the publications.
    """

    def __init__(self) -> None:
        self._envelopes: list[Envelope] = []
        self._token: Token[batch | None] | None = None

    def add(self, envelopes: Sequence[Envelope]) -> None:
        """Take envelopes along."""
        self._envelopes.extend(envelopes)

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("A batch is entered once; make a new one: with batch(): …")
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
        """Return what is to be sent: nothing after an exception or inside another batch."""
        if self._token is not None:
            _current.reset(self._token)
        if exc_type is not None:
            return ()
        outer = _current.get()
        if outer is not None:
            outer.add(self._envelopes)
            return ()
        return self._envelopes
