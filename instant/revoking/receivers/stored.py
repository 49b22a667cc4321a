"""What is stored before a change, and which classes send a model's signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from instant.revoking import run
from instant.revoking.affected import Affected

__all__ = ["note", "saved", "senders", "stored"]

_FOUND = "_instant_revocations"


def stored(instance: Any, using: str) -> Any:
    """Return the instance as the database has it, None where it is new."""
    if instance.pk is None:
        return None
    manager = type(instance)._base_manager  # noqa: SLF001  Django's documented API
    return manager.using(using).filter(pk=instance.pk).first()


def note(instance: Any, affected: Affected) -> None:
    """Write the row before the change: outside a transaction there is no other way to be sure."""
    if affected:
        instance.__dict__.setdefault(_FOUND, []).append(run.record(affected))


def saved(instance: Any, using: str | None = None, **_kwargs: Any) -> None:
    """Enforce after the commit what was found before the change."""
    for revocation in instance.__dict__.pop(_FOUND, ()):
        run.schedule(revocation, using or DEFAULT_DB_ALIAS)


def senders(model: Any) -> Iterator[Any]:
    """
    Yield the model with its proxies and children: an instance's own class sends its signals.

    Not all models are listened to instead, since Django then could delete none of them fast.
    """
    yield model
    for other in apps.get_models():
        if other is not model and issubclass(other, model):
            yield other
