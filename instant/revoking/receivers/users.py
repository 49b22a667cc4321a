"""Users who lose flags, are deactivated or deleted, or change their password."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from instant.models import Channel
from instant.revoking import run
from instant.revoking.affected import MANY, Affected, affected_by
from instant.revoking.needed import is_needed
from instant.revoking.receivers.guard import guarded, unless_noted
from instant.revoking.receivers.stored import is_known, note, stored
from instant.rights import accounts
from instant.rights.accounts import after_losing, lost_flags

__all__ = ["user_changes", "user_goes", "user_saved"]

_COMPARED = ("is_active", "is_staff", "is_superuser", "password")


@guarded
def user_changes(
    instance: Any, using: str, update_fields: Collection[str] | None, **_kwargs: Any
) -> None:
    """Compare with what the database has, while it still has it."""
    fields = {field.name for field in instance._meta.concrete_fields}  # noqa: SLF001
    columns = [name for name in _COMPARED if name in fields]
    if len(columns) == len(_COMPARED):  # else some are properties, which read who knows what
        written = fields if update_fields is None else set(update_fields)
        columns = [name for name in columns if name in written]
        if not columns:
            return
    else:
        columns = []
        if update_fields is not None and set(update_fields) == {"last_login"}:
            return
    if _shows_nothing(instance) and not is_needed():
        return
    old = stored(instance, using, only=_COMPARED if columns else ())
    if old is not None:
        note(instance, _lost(old, instance, columns), using)


def _shows_nothing(user: Any) -> bool:
    """Tell whether the instance, as it is, neither has a new password nor is deactivated."""
    return getattr(user, "_password", None) is None and getattr(user, "is_active", True) is True


def _lost(old: Any, new: Any, columns: Collection[str]) -> Affected:
    """Return what a user may lose who was ``old``; by all that is about them without columns."""
    sub = str(new.pk)
    seen = _as_written(old, new, columns) if columns else new
    lost = lost_flags(old, seen)
    affected = Affected()
    if lost:
        levels = after_losing(lost, seen)
        rows = Channel.objects.filter(level__in=levels, is_active=True).order_by()
        affected = affected_by([sub], set(rows.values_list("name", flat=True)[: MANY + 1]))
    if "is_active" in lost:
        affected.disconnects.add(sub)
    # Sessions end with a password; who never had one is just being made.
    password = getattr(old, "password", "")
    if password and password != getattr(seen, "password", ""):
        affected.sessions.add(sub)
    return affected


def _as_written(old: Any, new: Any, columns: Collection[str]) -> Any:
    """Return the user as it will be; an expression may take whatever it is assigned to."""
    seen = copy.copy(old)
    for name in columns:
        value = new.__dict__.get(name, False)
        setattr(seen, name, value if is_known(value) else False)
    return seen


@guarded
def user_saved(
    instance: Any, using: str, created: bool, update_fields: Collection[str] | None, **_kwargs: Any
) -> None:
    """End the connections of a user whom authentication finds no more: deleted softly."""
    if created or (update_fields is not None and set(update_fields) == {"last_login"}):
        return
    if not accounts.are_hidden() or not is_needed():
        return
    sub = str(instance.pk)
    if accounts.account(sub) is None:
        run.revoke(Affected(disconnects={sub}), using=using)


@unless_noted
@guarded
def user_goes(instance: Any, using: str, **_kwargs: Any) -> None:
    """End the connections of a user who is deleted."""
    run.revoke(Affected(disconnects={str(instance.pk)}), using=using)
