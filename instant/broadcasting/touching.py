"""Tell of rows that were changed without a signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instant.broadcasting.receivers import listener_of

__all__ = ["touch"]


def touch(queryset: Any, only: Callable[[str], bool] = lambda _name: True) -> None:
    """
    Tell of all rows of a queryset as of updated ones.

    For ``QuerySet.update()``, ``bulk_create()``, ``bulk_update()`` and raw SQL, for which Django
    sends no signal. Inside a transaction they wait for its commit. It is one query, and one
    message a row; ``only`` tells of a channel's name whether it is told there. Raises ValueError
    for a model that doesn't broadcast.
    """
    listener = listener_of(queryset.model)
    if listener is None:
        raise ValueError(
            f"{queryset.model.__name__} doesn't broadcast: give it a class Instant, or declare it "
            f"with @broadcasts in a realtime.py."
        )
    listener.touch(queryset.iterator(chunk_size=2000), queryset.db, only)
