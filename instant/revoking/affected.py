"""Rights that may have ended: whom and what to look at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from instant.models import Channel
from instant.namespaces import registered

__all__ = ["MANY", "Affected", "affected_by", "channel_names", "has_rules"]

MANY = 100
"""More explicit channels than these are not listed: the user's connections ask again for all."""


@dataclass(slots=True)
class Affected:
    """
    What a change may have taken away. Users are given as their tokens name them (``sub``).

    It says where to look, not what was lost: that is asked when it is enforced, so that a
    right which is given back in time costs nobody their connection.
    """

    channels: set[str] = field(default_factory=set)
    """Everybody who is subscribed to these; ``order:*`` is every channel of a namespace."""
    subscriptions: dict[str, set[str]] = field(default_factory=dict)
    """User → the channels that this user may have lost."""
    reconnects: set[str] = field(default_factory=set)
    """Users for whom everything has to be asked again."""
    disconnects: set[str] = field(default_factory=set)
    """Users who are no more: deleted, or deactivated."""
    permissions: dict[str, set[str]] = field(default_factory=dict)
    """Primary key of a Permission → users who may have it no more."""

    def __bool__(self) -> bool:
        return self != Affected()

    def add(self, other: Affected) -> None:
        """Take in another one."""
        self.channels |= other.channels
        self.reconnects |= other.reconnects
        self.disconnects |= other.disconnects
        for user, names in other.subscriptions.items():
            self.subscriptions.setdefault(user, set()).update(names)
        for permission, users in other.permissions.items():
            self.permissions.setdefault(permission, set()).update(users)

    def as_json(self) -> dict[str, Any]:
        """Return it as a row stores it: lists, sorted, and nothing that is empty."""
        found: dict[str, Any] = {
            "channels": sorted(self.channels),
            "subscriptions": {user: sorted(n) for user, n in sorted(self.subscriptions.items())},
            "reconnects": sorted(self.reconnects),
            "disconnects": sorted(self.disconnects),
            "permissions": {key: sorted(users) for key, users in sorted(self.permissions.items())},
        }
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Affected:
        """Read what as_json() returned."""
        subscriptions = stored.get("subscriptions", {}).items()
        permissions = stored.get("permissions", {}).items()
        return cls(
            channels=set(stored.get("channels", ())),
            subscriptions={user: set(names) for user, names in subscriptions},
            reconnects=set(stored.get("reconnects", ())),
            disconnects=set(stored.get("disconnects", ())),
            permissions={key: set(users) for key, users in permissions},
        )

    @classmethod
    def of_all(cls, several: Iterable[Affected]) -> Affected:
        """Return them in one."""
        found = cls()
        for one in several:
            found.add(one)
        return found


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


def affected_by(users: Iterable[Any], names: set[str]) -> Affected:
    """Return what users may lose: named one by one if there is one, else found by presence."""
    subs = {str(pk) for pk in users}
    found = Affected(reconnects=asked_again(subs))
    if len(subs) > 1:
        found.channels |= names
    elif len(names) > MANY:
        found.reconnects |= subs
    elif names:
        found.subscriptions = dict.fromkeys(subs, names)
    return found
