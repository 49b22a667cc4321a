"""What is found before a save(), and enforced after it."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS

from instant import enforcement, revocations
from instant.losses import Loss

__all__ = ["remember", "saved"]

_FOUND = "_instant_revocation"


def remember(instance: Any, loss: Loss) -> None:
    """Write the row before the change: outside a transaction there is no other way to be sure."""
    if loss:
        setattr(instance, _FOUND, revocations.remember(loss))


def saved(instance: Any, using: str | None = None, **_kwargs: Any) -> None:
    """Enforce after the commit what was found before the change."""
    revocation = instance.__dict__.pop(_FOUND, None)
    if revocation is not None:
        enforcement.schedule(revocation, using or DEFAULT_DB_ALIAS)
