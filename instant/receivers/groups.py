"""Groups and permissions that users lose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from instant import enforcement
from instant.losses import Loss
from instant.receivers.concerned import asked_again, channel_names, has_rules, loss_of

__all__ = [
    "REMOVALS",
    "group_goes",
    "group_permissions_change",
    "membership_changes",
    "permission_goes",
    "user_permissions_change",
]

REMOVALS = frozenset({"pre_remove", "pre_clear"})
"""The actions of m2m_changed that may take something away, while it is still there."""


def membership_changes(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Ask for users who leave groups, seen from either side."""
    if action not in REMOVALS or not enforcement.is_on():
        return
    if reverse:
        users = _members([instance.pk]) if pk_set is None else pk_set
        groups: Iterable[Any] = [instance.pk]
    else:
        users = [instance.pk]
        groups = instance.groups.values_list("pk", flat=True) if pk_set is None else pk_set
    groups = list(groups)
    if users and groups:
        enforcement.lose(loss_of(users, channel_names(groups)), using=using)


def _members(groups: Iterable[Any]) -> list[Any]:
    """Return the primary keys of the users in groups."""
    model = get_user_model()
    if not hasattr(model, "groups"):
        return []
    found = model._base_manager.filter(groups__in=list(groups))  # noqa: SLF001  deactivated too
    return list(found.values_list("pk", flat=True).distinct())


def group_goes(instance: Group, using: str, **_kwargs: Any) -> None:
    """Ask for its members, who may lose its channels and permissions."""
    if enforcement.is_on() and (users := _members([instance.pk])):
        enforcement.lose(loss_of(users, channel_names([instance.pk])), using=using)


def user_permissions_change(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Ask for users who lose permissions of their own, seen from either side."""
    if action not in REMOVALS or not enforcement.is_on():
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
    _lose_permissions(list(users), list(permissions), using, by_user=True)


def group_permissions_change(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Ask for the members of groups that lose permissions, seen from either side."""
    if action not in REMOVALS or not enforcement.is_on():
        return
    if reverse:
        given = Group.objects.filter(permissions=instance.pk)
        groups = list(given.values_list("pk", flat=True) if pk_set is None else pk_set)
        permissions = [instance.pk]
    else:
        groups = [instance.pk]
        held = instance.permissions
        permissions = list(held.values_list("pk", flat=True) if pk_set is None else pk_set)
    _lose_permissions(_members(groups), permissions, using, except_groups=groups)


def permission_goes(instance: Permission, using: str, **_kwargs: Any) -> None:
    """Ask for whoever holds the permission."""
    if not enforcement.is_on() or not has_rules():
        return
    model = get_user_model()
    held = Q(user_permissions=instance.pk) if hasattr(model, "user_permissions") else Q()
    if hasattr(model, "groups"):
        held |= Q(groups__permissions=instance.pk)
    if held:
        holders = model._base_manager.filter(held).values_list("pk", flat=True)  # noqa: SLF001
        enforcement.lose(Loss(reconnects=asked_again(holders)), using=using)


def _lose_permissions(
    users: list[Any],
    permissions: list[Any],
    using: str,
    *,
    by_user: bool = False,
    except_groups: Iterable[Any] = (),
) -> None:
    """Ask again for those who have a permission by nothing else; superusers have all."""
    if not users or not permissions or not has_rules():
        return
    model = get_user_model()
    losers: set[Any] = set()
    for permission in permissions:
        other = Q()
        if hasattr(model, "groups"):
            groups = Group.objects.filter(permissions=permission).exclude(pk__in=except_groups)
            other |= Q(groups__in=groups)
        if hasattr(model, "user_permissions") and not by_user:
            other |= Q(user_permissions=permission)
        keep = model._base_manager.filter(other, pk__in=users) if other else None  # noqa: SLF001
        kept = set() if keep is None else set(keep.values_list("pk", flat=True))
        losers |= set(users) - kept
    enforcement.lose(Loss(reconnects=asked_again(losers)), using=using)
