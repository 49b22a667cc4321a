"""Rows that a fixture brings along: they are new here, whatever number they had elsewhere."""

from __future__ import annotations

from typing import Any

from django.db.models import signals

from instant.models import OutboxRow

__all__ = ["connect"]


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    signals.pre_save.connect(_number_anew, sender=OutboxRow, dispatch_uid="instant.outbox_fixtures")


def _number_anew(instance: OutboxRow, *, raw: bool, **_kwargs: Any) -> None:
    """
    Let the database give a number.

    With its own it would take the place of a row that waits, and a relay that has come so far
    already, see ``notes``, would take it for sent.
    """
    if raw:
        instance.pk = None
