"""Rows of ``Channel`` that change, go, or lose groups and members."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from instant.models import Channel
from instant.revoking import run
from instant.revoking.affected import Affected
from instant.revoking.receivers.groups import REMOVALS
from instant.revoking.receivers.guard import guarded
from instant.revoking.receivers.stored import note, stored

__all__ = ["channel_changes", "channel_goes", "channel_groups_change", "channel_members_change"]


@guarded
def channel_changes(instance: Channel, using: str, update_fields: Any, **_kwargs: Any) -> None:
    """Another level or name, or a deactivation: everybody who is in it is asked for."""
    relevant = {"name", "level", "is_active"}
    if update_fields is not None and not relevant & set(update_fields):
        return
    old = stored(instance, using, only=relevant)
    if old is None or not old.is_active:
        return
    if any(getattr(old, name) != getattr(instance, name) for name in relevant):
        note(instance, Affected(channels={old.name}), using)


@guarded
def channel_goes(instance: Channel, using: str, **_kwargs: Any) -> None:
    """Everybody who is in it has to go."""
    if instance.is_active:
        run.revoke(Affected(channels={instance.name}), using=using)


@guarded
def channel_groups_change(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Everybody who is in a channel that groups are taken from is asked for."""
    if action in REMOVALS:
        names = _channel_names(instance, reverse=reverse, pk_set=pk_set, field="groups")
        run.revoke(Affected(channels=names), using=using)


@guarded
def channel_members_change(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_kwargs: Any
) -> None:
    """Those who are taken from the members may lose the channel."""
    if action not in REMOVALS:
        return
    names = _channel_names(instance, reverse=reverse, pk_set=pk_set, field="members")
    if reverse:
        users: Iterable[Any] = [instance.pk]
    else:
        users = instance.members.values_list("pk", flat=True) if pk_set is None else pk_set
    if names:
        affected = Affected(subscriptions={str(pk): names for pk in users})
        run.revoke(affected, using=using)


def _channel_names(
    instance: Any, *, reverse: bool, pk_set: set[Any] | None, field: str
) -> set[str]:
    """Return the channels whose list changes, seen from either side."""
    rows = Channel.objects.filter(level=Channel.Level.GROUPS, is_active=True).order_by()
    if not reverse:  # asked anew: an instance may be older than what is stored
        return set(rows.filter(pk=instance.pk).values_list("name", flat=True))
    rows = rows.filter(**{field: instance.pk}) if pk_set is None else rows.filter(pk__in=pk_set)
    return set(rows.values_list("name", flat=True))
