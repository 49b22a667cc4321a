"""
What is left to the end of the request that this thread answers.

When a session ends, or its user's password changes, a page that came back at once would be judged
by a session that is about to be another. Django tells of a request's end, but not whose it was;
the thread tells. A WSGI server answers a request in one thread, and for Django's ASGI handler
asgiref keeps a thread for each request, in which all its synchronous code runs, the signals of
its start and end too. (A context variable would not do: under ASGI each of them runs in a
context of its own.)
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

from django.core.handlers.asgi import ASGIHandler

from instant.revoking.pending import Change

__all__ = ["began", "ended", "is_open", "leave"]


class _Thread(threading.local):
    def __init__(self) -> None:
        self.is_open = False
        self.left: list[Change] = []


_thread = _Thread()

_left: ContextVar[list[Change] | None] = ContextVar("instant_left", default=None)
"""The same list. A test's AsyncClient ends its requests in another thread, and in this context."""


def is_open() -> bool:
    """Tell whether this thread answers a request, whose end Django will tell."""
    return _thread.is_open


def leave(change: Change) -> None:
    """Let a change be enforced when the request is over."""
    _thread.left.append(change)
    _left.set(_thread.left)


def began(sender: Any = None, *, scope: Any = None, **_kwargs: Any) -> list[Change]:
    """Note that a request begins; return what was left by one whose end was not told here."""
    # A test's AsyncClient has no thread of its own for a request.
    has_thread = isinstance(sender, type) and issubclass(sender, ASGIHandler)
    _thread.is_open = scope is None or has_thread
    return _take(_thread.left)


def ended() -> list[Change]:
    """Note that the request is over; return what was left to that."""
    _thread.is_open = False
    return [*_take(_thread.left), *_take(_left.get() or [])]


def _take(left: list[Change]) -> list[Change]:
    found = list(left)
    left.clear()
    return found
