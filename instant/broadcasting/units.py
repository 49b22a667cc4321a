"""Blocks of code that tell nothing, or everything together at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connections

from instant.broadcasting.change import Change
from instant.publishing.batch import innermost_block

__all__ = ["collecting", "is_muted", "muted", "opened", "waiting"]

_muted: ContextVar[tuple[type, ...]] = ContextVar("instant_muted", default=())

_collecting: ContextVar[_Collection | None] = ContextVar("instant_collected", default=None)


class _Collection:
    """The changes of a block, by database."""

    def __init__(self) -> None:
        self.changes: dict[str, list[Change]] = {}
        self.others: dict[tuple[str, Callable[[Any, list[Any]], None]], list[Any]] = {}
        """What else waits for the end of the block, by database and by what takes it then."""
        self.blocks = {
            connection.alias: innermost_block(connection)
            for connection in connections.all(initialized_only=True)
        }
        """The atomic blocks in which it was opened."""
        self.is_open = True


@contextmanager
def muted(*models: Any) -> Iterator[None]:
    """
    Let models broadcast nothing of what is done in the block; without models, none.

    It is about this thread or task, and what it calls. What other code publishes is sent.
    """
    token = _muted.set((*_muted.get(), *(models or (object,))))
    try:
        yield
    finally:
        _muted.reset(token)


def is_muted(model: type) -> bool:
    """Tell whether the model tells nothing here."""
    found = _muted.get()
    return bool(found) and issubclass(model, found)


@contextmanager
def opened() -> Iterator[_Collection | None]:
    """Collect changes, by database, in this block; gives None where an outer block does."""
    if _collecting.get() is not None:
        yield None
        return
    collection = _Collection()
    token = _collecting.set(collection)
    try:
        yield collection
    finally:
        _collecting.reset(token)
        collection.is_open = False


def collecting(connection: Any) -> list[Change] | None:
    """Return where the changes are put; None outside a block, and in a transaction begun in it."""
    found = _open(connection)
    return None if found is None else found.changes.setdefault(connection.alias, [])


def waiting(connection: Any, take: Callable[[Any, list[Any]], None]) -> list[Any] | None:
    """
    Return where other things are put, which ``take(connection, things)`` gets at the end.

    None where collecting() gives None.
    """
    found = _open(connection)
    return None if found is None else found.others.setdefault((connection.alias, take), [])


def _open(connection: Any) -> _Collection | None:
    found = _collecting.get()
    if found is None or not found.is_open:
        return None
    if found.blocks.get(connection.alias) != innermost_block(connection):
        return None
    return found
