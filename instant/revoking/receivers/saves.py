"""What is found before a save(), and enforced after it."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS

from instant import enforcement
from instant.revoking import ledger
from instant.revoking.affected import Loss

__all__ = ["remember", "saved", "stored"]

_FOUND = "_instant_revocations"


def stored(instance: Any, using: str) -> Any:
    """Return the instance as the database has it, None where it is new."""
    if instance.pk is None:
        return None
    manager = type(instance)._base_manager  # noqa: SLF001  Django's documented API
    return manager.using(using).filter(pk=instance.pk).first()


def remember(instance: Any, loss: Loss) -> None:
    """Write the row before the change: outside a transaction there is no other way to be sure."""
    if loss:
        instance.__dict__.setdefault(_FOUND, []).append(ledger.remember(loss))


def saved(instance: Any, using: str | None = None, **_kwargs: Any) -> None:
    """Enforce after the commit what was found before the change."""
    for revocation in instance.__dict__.pop(_FOUND, ()):
        enforcement.schedule(revocation, using or DEFAULT_DB_ALIAS)
