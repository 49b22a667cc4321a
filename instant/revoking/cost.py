"""What a check costs the databases, counted, and bounded where it is somebody's request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from django.db import connections

__all__ = ["Cost", "OverCost"]

_PRESENT = 50
"""Of more users the rule is not asked in a request, whatever it costs."""

_CLIENTS = 500
"""Nor is the presence of more connections read, of which each is a line."""

_NAMED = 500
"""Nor are more users and channels looked at that are named."""


class OverCost(Exception):
    """The check would cost its request more than it may."""


class Cost:
    """
    Counts the queries of a block on all databases; ``queries`` is how many there may be.

    None: as many as it takes. ``between`` is called before each step.
    """

    def __init__(
        self, queries: int | None = None, between: Callable[[], None] = lambda: None
    ) -> None:
        self._queries, self._between = queries, between
        self._stack = ExitStack()
        self.spent = 0

    @property
    def is_bounded(self) -> bool:
        """Tell whether somebody waits for it."""
        return self._queries is not None

    def step(self) -> None:
        """Go on to what takes a query; raise OverCost where there may be none."""
        self._between()
        if self._queries is not None and self.spent >= self._queries:
            raise OverCost

    def admit(self, *, named: int = 0, users: int = 0, clients: int = 0) -> None:
        """Raise OverCost for more than somebody can wait for."""
        if self.is_bounded and (named > _NAMED or users > _PRESENT or clients > _CLIENTS):
            raise OverCost

    def __enter__(self) -> Self:
        if self.is_bounded:
            for connection in connections.all():
                self._stack.enter_context(connection.execute_wrapper(self._count))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _count(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.spent += 1
        return execute(*arguments)
