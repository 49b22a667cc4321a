"""What waits for the commit of a transaction, to be delivered together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["CommitHook", "wait_for_commit"]

Deliver = Callable[[list[Any]], None]
"""Takes the items of one or more hooks, in order; must not raise an Exception."""

_RUNS_HOOKS = BaseDatabaseWrapper.run_and_clear_commit_hooks.__code__


class CommitHook:
    """
    The items of one call, as a hook of ``transaction.on_commit()``.

    Django runs the hooks of a committed transaction one by one, from a list that it keeps to
    itself and in which nothing stands that was rolled back. The first of our hooks to run reads
    that list and delivers for all of ours in it, so that they leave together. Where it can't be
    read (a Django that keeps it elsewhere) each delivers for itself: one by one, and still never
    what was rolled back.
    """

    __slots__ = ("_connection", "deliver", "done", "items", "rank")

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        items: Sequence[Any],
        deliver: Deliver,
        *,
        rank: int,
    ) -> None:
        self._connection = connection
        self.items = items
        self.deliver = deliver
        self.rank = rank
        self.done = False

    def __getattr__(self, name: str) -> str:
        if name == "__qualname__":  # Django names a robust hook by it in the log when it raises
            return type(self).__qualname__
        raise AttributeError(name)

    def __call__(self) -> None:
        """Run as on-commit hook."""
        if self.done:
            return
        hooks = [self, *self._behind()]
        for hook in hooks:
            hook.done = True
        hooks.sort(key=attrgetter("rank"))
        for deliver, group in groupby(hooks, attrgetter("deliver")):
            deliver([item for hook in group for item in hook.items])

    def _behind(self) -> list[CommitHook]:
        """Return our hooks that this commit runs after this one."""
        frame = sys._getframe(2)  # noqa: SLF001  who runs the hooks
        if frame.f_code is _RUNS_HOOKS:
            listed = [entry[1] for entry in frame.f_locals.get("current_run_on_commit", ())]
        else:  # a test's captureOnCommitCallbacks(), which takes none out of the list
            listed = [entry[1] for entry in self._connection.run_on_commit]
            listed = listed[listed.index(self) + 1 :] if self in listed else []
        return [hook for hook in listed if isinstance(hook, CommitHook) and not hook.done]


def wait_for_commit(
    connection: BaseDatabaseWrapper,
    items: Sequence[Any],
    deliver: Deliver,
    *,
    first: bool = False,
    last: bool = False,
) -> CommitHook:
    """
    Let items wait for the commit of the connection's outermost transaction; return their hook.

    What is to go ``first`` is delivered before all else that waits for the same commit, and what
    is to go ``last`` behind it.
    """
    hook = CommitHook(connection, items, deliver, rank=last - first)
    connection.on_commit(hook, robust=True)
    return hook
