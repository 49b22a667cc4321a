"""Publications that leave together because a block of code says so."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe

from instant.backends import get_backend
from instant.publishing.delivery import adeliver_quietly, deliver_quietly
from instant.publishing.publication import Envelope

__all__ = ["batch", "innermost_block", "join_batch", "join_batch_of_block"]

_current: ContextVar[batch | None] = ContextVar("instant_batch", default=None)

_sync_only = async_unsafe(
    "“with batch():” would hold up the event loop of this thread until the server has answered. "
    "Use “async with batch():”."
)


def join_batch(envelopes: Sequence[Envelope], *, committed: bool = False) -> bool:
    """
    Let envelopes leave with the innermost open batch of this thread or task, if there is one.

    Tells whether there is. Committed ones are sent whatever becomes of its block.
    """
    found = _current.get()
    # A task or thread that a block started may outlive it, with a copy of its context.
    while found is not None and not found.add(envelopes, committed=committed):
        found = found.outer
    return found is not None


def join_batch_of_block(connection: BaseDatabaseWrapper, envelopes: Sequence[Envelope]) -> bool:
    """
    Let envelopes be part of a transaction at the end of the innermost open batch.

    Only where the batch was opened in the same atomic block of the connection: what another
    savepoint may roll back can't wait for the end of the batch. Tells whether it is so.
    """
    found = _current.get()
    return found is not None and found.add_to_block(connection, envelopes)


class batch:  # noqa: N801  used as a verb, like contextlib's context managers
    """
    Send all publications of a block together, in order, in one request when it ends.

    Use ``with batch():`` around publish() and broadcast(), ``async with batch():`` around
    their async twins. On the thread of an event loop ``with batch():`` raises Django's
    SynchronousOnlyOperation. What is published inside a transaction still waits for its commit. A
    block that raises sends nothing, but for what was committed in it. Leaving the block
    raises the PublishError of a failed exchange, or BatchError where the server refused some
    of the publications.
    """

    def __init__(self) -> None:
        self.outer: batch | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._envelopes: list[tuple[Envelope, bool]] = []
        self._blocks: dict[str, tuple[object, int]] = {}
        """By database, the atomic block in which it was opened, and how deep that is."""
        self._in_transaction: dict[str, list[Envelope]] = {}
        self._token: Token[batch | None] | None = None

    def add(self, envelopes: Sequence[Envelope], *, committed: bool) -> bool:
        """Take envelopes along; False where the block has ended, maybe in this moment."""
        with self._lock:
            if not self._closed:
                self._envelopes.extend((envelope, committed) for envelope in envelopes)
            return not self._closed

    def add_to_block(self, connection: BaseDatabaseWrapper, envelopes: Sequence[Envelope]) -> bool:
        """Take envelopes along; False where this is another atomic block, or the batch's end."""
        with self._lock:
            block = self._blocks.get(connection.alias)
            if self._closed or block is None or block != innermost_block(connection):
                return False
            self._in_transaction.setdefault(connection.alias, []).extend(envelopes)
            return True

    @_sync_only
    def __enter__(self) -> Self:
        for connection in connections.all(initialized_only=True):
            if (block := innermost_block(connection)) is not None:
                self._blocks[connection.alias] = block
        return self._open()

    def _open(self) -> Self:
        if self._token is not None:
            raise RuntimeError("A batch is entered once; make a new one: with batch(): …")
        self.outer = _current.get()
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        due = self._close(exc_type)
        try:
            self._write(exc_type)
        finally:
            if due and exc_type is None:
                _send(due)
            elif due:
                deliver_quietly(due)

    def _write(self, exc_type: type[BaseException] | None) -> None:
        """Hand over what is part of a transaction, or give it up after an exception."""
        for alias, envelopes in self._in_transaction.items():
            connection = connections[alias]
            if exc_type is not None or innermost_block(connection) != self._blocks[alias]:
                for envelope in envelopes:
                    envelope.give_up()
                if exc_type is None:
                    raise RuntimeError("A batch ends in the atomic block in which it was opened.")
            elif not join_batch_of_block(connection, envelopes):
                get_backend().in_transaction(envelopes, connection)

    async def __aenter__(self) -> Self:
        return self._open()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        due = self._close(exc_type)
        if due and exc_type is None:
            await get_backend().asend(due)
        elif due:
            await adeliver_quietly(due)

    def _close(self, exc_type: type[BaseException] | None) -> Sequence[Envelope]:
        """
        Return what is to be sent now, which is nothing inside another batch.

        After an exception that is what was committed, and the rest is marked as failed.
        """
        with self._lock:
            self._closed = True
        with suppress(ValueError):  # a generator may be closed in another context
            if self._token is not None:
                _current.reset(self._token)
        due = []
        for envelope, committed in self._envelopes:
            if exc_type is not None and not committed:
                envelope.give_up()
            elif not join_batch((envelope,), committed=committed):
                due.append(envelope)
        return due


def innermost_block(connection: BaseDatabaseWrapper) -> tuple[object, int] | None:
    """Return the innermost atomic block of a connection, and how deep it is; None outside."""
    blocks = connection.atomic_blocks
    return (blocks[-1], len(blocks)) if connection.in_atomic_block and blocks else None


def _send(envelopes: Sequence[Envelope]) -> None:
    try:
        _sync_only(get_backend().send)(envelopes)
    except SynchronousOnlyOperation:  # entered elsewhere than it is left
        for envelope in envelopes:
            envelope.give_up()
        raise
