"""A user who is deleted: what is written for them goes with them, while it is written, too."""

from __future__ import annotations

from typing import Any

from django.db.models import signals

from instant.personal import deletion
from instant.streaming import rows

__all__ = ["connect"]


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    deletion.listen(signals.pre_delete, _goes, "instant.streams_goes")


def _goes(instance: Any, using: str, **_kwargs: Any) -> None:
    """
    Keep the writers of a user's streams out, until the end of the transaction that deletes them.

    Django deletes the pieces, and then the streams: a piece that came in between would make the
    deletion of the user fail.
    """
    if using == rows.database():
        rows.end_all_of(instance.pk)
