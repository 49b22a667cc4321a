"""Models that broadcast themselves: saved, changed or deleted, their channels are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from instant.broadcasting.collected import collected
from instant.broadcasting.declaration import register
from instant.broadcasting.receivers import listener_of
from instant.broadcasting.touching import touch as _tell
from instant.broadcasting.units import muted
from instant.pages.lists import receivers as _lists

__all__ = ["broadcasts", "collected", "muted", "touch"]

_T = TypeVar("_T", bound=type)


def broadcasts(model: Any) -> Callable[[_T], _T]:
    """
    Declare, in an app's ``realtime.py``, what is told of a model of somebody else's.

    ``model`` is one, or its label ``"auth.Group"``. The class below says what the class
    ``Instant`` inside a model of your own says: ``channels``, and maybe ``events``, ``fields``,
    ``payload`` or ``serializer``, ``is_deleted`` and ``name``.
    """

    def declare(options: _T) -> _T:
        register(model, options)
        return options

    return declare


def touch(queryset: Any, only: Callable[[str], bool] = lambda _name: True) -> None:
    """
    Tell of all rows of a queryset as of updated ones, on their channels and in live lists.

    For ``QuerySet.update()``, ``bulk_create()``, ``bulk_update()`` and raw SQL, for which Django
    sends no signal. Inside a transaction they wait for its commit. It is one query for each of
    both, and one message a row; ``only`` tells of a channel's name whether it is told there.
    Raises ValueError for a model that doesn't broadcast.
    """
    is_listed = _lists.touch(queryset)
    if not is_listed or listener_of(queryset.model) is not None:
        _tell(queryset, only)
