"""A step on the row of a stream, tried again where the database may have lost or refused it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections, router

from instant.streaming.model import Stream

__all__ = ["again"]

P = ParamSpec("P")
T = TypeVar("T")


def again(step: Callable[P, T]) -> Callable[P, T]:
    """
    Have a step done once more after a lost connection, a deadlock or a serialization failure.

    For steps that know their own work again: whoever loses the connection in COMMIT can't tell
    whether it has happened. Not in a transaction, which is its owner's, nor on SQLite, which has
    waited for its lock already.
    """

    @wraps(step)
    def reliably(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return step(*args, **kwargs)
        except (OperationalError, InterfaceError):
            connection = connections[router.db_for_write(Stream)]
            if connection.in_atomic_block or connection.vendor == "sqlite":
                raise
            connection.close_if_unusable_or_obsolete()
            return step(*args, **kwargs)

    return reliably
