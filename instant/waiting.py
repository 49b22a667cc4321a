"""What waits for the commit of a transaction, to be taken care of together."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["Waiting", "wait_for_commit"]

_COUNTS_REFERENCES = sys.implementation.name == "cpython"

Take = Callable[[list[Any]], None]
"""Takes all that waited, in order; must not raise an Exception."""


class Waiting:
    """
    Items of one call, held by Django's list of on-commit hooks and by nothing else.

    Django runs the hooks of a committed transaction one by one, in order, and drops those of
    a rolled back savepoint; it tells nobody which are left. All have to leave together. A
    dropped hook is gone, because nothing else refers to it: so when the first one runs, it
    takes along all that are alive behind it.
    """

    __slots__ = ("__weakref__", "_queue", "done", "items")

    def __init__(self, queue: _Queue, items: Sequence[Any]) -> None:
        self._queue = queue
        self.items = items
        self.done = False

    @property
    def take(self) -> Take:
        """What is to be done with the items."""
        return self._queue.take

    def __getattr__(self, name: str) -> str:
        if name == "__qualname__":  # Django names a robust hook by it in the log when it raises
            return type(self).__qualname__
        raise AttributeError(name)

    def __call__(self) -> None:
        """Run as on-commit hook."""
        if not self.done:
            self.take(self._queue.items_from(self))


class _Queue:
    """The hooks of one connection and purpose that have not run, in the order of the calls."""

    __slots__ = ("__weakref__", "_count", "_waiting", "take")

    def __init__(self, take: Take) -> None:
        self.take = take
        self._count = 0
        self._waiting: dict[weakref.ref[Waiting], int] = {}

    def add(self, items: Sequence[Any]) -> Waiting:
        waiting = Waiting(self, items)
        self._count += 1
        self._waiting[weakref.ref(waiting, self._forget)] = self._count
        return waiting

    def items_from(self, first: Waiting) -> list[Any]:
        """
        Return the items of a hook that runs and of all alive behind it.

        One that is left before it stems from a TestCase, whose own transaction never commits.
        """
        if not _COUNTS_REFERENCES:
            gc.collect()  # elsewhere a dropped hook dies late, and must not be taken
        taken: list[Any] = []
        number = self._waiting.get(weakref.ref(first), 0)
        for reference, other in list(self._waiting.items()):
            waiting = reference()
            if waiting is not None and other >= number:
                del self._waiting[reference]
                waiting.done = True
                taken.extend(waiting.items)
        return taken

    def _forget(self, reference: weakref.ref[Waiting]) -> None:
        self._waiting.pop(reference, None)


_queues: weakref.WeakKeyDictionary[BaseDatabaseWrapper, dict[Take, _Queue]] = (
    weakref.WeakKeyDictionary()
)


def wait_for_commit(connection: BaseDatabaseWrapper, items: Sequence[Any], take: Take) -> None:
    """Let items wait for the commit of the connection's outermost transaction."""
    queues = _queues.setdefault(connection, {})
    queue = queues.get(take)
    if queue is None:
        queue = queues[take] = _Queue(take)
    connection.on_commit(queue.add(items), robust=True)
