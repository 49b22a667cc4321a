"""Models that broadcast themselves: saved, changed or deleted, their channels are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from instant.broadcasting.collected import collected
from instant.broadcasting.declaration import register
from instant.broadcasting.touching import touch
from instant.broadcasting.units import muted

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
