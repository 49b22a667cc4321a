"""Whom a change concerns, as Loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from instant.models import Channel
from instant.namespaces import registered
from instant.revoking.affected import Loss

__all__ = ["MANY", "asked_again", "channel_names", "has_rules", "loss_of"]

MANY = 100
"""More explicit channels than these are not listed: the user's connections ask again for all."""


def has_rules() -> bool:
    """Tell whether code decides somewhere: then nobody knows which channels a user may lose."""
    return any(cls.authorize != "open" and cls.decides("subscribe") for cls in registered())


def asked_again(users: Iterable[Any]) -> set[str]:
    """Return the users, by primary key, as those to ask again; none where no code decides."""
    return {str(pk) for pk in users} if has_rules() else set()


def channel_names(groups: Iterable[Any]) -> set[str]:
    """Return the channels that groups, by primary key, may subscribe to."""
    rows = Channel.objects.filter(
        pk__in=Channel.groups.through.objects.filter(group_id__in=list(groups)).values("channel_id")
    )
    found = rows.filter(level=Channel.Level.GROUPS, is_active=True).order_by()
    return set(found.values_list("name", flat=True))


def loss_of(users: Iterable[Any], names: set[str]) -> Loss:
    """Return what users may lose: named one by one if there is one, else found by presence."""
    subs = {str(pk) for pk in users}
    loss = Loss(reconnects=asked_again(subs))
    if len(subs) > 1:
        loss.channels |= names
    elif len(names) > MANY:
        loss.reconnects |= subs
    elif names:
        loss.subscriptions = dict.fromkeys(subs, names)
    return loss
