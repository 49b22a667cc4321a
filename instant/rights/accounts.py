"""Who somebody is: flags, levels, and the groups and permissions that they hold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from instant.models import Channel

__all__ = [
    "after_losing",
    "holders",
    "is_known",
    "levels",
    "lost_flags",
    "memberships",
    "permissions",
    "staff_levels",
]


def is_known(user: Any) -> bool:
    """Tell whether it is somebody: logged in, and not deactivated since."""
    return user is not None and user.is_authenticated and user.is_active


def levels(user: Any) -> list[str]:
    """Return the levels of which the user may have every channel."""
    found: list[str] = [Channel.Level.PUBLIC]
    if is_known(user):
        found.append(Channel.Level.USERS)
    return [*found, *staff_levels(user)]


def staff_levels(user: Any) -> list[str]:
    """Return the levels that the user's flags open."""
    if not is_known(user):
        return []
    if getattr(user, "is_superuser", False):
        return [Channel.Level.STAFF, Channel.Level.SUPERUSER]
    return [Channel.Level.STAFF] if getattr(user, "is_staff", False) else []


def lost_flags(old: Any, new: Any) -> set[str]:
    """Return which flags a user has lost; they may be fields or properties."""
    return {name for name in _FLAGS if _flag(old, name) and not _flag(new, name)}


def after_losing(lost: Collection[str], user: Any) -> set[str]:
    """Return the levels that a user may lose with flags, as the user is now."""
    found: set[str] = set()
    if "is_superuser" in lost:
        found = {Channel.Level.STAFF, Channel.Level.SUPERUSER}
    elif "is_staff" in lost:
        found = {Channel.Level.STAFF}
    return found - set(staff_levels(user))


def memberships() -> Any:
    """Return the user model's many-to-many field to Group; None where it has none."""
    return _many_to_many("groups", Group)


def permissions() -> Any:
    """Return the user model's many-to-many field to Permission; None where it has none."""
    return _many_to_many("user_permissions", Permission)


def holders(permission: Any, users: Collection[Any] | None = None) -> set[Any]:
    """
    Return who holds a permission, themselves or by a group, by primary key.

    Of ``users`` (primary keys) only, where they are given.
    """
    held = Q(pk__in=())
    if permissions() is not None:
        held |= Q(user_permissions=permission)
    if memberships() is not None:
        held |= Q(groups__permissions=permission)
    found = get_user_model()._base_manager.filter(held)  # noqa: SLF001
    if users is not None:
        found = found.filter(pk__in=users)
    return set(found.values_list("pk", flat=True))


_FLAGS = ("is_active", "is_staff", "is_superuser")


def _flag(user: Any, name: str) -> bool:
    value = getattr(user, name, False)
    # What a form or a script has set may still be text: “0” is stored as False.
    fields = {field.name: field for field in user._meta.concrete_fields}  # noqa: SLF001
    return bool(fields[name].to_python(value) if name in fields else value)


def _many_to_many(name: str, model: Any) -> Any:
    fields = {field.name: field for field in get_user_model()._meta.many_to_many}  # noqa: SLF001
    field = fields.get(name)
    return field if field is not None and field.related_model is model else None
