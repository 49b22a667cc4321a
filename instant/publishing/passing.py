"""Publications for those who listen just now: no history of the server has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_passing", "passing"]

_passing: ContextVar[bool] = ContextVar("instant_passing", default=False)


@contextmanager
def passing() -> Iterator[None]:
    """Publish in passing: what keeps messages, or copies of them, has no use for these."""
    token = _passing.set(True)
    try:
        yield
    finally:
        _passing.reset(token)


def is_passing() -> bool:
    """Tell whether what is published here goes by."""
    return _passing.get()
