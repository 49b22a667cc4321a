"""Groups and permissions that users lose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission

from instant.revoking import run
from instant.revoking.affected import Affected, affected_by, channel_names, has_rules
from instant.revoking.receivers.guard import guarded
from instant.revoking.receivers.stored import note, stored
from instant.rights import accounts

__all__ = [
    "REMOVALS",
    "group_goes",
    "group_permissions_change",
    "membership_changes",
    "membership_row_changes",
    "membership_row_goes",
    "permission_goes",
    "user_permissions_change",
]

REMOVALS = frozenset({"pre_remove", "pre_clear"})
"""The actions of m2m_changed that may take something away, while it is still there."""


@guarded
def membership_changes(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Ask for users who leave groups, seen from either side."""
    if action not in REMOVALS:
        return
    if reverse:
        users = _members([instance.pk]) if pk_set is None else pk_set
        groups: Iterable[Any] = [instance.pk]
    else:
        users = [instance.pk]
        groups = instance.groups.values_list("pk", flat=True) if pk_set is None else pk_set
    groups = list(groups)
    if users and groups:
        run.revoke(affected_by(users, channel_names(groups)), using=using)


def _members(groups: Iterable[Any]) -> list[Any]:
    """Return the primary keys of the users in groups."""
    model = get_user_model()
    if accounts.memberships() is None:
        return []
    found = model._base_manager.filter(groups__in=list(groups))  # noqa: SLF001  deactivated too
    return list(found.values_list("pk", flat=True).distinct())


@guarded
def group_goes(instance: Group, using: str, **_kwargs: Any) -> None:
    """Ask for its members, who may lose its channels and permissions."""
    if users := _members([instance.pk]):
        run.revoke(affected_by(users, channel_names([instance.pk])), using=using)


@guarded
def user_permissions_change(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Ask for users who lose permissions of their own, seen from either side."""
    if action not in REMOVALS:
        return
    if reverse:
        model = get_user_model()
        holders = model._base_manager.filter(user_permissions=instance.pk)  # noqa: SLF001
        users: Iterable[Any] = holders.values_list("pk", flat=True) if pk_set is None else pk_set
        permissions: Iterable[Any] = [instance.pk]
    else:
        users = [instance.pk]
        held = instance.user_permissions
        permissions = held.values_list("pk", flat=True) if pk_set is None else pk_set
    _lose_permissions(list(users), list(permissions), using)


@guarded
def group_permissions_change(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Ask for the members of groups that lose permissions, seen from either side."""
    if action not in REMOVALS:
        return
    if reverse:
        given = Group.objects.filter(permissions=instance.pk)
        groups = list(given.values_list("pk", flat=True) if pk_set is None else pk_set)
        permissions = [instance.pk]
    else:
        groups = [instance.pk]
        held = instance.permissions
        permissions = list(held.values_list("pk", flat=True) if pk_set is None else pk_set)
    _lose_permissions(_members(groups), permissions, using)


@guarded
def permission_goes(instance: Permission, using: str, **_kwargs: Any) -> None:
    """Ask for whoever holds the permission."""
    if has_rules():
        held = accounts.holders(instance.pk)
        run.revoke(Affected(reconnects={str(pk) for pk in held}), using=using)


@guarded
def membership_row_goes(instance: Any, using: str, **_kwargs: Any) -> None:
    """Ask for the user of a membership that is a model of the project's own."""
    run.revoke(_of_membership(instance), using=using)


@guarded
def membership_row_changes(instance: Any, using: str, **_kwargs: Any) -> None:
    """Ask for the user whom the membership was about, as the database has it."""
    if (old := stored(instance, using)) is not None:
        note(instance, _of_membership(old), using)


def _of_membership(membership: Any) -> Affected:
    field = accounts.memberships()
    user = getattr(membership, f"{field.m2m_field_name()}_id")
    group = getattr(membership, f"{field.m2m_reverse_field_name()}_id")
    return affected_by([user], channel_names([group]))


def _lose_permissions(users: list[Any], permissions: list[Any], using: str) -> None:
    """Ask for those who have a permission by nothing else, once the change is committed."""
    if users and permissions and has_rules():
        subs = {str(pk) for pk in users}
        affected = Affected(permissions={str(permission): subs for permission in permissions})
        run.revoke(affected, using=using)
