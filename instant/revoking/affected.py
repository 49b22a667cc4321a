"""Rights that may have ended: whom and what to look at again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from instant.channels.names import USER_NAMESPACE
from instant.models import Channel
from instant.namespaces import registered
from instant.rights import objects

__all__ = ["MANY", "Affected", "affected_by", "channel_names", "has_rules"]

MANY = 100
"""More explicit channels than these are not listed: the user's connections ask again for all."""

_LISTED = 1000
"""So many users or channels a row may name; for more it names the kind."""


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
    """Users for whom everything has to be asked again, since only rules know what they lost."""
    disconnects: set[str] = field(default_factory=set)
    """Users who are no more: deleted, or deactivated."""
    permissions: dict[str, set[str]] = field(default_factory=dict)
    """Primary key of a Permission → users who may have it no more."""
    sessions: set[str] = field(default_factory=set)
    """Users of whom a session has ended: no rule shows it, so all their connections come back."""
    everything: bool = False
    """Everybody who is present in any channel that Django decides on."""

    def __bool__(self) -> bool:
        return bool(self.channels) or not self._names_channels_only()

    def add(self, other: Affected) -> None:
        """Take in another one."""
        self.channels |= other.channels
        self.reconnects |= other.reconnects
        self.disconnects |= other.disconnects
        self.sessions |= other.sessions
        self.everything |= other.everything
        for user, names in other.subscriptions.items():
            self.subscriptions.setdefault(user, set()).update(names)
        for permission, users in other.permissions.items():
            self.permissions.setdefault(permission, set()).update(users)

    def covers(self, other: Affected) -> bool:
        """Tell whether whoever enforces this one enforces the other too."""
        if not other.sessions <= self.sessions:
            return False
        return self.everything or (
            not other.everything
            and other.channels <= self.channels
            and other.reconnects <= self.reconnects | self.sessions
            and other.disconnects <= self.disconnects
            and _within(other.subscriptions, self.subscriptions)
            and _within(other.permissions, self.permissions)
        )

    def bounded(self) -> Affected:
        """Return what a row may hold: this, or the kind of thing where it names too many."""
        users = max(len(self.subscriptions), len(self.reconnects), len(self.disconnects))
        of_permissions = sum(map(len, self.permissions.values()))
        if self.everything or max(users, of_permissions) > _LISTED:
            return Affected(everything=True, sessions=self.sessions)
        globs = {name.removesuffix("*") for name in self.channels if name.endswith(":*")}
        among = {n for n in self.channels if n[:-1] not in globs and f"{n.split(':')[0]}:" in globs}
        if among:
            return replace(self, channels=self.channels - among).bounded()
        named = sum(map(len, self.subscriptions.values())) + len(self.channels)
        if named <= _LISTED:
            return self
        names = self.channels.union(*self.subscriptions.values())
        whole = {f"{name.partition(':')[0]}:*" if ":" in name else "" for name in names}
        if "" in whole and Counter(":" in name for name in names)[False] > _LISTED:
            return Affected(everything=True, sessions=self.sessions)
        whole = (whole - {""}) | {name for name in names if ":" not in name}
        return replace(self, channels=whole, subscriptions={})

    def kind(self) -> Affected:
        """Return the kind of thing it is about: whole namespaces, or everything."""
        if self._names_channels_only() and all(":" in name for name in self.channels):
            return Affected(channels={f"{name.partition(':')[0]}:*" for name in self.channels})
        return Affected(everything=True, sessions=self.sessions)

    def _names_channels_only(self) -> bool:
        others = (self.subscriptions, self.reconnects, self.disconnects, self.permissions)
        return not (any(others) or self.sessions or self.everything)

    def size(self) -> int:
        """Return how many things it names."""
        listed = len(self.channels) + len(self.reconnects) + len(self.disconnects)
        pairs = (*self.subscriptions.values(), *self.permissions.values())
        return listed + len(self.sessions) + sum(map(len, pairs))

    def as_json(self) -> dict[str, Any]:
        """
        Return it as a row stores it: lists, sorted, and nothing that is empty.

        Also for the code before 5.0's second migration, which works rows off beside us during a
        deploy: it knows no ``all`` and no ``rights``, and finds in ``channels`` and
        ``reconnects`` what it has to do instead.
        """
        channels = self.channels | (_patterns() if self.everything else set())
        found: dict[str, Any] = {
            "all": self.everything,
            "channels": sorted(channels),
            "subscriptions": {user: sorted(n) for user, n in sorted(self.subscriptions.items())},
            "reconnects": sorted(self.reconnects | self.sessions),
            "rights": sorted(self.reconnects - self.sessions),
            "disconnects": sorted(self.disconnects),
            "permissions": {key: sorted(users) for key, users in sorted(self.permissions.items())},
        }
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Affected:
        """Read what as_json() returned, or did before the second migration."""
        subscriptions = stored.get("subscriptions", {}).items()
        permissions = stored.get("permissions", {}).items()
        everything = bool(stored.get("all"))
        rights = set(stored.get("rights", ()))
        return cls(
            channels=set() if everything else set(stored.get("channels", ())),
            subscriptions={user: set(names) for user, names in subscriptions},
            reconnects=rights,
            disconnects=set(stored.get("disconnects", ())),
            permissions={key: set(users) for key, users in permissions},
            sessions=set(stored.get("reconnects", ())) - rights,
            everything=everything,
        )

    @classmethod
    def of_all(cls, several: Iterable[Affected]) -> Affected:
        """Return them in one."""
        found = cls()
        for one in several:
            found.add(one)
        return found


def _within(other: Mapping[str, set[str]], mine: Mapping[str, set[str]]) -> bool:
    return all(names <= mine.get(key, set()) for key, names in other.items())


def _patterns() -> set[str]:
    """Return all that Django decides on, as far as globs can say it."""
    decided = {f"{cls.name}:*" for cls in registered() if cls.authorize != "open"}
    return {"$*", f"{USER_NAMESPACE}:*", *decided}


def has_rules() -> bool:
    """Tell whether code decides somewhere: then nobody knows which channels a user may lose."""
    return any(cls.authorize != "open" and cls.decides("subscribe") for cls in registered())


def asked_again(users: Iterable[Any]) -> set[str]:
    """Return the users, by primary key, as those to ask again; none where no code decides."""
    return {str(pk) for pk in users} if has_rules() else set()


def channel_names(groups: Iterable[Any]) -> set[str]:
    """Return the channels that groups, by primary key, may subscribe to."""
    groups = list(groups)
    rows = Channel.objects.filter(
        pk__in=Channel.groups.through.objects.filter(group_id__in=groups).values("channel_id")
    )
    found = rows.filter(level=Channel.Level.GROUPS, is_active=True).order_by()
    return set(found.values_list("name", flat=True)) | objects.channel_names(groups)


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
