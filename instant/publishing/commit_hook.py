"""What waits for the commit of a transaction, to be taken care of together."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["CommitHook", "wait_for_commit"]

_numbers = itertools.count(1)
"""One row of numbers for all hooks, so that they can be compared."""

_COUNTS_REFERENCES = sys.implementation.name == "cpython"

Deliver = Callable[[list[Any]], None]
"""Takes all that waited, in order; must not raise an Exception."""


class CommitHook:
    """
    Items of one call, held by Django's list of on-commit hooks and by nothing else.

    Django runs the hooks of a committed transaction one by one, in order, and drops those of
    a rolled back savepoint; it tells nobody which are left. All have to leave together. A
    dropped hook is gone, because nothing else refers to it: so when the first one runs, it
    takes along all that are alive behind it.
    """

    __slots__ = ("__weakref__", "_queue", "done", "items")

    def __init__(self, queue: _Hooks, items: Sequence[Any]) -> None:
        self._queue = queue
        self.items = items
        self.done = False

    @property
    def deliver(self) -> Deliver:
        """What is to be done with the items."""
        return self._queue.deliver

    def __getattr__(self, name: str) -> str:
        if name == "__qualname__":  # Django names a robust hook by it in the log when it raises
            return type(self).__qualname__
        raise AttributeError(name)

    def __call__(self) -> None:
        """Run as on-commit hook."""
        if not self.done:
            number = self._queue.number_of(self)
            for queue in self._queue.others_first():
                if items := queue.items_from(number):
                    queue.deliver(items)
            self.deliver(self._queue.items_from(number))


class _Hooks:
    """The hooks of one connection and purpose that have not run, in the order of the calls."""

    __slots__ = ("__weakref__", "_siblings", "_waiting", "deliver", "first")

    def __init__(self, deliver: Deliver, siblings: dict[Deliver, _Hooks], *, first: bool) -> None:
        self.deliver = deliver
        self.first = first
        self._siblings = siblings
        self._waiting: dict[weakref.ref[CommitHook], int] = {}

    def add(self, items: Sequence[Any]) -> CommitHook:
        waiting = CommitHook(self, items)
        self._waiting[weakref.ref(waiting, self._forget)] = next(_numbers)
        return waiting

    def number_of(self, waiting: CommitHook) -> int:
        return self._waiting.get(weakref.ref(waiting), 0)

    def others_first(self) -> list[_Hooks]:
        """Return the queues of the connection whose items go before these."""
        if self.first:
            return []
        return [queue for queue in self._siblings.values() if queue.first]

    def items_from(self, number: int) -> list[Any]:
        """
        Return the items of a hook that runs and of all alive behind it.

        One that is left before it stems from a TestCase, whose own transaction never commits.
        """
        if not _COUNTS_REFERENCES:
            gc.collect()  # elsewhere a dropped hook dies late, and must not be taken
        taken: list[Any] = []
        for reference, other in list(self._waiting.items()):
            waiting = reference()
            if waiting is not None and other >= number:
                del self._waiting[reference]
                waiting.done = True
                taken.extend(waiting.items)
        return taken

    def _forget(self, reference: weakref.ref[CommitHook]) -> None:
        self._waiting.pop(reference, None)


_queues: weakref.WeakKeyDictionary[BaseDatabaseWrapper, dict[Deliver, _Hooks]] = (
    weakref.WeakKeyDictionary()
)


def wait_for_commit(
    connection: BaseDatabaseWrapper,
    items: Sequence[Any],
    deliver: Deliver,
    *,
    first: bool = False,
) -> None:
    """
    Let items wait for the commit of the connection's outermost transaction.

    What ``first`` is taken before all else that waits for the same commit.
    """
    queues = _queues.setdefault(connection, {})
    queue = queues.get(deliver)
    if queue is None:
        queue = queues[deliver] = _Hooks(deliver, queues, first=first)
    connection.on_commit(queue.add(items), robust=True)
