"""The transactions that Django has opened for a request: those of ``ATOMIC_REQUESTS``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections, transaction

__all__ = ["roll_back", "undone_if_it_fails"]


def _opened() -> list[Any]:
    """Return the connections that are in one."""
    return [
        connection
        for connection in connections.all(initialized_only=True)
        if connection.settings_dict["ATOMIC_REQUESTS"] and connection.in_atomic_block
    ]


def roll_back() -> None:
    """Undo at its end what the request has done."""
    for connection in _opened():
        connection.set_rollback(True)


@contextmanager
def undone_if_it_fails() -> Iterator[None]:
    """
    Undo what is done in the block if it raises, and leave what the request has done before.

    In savepoints: the request is answered all the same, so Django commits.
    """
    with ExitStack() as stack:
        for connection in _opened():
            stack.enter_context(transaction.atomic(using=connection.alias))
        yield
