"""What is stored before a change, and which classes send a model's signals."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections

from instant.revoking import run
from instant.revoking.affected import Affected

__all__ = ["is_known", "note", "saved", "senders", "stored"]

_FOUND = "_instant_revocations"


def stored(instance: Any, using: str, only: Collection[str] = ()) -> Any:
    """Return the instance as the database has it, ``only`` some fields; None where it is new."""
    if instance.pk is None or hasattr(instance.pk, "resolve_expression"):
        return None
    manager = type(instance)._base_manager  # noqa: SLF001  Django's documented API
    found = manager.using(using).filter(pk=instance.pk)
    return (found.only(*only) if only else found).first()


def is_known(value: Any) -> bool:
    """Tell whether it is a value; what an expression such as F() will be, the database knows."""
    return not hasattr(value, "resolve_expression")


def note(instance: Any, affected: Affected, using: str) -> None:
    """Write the row before the change: outside a transaction there is no other way to be sure."""
    if not affected:
        return
    if connections[using].in_atomic_block:
        run.revoke(affected, using=using)
    else:
        found = (affected, run.record(affected))
        instance.__dict__.setdefault(_FOUND, []).append(found)


def saved(instance: Any, using: str | None = None, **_kwargs: Any) -> None:
    """Enforce after the commit what was found before the change."""
    for affected, row in instance.__dict__.pop(_FOUND, ()):
        run.wait(affected, row, using or DEFAULT_DB_ALIAS)


def senders(model: Any) -> Iterator[Any]:
    """
    Yield the model with its proxies and children: an instance's own class sends its signals.

    Not all models are listened to instead, since Django then could delete none of them fast.
    """
    yield model
    for other in apps.get_models():
        if other is not model and issubclass(other, model):
            yield other
